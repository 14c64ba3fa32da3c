"""From episode records to scores: success with Wilson intervals, and region following."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from rain.bench.records import EpisodeRecord, Target
from rain.bench.rollouts import PARTS, EpisodeResult

Z95 = 1.959963984540054
"""The 97.5 % point of the normal distribution: intervals hold 95 %."""


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
    marked_first: episodes whose first grasped object was the marked one.
    wrong_grasps: episodes in which an object that the script does not grasp was grasped.
    script_progress: mean share of the script's subtasks that the policy left as complete.
    steps: mean control steps to success. step_ms: mean milliseconds a control step by part.
    """

    episodes: int
    successes: int
    crashed: int
    low: float
    high: float
    marked_first: int
    wrong_grasps: int
    script_progress: float | None
    steps: float | None
    step_ms: dict[str, float]

    @property
    def rate(self) -> float | None:
        """Share of successes, None without episodes."""
        return self.successes / self.episodes if self.episodes else None


def score(records: Sequence[EpisodeRecord]) -> Score:
    """Score some records."""
    scored = [(record, record.result) for record in records if record.result is not None]
    results = [result for _, result in scored]
    successes = sum(result.success for result in results)
    low, high = wilson(successes, len(results))
    return Score(
        episodes=len(results),
        successes=successes,
        crashed=len(records) - len(results),
        low=low,
        high=high,
        marked_first=sum(_marked_first(record, result) for record, result in scored),
        wrong_grasps=sum(_wrong_grasp(record, result) for record, result in scored),
        script_progress=_mean(
            [len(result.transitions) / len(record.script.subtasks) for record, result in scored]
        ),
        steps=_mean([r.success_step for r in results if r.success_step is not None]),
        step_ms=_step_ms(results),
    )


def _marked_first(record: EpisodeRecord, result: EpisodeResult) -> bool:
    return bool(result.grasps) and result.grasps[0].object == record.marked


def _wrong_grasp(record: EpisodeRecord, result: EpisodeResult) -> bool:
    asked = {s.target for s in record.script.subtasks if s.action_type == "grasp"}
    return any(grasp.object not in asked for grasp in result.grasps)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _step_ms(results: Sequence[EpisodeResult]) -> dict[str, float]:
    steps = sum(result.steps for result in results)
    if not steps:
        return {}
    sums = {part: sum(result.seconds[part] for result in results) for part in PARTS}
    return {part: round(1000 * seconds / steps, 3) for part, seconds in sums.items()}


def score_tasks(records: Sequence[EpisodeRecord]) -> dict[int, Score]:
    """Score the records of one suite by task, in order."""
    tasks = sorted({record.trial.task for record in records})
    return {task: score([r for r in records if r.trial.task == task]) for task in tasks}


def summary(records: Sequence[EpisodeRecord], **about: Any) -> dict[str, Any]:
    """The scores as JSON: ``about`` (suite, settings …), total and by task."""
    tasks = {str(task): _as_json(part) for task, part in score_tasks(records).items()}
    return {"format": 1, **about, "total": _as_json(score(records)), "tasks": tasks}


def _as_json(part: Score) -> dict[str, Any]:
    return {**asdict(part), "rate": part.rate}


def write_summary(path: Path, content: dict[str, Any]) -> None:
    """Write the summary in one piece."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n")
    os.replace(temporary, path)


def table(
    records: Sequence[EpisodeRecord], names: Mapping[int, str], title: str, target: Target
) -> Table:
    """A rich table: a row a task and the total. names: the suite's task names by number."""
    first = "marked\nfirst" if target == "another" else "own\nfirst"
    # Narrow enough for 80 columns: the task's name gives way, the numbers do not.
    out = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    out.add_column("task", no_wrap=True, overflow="ellipsis", max_width=20)
    for header in ("success", "95 %", first, "wrong\nobject", "crashed", "script", "steps"):
        out.add_column(header, justify="right", no_wrap=True)
    for task, part in score_tasks(records).items():
        name = names.get(task, "").replace("_", " ")
        out.add_row(*_cells(f"{task} {name}".strip(), part))
    out.add_section()
    out.add_row(*_cells("all", score(records)), style="bold")
    return out


def _cells(name: str, part: Score) -> tuple[str, ...]:
    count = f"{part.successes}/{part.episodes}"
    interval = f"{100 * part.low:.0f}–{100 * part.high:.0f}" if part.episodes else "–"
    progress = "–" if part.script_progress is None else f"{100 * part.script_progress:.0f}%"
    steps = "–" if part.steps is None else f"{part.steps:.0f}"
    first = f"{part.marked_first}/{part.episodes}"
    return name, count, interval, first, str(part.wrong_grasps), str(part.crashed), progress, steps
