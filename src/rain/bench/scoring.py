"""From episode records to scores: success with Wilson intervals, and what happened beside it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rain.bench.episode import PARTS, EpisodeResult
from rain.bench.failures import count_failures
from rain.bench.protocols import TaskFacts
from rain.bench.records import EpisodeRecord

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution: intervals hold 95 %."""

TaskKey = tuple[str, int]
"""Suite and number of a task."""


def wilson(successes: int, trials: int, z: float = Z95) -> tuple[float, float]:
    """Wilson's score interval of a proportion; (0, 1) for no trials."""
    if not 0 <= successes <= trials:
        raise ValueError(f"expected 0 <= successes <= trials, got {successes} of {trials}")
    if trials == 0:
        return 0.0, 1.0
    rate = successes / trials
    scale = 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / scale
    half = z / scale * math.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    # The ends are exactly 0 and 1 at the extremes; rounding must not push them outside.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


@dataclass(frozen=True)
class Score:
    """The score of some episodes. Crashed ones are counted beside, never among them.

    low, high: Wilson's 95 % interval of the success rate.
    spoiled: episodes in which the whole task got done where only a part was asked for.
    marked_first: episodes whose first grasped object was the marked one.
    wrong_grasps, wrong_contacts: episodes in which an object was grasped that the script does not
        grasp; in which a finger touched one that the script does not name.
    script_progress: mean share of the script's subtasks that the policy left as complete; done:
        that the world showed done. contacts_known: episodes that tell contacts and done.
    steps, time_s: mean control steps and simulated seconds to success. step_ms: mean milliseconds
        a control step by part.
    """

    episodes: int
    successes: int
    crashed: int
    low: float
    high: float
    spoiled: int
    marked_first: int
    wrong_grasps: int
    wrong_contacts: int
    contacts_known: int
    script_progress: float | None
    done: float | None
    steps: float | None
    time_s: float | None
    step_ms: dict[str, float]

    @property
    def rate(self) -> float | None:
        """Share of successes, None without episodes."""
        return self.successes / self.episodes if self.episodes else None

    def as_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {**asdict(self), "rate": self.rate}


def score(records: Sequence[EpisodeRecord]) -> Score:
    """Score some records."""
    scored = [(record, record.result) for record in records if record.result is not None]
    results = [result for _, result in scored]
    won = [result for result in results if result.success]
    low, high = wilson(len(won), len(results))
    return Score(
        episodes=len(results),
        successes=len(won),
        crashed=len(records) - len(results),
        low=low,
        high=high,
        spoiled=sum(result.outcome == "spoiled" for result in results),
        marked_first=sum(_marked_first(record, result) for record, result in scored),
        wrong_grasps=sum(_wrong_grasp(record, result) for record, result in scored),
        wrong_contacts=sum(_wrong_contact(record, result) for record, result in scored),
        contacts_known=sum(result.touches is not None for result in results),
        script_progress=_mean(
            len(result.transitions) / len(record.script.subtasks) for record, result in scored
        ),
        done=_mean(sum(at is not None for at in r.done) / len(r.done) for r in results if r.done),
        steps=_mean(r.success_step for r in won if r.success_step is not None),
        time_s=_mean(r.success_s for r in won if r.success_s is not None),
        step_ms=_step_ms(results),
    )


def _marked_first(record: EpisodeRecord, result: EpisodeResult) -> bool:
    return bool(result.grasps) and result.grasps[0].object == record.marked


def _wrong_grasp(record: EpisodeRecord, result: EpisodeResult) -> bool:
    asked = {s.target for s in record.script.subtasks if s.action_type == "grasp"}
    return any(grasp.object not in asked for grasp in result.grasps)


def _wrong_contact(record: EpisodeRecord, result: EpisodeResult) -> bool:
    """Whether a finger touched an object that no subtask is about, not even as a place."""
    words = [word for s in record.script.subtasks for word in s.target.split("->")]
    named = {word.partition(":")[0] for word in words}
    return any(touch.object not in named for touch in result.touches or ())


def _mean(values: Iterable[float]) -> float | None:
    found = list(values)
    return sum(found) / len(found) if found else None


def _step_ms(results: Sequence[EpisodeResult]) -> dict[str, float]:
    steps = sum(result.steps for result in results)
    if not steps:
        return {}
    sums = {part: sum(result.seconds[part] for result in results) for part in PARTS}
    return {part: round(1000 * seconds / steps, 3) for part, seconds in sums.items()}


def score_tasks(records: Sequence[EpisodeRecord]) -> dict[TaskKey, Score]:
    """Score the records by suite and task, in order."""
    return _grouped(records, lambda record: (record.trial.suite, record.trial.task), ordered=True)


def score_groups(
    records: Sequence[EpisodeRecord], facts: Mapping[TaskKey, TaskFacts], by: str
) -> dict[str, Score]:
    """Score the records by ``suite``, or by the ``type`` or ``category`` of their tasks."""
    if by == "suite":
        return _grouped(records, lambda record: record.trial.suite)
    return _grouped(records, lambda r: str(getattr(facts[r.trial.suite, r.trial.task], by)))


def _grouped(
    records: Sequence[EpisodeRecord], key: Callable[[EpisodeRecord], Any], ordered: bool = False
) -> dict[Any, Score]:
    groups: dict[Any, list[EpisodeRecord]] = {}
    for record in records:
        groups.setdefault(key(record), []).append(record)
    names = sorted(groups) if ordered else list(groups)
    return {name: score(groups[name]) for name in names}


def average(rates: Iterable[float | None]) -> float | None:
    """Mean of success rates, as the paper averages tasks and splits; None where one is missing."""
    found = list(rates)
    return None if None in found else _mean(rate for rate in found if rate is not None)


def summary(
    records: Sequence[EpisodeRecord], facts: Mapping[TaskKey, TaskFacts], **about: Any
) -> dict[str, Any]:
    """The scores as JSON: ``about`` (suite, settings …), then total and by group and task.

    average: of the suites' success rates where there are several, else of the categories'.
    """
    groups = {
        name: {key: part.as_json() for key, part in score_groups(records, facts, by).items()}
        for name, by in (("suites", "suite"), ("categories", "category"), ("types", "type"))
    }
    over = groups["suites"] if len(groups["suites"]) > 1 else groups["categories"]
    tasks = {
        f"{suite}/{task}": {**_about(facts[suite, task]), **part.as_json()}
        for (suite, task), part in score_tasks(records).items()
    }
    return {
        "format": 2,
        **about,
        "total": score(records).as_json(),
        "failures": count_failures(records),
        "average": average(part["rate"] for part in over.values()),
        **groups,
        "tasks": tasks,
    }


def _about(facts: TaskFacts) -> dict[str, Any]:
    return {"name": facts.name, "type": facts.type, "category": facts.category,
            "instruction": facts.instruction}  # fmt: skip


def write_summary(path: Path, content: dict[str, Any]) -> None:
    """Write the summary in one piece."""
    from rain.drawing import replacing  # late: it loads video codecs

    with replacing(path) as temporary:
        temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
