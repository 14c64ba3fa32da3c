"""``rain bench verify``: whether LIBERO-EX's init states are intact and fit scenes made here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from rain.bench.trials import parse_tasks
from rain.types import RainError
from rain.worlds.libero.ex.states import STATES
from rain.worlds.libero.ex.tasks import EX_SUITE, ExTask, ex_tasks
from rain.worlds.libero.ex.verify import verify
from rain.worlds.libero.suites import suite_tasks


@dataclass(frozen=True)
class Verify:
    """Compare checksums, make every scene anew, restore its states and look at them again.

    One line a task; exit code 1 where something is wrong.
    """

    tasks: str = "all"
    """Ids (001,040) or all."""
    workers: int = 2
    """Processes with one simulator each."""
    scenes: bool = True
    """Make the scenes; without, only files and declarations are compared, in seconds."""
    states: Path = STATES
    """Folder of the states; by default those of the package."""


def chosen(text: str) -> list[ExTask]:
    """The LIBERO-EX tasks that ``all`` or ``001,040`` names."""
    return [ex_tasks()[n - 1] for n in parse_tasks(text, suite_tasks(EX_SUITE), EX_SUITE)]


def run_verify(command: Verify) -> int:
    """Verify and print."""
    if command.workers < 1:
        raise RainError("workers must be at least 1")
    console, wrong, count = Console(highlight=False, emoji=False), 0, 0
    for report in verify(chosen(command.tasks), command.states, command.workers, command.scenes):
        told = "; ".join(report.faults) or f"{report.states} states"
        verdict = "wrong" if report.faults else "ok"
        console.print(f"{report.id} {verdict:<5} {told} ({report.seconds:.1f} s)", soft_wrap=True)
        wrong, count = wrong + bool(report.faults), count + 1
    if wrong:
        console.print(f"{wrong} of {count} tasks are not as they were frozen")
        return 1
    console.print(f"{count} tasks are as they were frozen")
    return 0
