"""``rain demos``: datasets from demonstration files."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rain.cli.demos_check import Check, run_check
from rain.cli.demos_import import Import, find_hdf5, run_import
from rain.cli.demos_info import show
from rain.cli.demos_view import Augmented, Sheet, View, run_augmented, run_sheet, run_view
from rain.cli.progress import counting
from rain.cli.subcommands import run_subcommand
from rain.demos.info import summarise
from rain.demos.replay import ReplayConfig, process
from rain.types import RainError


@dataclass(frozen=True)
class Process:
    """Replay demonstration files into a dataset: images, regions, plans, progress targets."""

    sources: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """HDF5 files, or folders that hold some."""
    out: Path
    track: str = "open"
    limit: int | None = None
    """Take only this many files, evenly over the folder."""
    replay: ReplayConfig = field(default_factory=ReplayConfig)


@dataclass(frozen=True)
class Info:
    """What a dataset holds: tasks, episodes, frames, action types, size."""

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Dataset folders."""
    json: bool = False
    """Print JSON instead of tables."""


def main(args: list[str]) -> int:
    """Run ``rain demos SUBCOMMAND``."""
    return run_subcommand(
        args,
        "rain demos",
        {
            "process": (Process, _process),
            "import": (Import, run_import),
            "info": (Info, _info),
            "check": (Check, run_check),
            "view": (View, run_view),
            "sheet": (Sheet, run_sheet),
            "augmented": (Augmented, run_augmented),
        },
    )


def _info(config: Info) -> int:
    if not config.datasets:
        raise RainError("name a dataset folder")
    show(summarise(config.datasets), config.json)
    return 0


def _process(config: Process) -> int:
    files = find_hdf5(config.sources)
    if config.limit is not None and files:
        files = files[:: max(1, len(files) // config.limit)][: config.limit]
    console = Console()
    left_out: list[str] = []
    with counting(console) as progress:
        bar = progress.add_task("files", total=len(files))
        for done, messages in process(files, config.out, config.track, config.replay):
            progress.advance(bar, done)
            left_out += messages
    for message in left_out:
        console.print(f"left out: {message}", style="yellow", highlight=False)
    console.print(f"{len(files)} files, {len(left_out)} demonstrations left out: {config.out}")
    return 0
