"""Finished or unfinished runs read back, and compared, for a report."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rain.bench.comparison import Difference, compare_episodes
from rain.bench.protocols import TaskFacts
from rain.bench.records import EpisodeRecord, Trial, latest, read_records
from rain.bench.scoring import Score, TaskKey, score, score_groups, score_tasks
from rain.drawing import replacing
from rain.types import RainError


@dataclass(frozen=True)
class RunResults:
    """One run: its folder, its summary, what is known of its tasks, and its episodes.

    name: the policy's; unique among the runs of a report.
    """

    name: str
    folder: Path
    about: Mapping[str, Any]
    facts: Mapping[TaskKey, TaskFacts]
    records: Sequence[EpisodeRecord]

    def tasks(self) -> dict[TaskKey, Score]:
        """Scores by task."""
        return score_tasks(self.records)

    def groups(self, by: str) -> dict[str, Score]:
        """Scores by suite, category or type."""
        return score_groups(self.records, self.facts, by)

    def records_by_type(self) -> dict[str, list[EpisodeRecord]]:
        """The records by the type of their tasks."""
        found: dict[str, list[EpisodeRecord]] = {}
        for record in self.records:
            kind = self.facts[record.trial.suite, record.trial.task].type
            found.setdefault(kind, []).append(record)
        return found

    def outcomes(self, keys: Iterable[TaskKey]) -> dict[tuple[str, int, int], bool]:
        """(suite, task, episode) → success of these tasks; crashed episodes are not in it."""
        wanted = set(keys)
        return {
            (r.trial.suite, r.trial.task, r.trial.episode): r.result.success
            for r in self.records
            if r.result is not None and (r.trial.suite, r.trial.task) in wanted
        }


def read_run(folder: Path) -> RunResults:
    """Read a run's folder; RainError where there is no run, or one of an older version."""
    path = folder / "summary.json"
    try:
        about = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RainError(
            f"{path} is missing: no run, or one that was killed; the same `rain bench run` again "
            "finishes it"
        ) from None
    except (OSError, ValueError) as error:
        raise RainError(f"{path} cannot be read: {error}") from None
    if not isinstance(about, dict) or about.get("format") != 2:
        raise RainError(f"{path} is of another version: run the same command again to renew it")
    facts = {
        (key.rpartition("/")[0], int(key.rpartition("/")[2])): TaskFacts(
            task["name"], task["type"], task["category"], task["instruction"]
        )
        for key, task in about["tasks"].items()
    }

    def settings_of(trial: Trial) -> dict[str, Any]:
        return about["task_settings"].get(f"{trial.suite}/{trial.task}", {})

    found = latest(read_records(folder / "episodes.jsonl"), settings_of).values()
    records = [r for r in found if _belongs(r.trial, about, facts)]
    records.sort(key=lambda r: (r.trial.suite, r.trial.task, r.trial.episode))
    return RunResults(about["policy"], folder, about, facts, records)


def _belongs(trial: Trial, about: Mapping[str, Any], facts: Mapping[TaskKey, TaskFacts]) -> bool:
    return (
        (trial.suite, trial.task) in facts
        and trial.target == about["target"]
        and trial.episode < about["episodes_per_task"]
    )


def named_apart(runs: Sequence[RunResults]) -> list[RunResults]:
    """The runs with names that tell them apart: where policies are alike, their folders too."""
    names = [run.name for run in runs]
    apart = [
        replace(run, name=f"{run.name} ({run.folder.name})") if names.count(run.name) > 1 else run
        for run in runs
    ]
    names = [run.name for run in apart]
    return [
        replace(run, name=f"{run.name} {i}") if names.count(run.name) > 1 else run
        for i, run in enumerate(apart, 1)
    ]


def all_facts(runs: Sequence[RunResults]) -> dict[TaskKey, TaskFacts]:
    """What is known of the tasks of any run, in order."""
    found = {key: facts for run in reversed(runs) for key, facts in run.facts.items()}
    return dict(sorted(found.items()))


def difference(mine: RunResults, theirs: RunResults, keys: Iterable[TaskKey]) -> Difference | None:
    """Success of ``mine`` less that of ``theirs`` on the episodes of these tasks that both have.

    Episodes of one number have the same start. None where they have none in common.
    """
    wanted = list(keys)
    return compare_episodes({0: mine.outcomes(wanted)}, {0: theirs.outcomes(wanted)})


def differing_settings(runs: Sequence[RunResults]) -> list[str]:
    """Names of the settings, beside the weights, in which runs differ; of tasks both have, too."""
    flat = [_flat(run.about["settings"]) for run in runs]
    names = {name for settings in flat for name in settings} - {"weights", "rollout.horizon"}
    found = {name for name in names if len({str(s.get(name)) for s in flat}) > 1}
    for key in all_facts(runs):
        word = f"{key[0]}/{key[1]}"
        tasks = [_flat(r.about["task_settings"][word]) for r in runs if key in r.facts]
        for name in ("scene", "states", "whole_fails", "rollout.horizon"):
            if len({str(task.get(name)) for task in tasks}) > 1:
                found.add(name)
    targets = {run.about["target"] for run in runs}
    return sorted(found | ({"target"} if len(targets) > 1 else set()))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    out: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping):
            out |= _flat(value, f"{prefix}{name}.")
        else:
            out[f"{prefix}{name}"] = value
    return out


def total(run: RunResults) -> Score:
    """The score of all episodes of a run."""
    return score(run.records)


def write_report(path: Path, runs: Sequence[RunResults], title: str) -> None:
    """Write one self-contained HTML page; RainError without runs."""
    from rain.bench.report_page import page

    if not runs:
        raise RainError("report: give the folder of at least one run")
    if path.suffix not in (".html", ".htm"):
        raise RainError(f"--out: {path}: a page's name ends in .html")
    with replacing(path) as temporary:
        temporary.write_text(page(named_apart(runs), title, path.parent), "utf-8")
