"""``rain bench report``: runs as one HTML page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rain.bench.report import read_run, write_report


@dataclass(frozen=True)
class Report:
    """One HTML page of one or several runs: scores, tables like the paper's, videos, comparison.

    The first run is the one that the others are compared with.
    """

    runs: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Folders of `rain bench run` or `rain rollout`."""
    out: Path = Path("report.html")
    """The page; videos are linked from where it is."""
    title: str = "LIBERO-EX"
    """Heading of the page."""


def run_report(command: Report) -> int:
    """Write the page."""
    runs = [read_run(folder) for folder in command.runs]
    write_report(command.out, runs, command.title)
    told = ", ".join(f"{run.name} ({len(run.records)} episodes)" for run in runs)
    Console(highlight=False).print(f"{command.out}: {told}", soft_wrap=True, markup=False)
    return 0
