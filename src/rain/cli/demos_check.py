"""``rain demos check``: the boundaries of annotation against the experts' own logs."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from rain.cli.demos_import import find_hdf5
from rain.demos.boundaries import TOLERANCE, Boundary, Checked, check_boundaries
from rain.types import RainError


@dataclass(frozen=True)
class Check:
    """Compare the subtasks' boundaries that annotation finds with the expert's own log.

    Exit code 1 where fewer than 95 % of them are within 5 steps.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Files of rain collect, or folders that hold some."""
    workers: int = 2
    verbose: bool = False
    """Name every boundary that is further off."""


def run_check(command: Check) -> int:
    """Print the differences by action type."""
    if command.workers < 1:
        raise RainError("--workers must be at least 1")
    files, console = find_hdf5(command.files), Console(emoji=False)
    checked: list[Checked] = []
    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("demonstrations", total=len(files))
        for piece in check_boundaries(files, command.workers):
            checked += piece
            progress.advance(bar, len(piece))
    boundaries = [b for one in checked for b in one.boundaries]
    failures = [one for one in checked if one.failure]
    console.print(_table(boundaries))
    for one in failures:
        console.print(f"{one.source}: {one.failure}", highlight=False, soft_wrap=True)
    for b in boundaries if command.verbose else ():
        if abs(b.late) > TOLERANCE:
            console.print(
                f"{b.source}: {b.subtask}: {b.annotated}, expert {b.expert}, "
                f"went on {b.went_on}",
                highlight=False, soft_wrap=True,
            )  # fmt: skip
    # A demonstration that cannot be annotated has none of its boundaries found.
    missed = sum(one.subtasks for one in failures)
    found = sum(abs(b.late) <= TOLERANCE for b in boundaries)
    share = found / max(len(boundaries) + missed, 1)
    console.print(
        f"{found} of {len(boundaries) + missed} boundaries ({share:.1%}) within {TOLERANCE} steps; "
        f"{len(checked)} demonstrations, {len(failures)} of them not annotated",
        highlight=False,
    )
    return 0 if share >= 0.95 else 1


def _table(boundaries: list[Boundary]) -> Table:
    table = Table(
        "action type", "subtasks", f"within {TOLERANCE}", "median", "5 % to 95 %", "extremes",
        "expert goes on later by",
        caption="annotation minus the expert, control steps; negative: earlier",
    )  # fmt: skip
    by_type: dict[str, list[Boundary]] = defaultdict(list)
    for boundary in boundaries:
        by_type[boundary.subtask.action_type].append(boundary)
        by_type["all"].append(boundary)
    for name, some in sorted(by_type.items(), key=lambda item: item[0] == "all"):
        late = np.array([b.late for b in some])
        low, high = np.quantile(late, [0.05, 0.95])
        on = np.median([b.went_on - b.annotated for b in some])
        table.add_row(
            name, str(len(some)), f"{np.mean(np.abs(late) <= TOLERANCE):.1%}",
            f"{np.median(late):+.0f}", f"{low:+.0f} to {high:+.0f}",
            f"{late.min():+d} to {late.max():+d}", f"{on:.0f}",
        )  # fmt: skip
    return table
