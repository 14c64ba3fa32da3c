"""``rain perception check``: a segmenter against the simulator's truth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from rich.console import Console
from rich.table import Table

from rain.bench.campaign import run_campaign
from rain.cli.progress import counting
from rain.cli.rollout import Rollout
from rain.demos.dataset import Dataset
from rain.perception.check import Checked, Summary, check_dataset, summarise
from rain.perception.options import PerceptionOptions, SegmenterName
from rain.perception.parts import make_segmenter
from rain.types import RainError


@dataclass(frozen=True)
class Check:
    """Follow the targets of recorded demonstrations and compare with the simulator's regions.

    The segmenter is seeded once at the begin of every subtask, from the recorded region. With
    --rollouts, episodes are also run with its regions and with the simulator's.
    """

    dataset: Annotated[Path, tyro.conf.Positional]
    """A dataset folder (rain demos process); with a stride of 1 it holds every control step."""
    segmenter: SegmenterName = "classical"
    """classical, sam2 or edgetam."""
    perception: PerceptionOptions = field(default_factory=PerceptionOptions)
    """How it is seeded and run."""
    episodes: int = 40
    """Demonstrations, evenly over the dataset."""
    rollouts: int = 0
    """Also run this many episodes of each task from fresh resets, with truth and with the
    segmenter, and compare success."""
    suite: str = "libero_object"
    """Of the rollouts."""
    task: str = "all"
    """Of the rollouts: task number, several (0,2,5) or all."""
    checkpoint: str = "rain-nano"
    """Of the rollouts."""
    workers: int = 1
    """Of the rollouts: processes with one simulator each."""
    out: Path | None = None
    """Folder of check.json and the rollouts; by default runs/perception-SEGMENTER."""


def run_check(command: Check) -> int:
    """Follow, print the tables, write check.json; 1 where an episode of a rollout crashed."""
    if command.episodes < 1 or command.rollouts < 0:
        raise RainError("episodes must be at least 1 and rollouts at least 0")
    if command.segmenter == "truth":
        raise RainError("segmenter truth is what the others are compared with")
    console = Console()
    if not console.is_terminal:  # a file or a pipe has no width
        console = Console(width=120)
    folder = command.out or Path("runs") / f"perception-{command.segmenter}"
    folder.mkdir(parents=True, exist_ok=True)
    checked = _follow(command, console)
    report = _report(checked, console)
    report["options"] = {"segmenter": command.segmenter, **asdict(command.perception)}
    text = json.dumps(report, indent=1, default=str, allow_nan=False)
    (folder / "check.json").write_text(text + "\n", encoding="utf-8")
    console.print(f"check.json is in {folder}", markup=False)
    crashed = 0
    for name in ("truth", command.segmenter) if command.rollouts else ():
        crashed += run_campaign(_rollouts(command, name, folder).campaign(), console)
    return 1 if crashed else 0


def _follow(command: Check, console: Console) -> Checked:
    dataset = Dataset.open(command.dataset)
    count = min(command.episodes, len(dataset))
    chosen = np.linspace(0, len(dataset) - 1, count).round().astype(int).tolist()
    segmenter = make_segmenter(command.segmenter, command.perception, None)
    every = Checked()
    with counting(console) as progress:
        bar = progress.add_task("demonstrations", total=count)
        for one in check_dataset(dataset, segmenter, command.perception.prompt, chosen):
            every.followed += one.followed
            every.milliseconds += one.milliseconds
            progress.advance(bar)
    return every


def _report(checked: Checked, console: Console) -> dict[str, Any]:
    """Print a row for each view and action type; the same as JSON."""
    table = Table(title="regions against the simulator's")
    headings = ("view", "subtasks", "frames", "IoU", "by quarter", "lost", "unseeded", "false")
    for heading in headings:
        left = heading in ("view", "subtasks")
        table.add_column(heading, justify="left" if left else "right", no_wrap=True)
    rows = {}
    for view in dict.fromkeys(f.view for f in checked.followed):
        here = [f for f in checked.followed if f.view == view]
        for kind in ("all", *dict.fromkeys(f.action_type for f in here)):
            found = summarise([f for f in here if kind in ("all", f.action_type)])
            rows[f"{view}/{kind}"] = asdict(found)
            table.add_row(view if kind == "all" else "", kind, *_cells(found))
    console.print(table)
    if not checked.milliseconds:
        return {"rows": rows, "ms_median": None, "ms_p90": None}
    middle, high = np.percentile(checked.milliseconds, (50, 90)).tolist()
    console.print(f"{middle:.1f} ms a frame of all views (median), {high:.1f} ms at 90 %")
    return {"rows": rows, "ms_median": middle, "ms_p90": high}


def _cells(found: Summary) -> list[str]:
    quarters = " ".join(_shown(part, "{:.2f}") for part in found.parts)
    shares = [_shown(share, "{:.1%}") for share in (found.lost, found.unseeded, found.false)]
    return [str(found.frames), _shown(found.iou, "{:.3f}"), quarters, *shares]


def _shown(value: float | None, form: str) -> str:
    return "–" if value is None else form.format(value).replace("%", " %")


def _rollouts(command: Check, name: SegmenterName, folder: Path) -> Rollout:
    rollout = Rollout(
        suite=command.suite,
        task=command.task,
        checkpoint=command.checkpoint,
        episodes=command.rollouts,
        starts="fresh",
        workers=command.workers,
        out=folder / f"rollouts-{name}",
    )
    if name == "truth":
        return rollout
    return replace(rollout, segmenter=name, perception=command.perception)
