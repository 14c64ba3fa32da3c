"""``rain bench freeze``: make LIBERO-EX's init states anew, for those who change its scenes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rain.cli.bench_verify import chosen
from rain.types import RainError
from rain.worlds.libero.ex.freeze import freeze, is_frozen
from rain.worlds.libero.ex.states import write_sums


@dataclass(frozen=True)
class Freeze:
    """Sample, settle, check and store init states. The same command goes on where it stopped.

    Scores from states made anew do not compare with scores from those of the package.
    """

    out: Path
    """Folder for one file a task and SHA256SUMS."""
    tasks: str = "all"
    """Ids (001,040) or all."""
    workers: int = 2
    """Processes with one simulator each."""


def run_freeze(command: Freeze) -> int:
    """Freeze and print."""
    if command.workers < 1:
        raise RainError("workers must be at least 1")
    console = Console(highlight=False)
    tasks = chosen(command.tasks)
    missing = [task for task in tasks if not is_frozen(task, command.out)]
    if len(missing) < len(tasks):
        console.print(f"{len(tasks) - len(missing)} of {len(tasks)} tasks are frozen already")
    failed, rejected = 0, Counter[str]()
    for report in freeze(missing, command.out, command.workers):
        told = ", ".join(f"{reason} {count}" for reason, count in report.rejected.items())
        failed += report.error is not None
        rejected.update(report.rejected)
        console.print(
            report.error
            or f"{report.id} {report.states} states, rejected: {told or 'none'} "
            f"({report.seconds:.1f} s)",
            soft_wrap=True,
        )
        write_sums(command.out)
    console.print(f"rejected in all: {dict(rejected) or 'none'}; {command.out}", soft_wrap=True)
    return 1 if failed else 0
