"""A whole run: trials over workers, progress on the terminal, the table and the summary."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rain.bench.protocols import PolicySource, WorldSource
from rain.bench.records import EpisodeRecord, RecordFile, Target, latest
from rain.bench.rollouts import RolloutConfig
from rain.bench.runner import Runner
from rain.bench.scoring import summary, table, write_summary
from rain.bench.trials import Starts, parse_tasks, plan_trials
from rain.bench.worker import Film, Setup


@dataclass(frozen=True)
class Campaign:
    """What is run: ``episodes`` of each of ``tasks`` (``all``, ``3`` or ``0,2,5``) of a suite."""

    policies: PolicySource
    worlds: WorldSource
    suite: str
    tasks: str
    episodes: int
    folder: Path
    target: Target = "own"
    starts: Starts = "official"
    seed: int = 0
    film: Film = "none"
    workers: int = 1
    rollout: RolloutConfig = field(default_factory=RolloutConfig)

    def settings(self) -> dict[str, Any]:
        """What a result depends on beside its trial; records with other settings are not reused."""
        return {
            "weights": self.policies.fingerprint(),
            **self.worlds.settings(),
            "starts": self.starts,
            "seed": self.seed,
            "rollout": asdict(self.rollout),
        }


def run_campaign(campaign: Campaign, console: Console) -> int:
    """Run what is not recorded yet, print the table, write summary.json; return crashed episodes.

    Ctrl-C scores what is recorded and then raises KeyboardInterrupt.
    """
    names = campaign.worlds.tasks(campaign.suite)
    tasks = parse_tasks(campaign.tasks, names, campaign.suite)
    trials = plan_trials(campaign.suite, tasks, campaign.episodes, campaign.target)
    setup = Setup(
        make_policy=campaign.policies,
        make_world=campaign.worlds,
        rollout=campaign.rollout,
        settings=campaign.settings(),
        starts=campaign.starts,
        seed=campaign.seed,
        film=campaign.film,
        folder=campaign.folder,
    )
    with RecordFile(campaign.folder / "episodes.jsonl") as records:
        try:
            with _Reporter(
                console, len(trials), records.done(setup.settings) & set(trials)
            ) as told:
                Runner(setup, records, campaign.workers, told).run(trials)
        finally:
            found = latest(records.records, setup.settings)
            scored = [found[trial] for trial in trials if trial in found]
            if scored:
                _report(campaign, setup.settings, scored, names, console)
    return sum(record.result is None for record in scored)


def _report(
    campaign: Campaign,
    settings: dict[str, Any],
    scored: list[EpisodeRecord],
    names: Mapping[int, str],
    console: Console,
) -> None:
    title = f"{campaign.policies.name} on {campaign.suite}, target {campaign.target}"
    console.print(table(scored, names, title, campaign.target))
    about = {
        "checkpoint": campaign.policies.name,
        "suite": campaign.suite,
        "target": campaign.target,
        "episodes_per_task": campaign.episodes,
        "settings": settings,
    }
    write_summary(campaign.folder / "summary.json", summary(scored, **about))
    console.print(f"episodes.jsonl and summary.json are in {campaign.folder}")


class _Reporter:
    """A progress bar with successes and crashes so far; prints each crash."""

    def __init__(self, console: Console, total: int, done: set) -> None:
        self._counts = {"success": 0, "crashed": 0}
        self._bar = Progress(
            TextColumn("episodes"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
        )
        if done:
            console.print(f"{len(done)} of {total} episodes are recorded already")
        self._task = self._bar.add_task("", total=total, completed=len(done), told="")

    def __call__(self, record: EpisodeRecord) -> None:
        self._counts[record.outcome] = self._counts.get(record.outcome, 0) + 1
        if record.error:
            trial = record.trial
            reason = record.error.strip().splitlines()[-1]
            self._bar.console.print(
                f"task {trial.task} episode {trial.episode} crashed: {reason}", markup=False
            )
        told = "  ".join(f"{name} {count}" for name, count in self._counts.items() if count)
        self._bar.update(self._task, advance=1, told=told)

    def __enter__(self) -> _Reporter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
