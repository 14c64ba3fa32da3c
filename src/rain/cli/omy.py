"""``rain omy``: the simulated OMY-F3M in pictures, and how fast it runs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from rain.bench.omy import draw_scene, measure_speed
from rain.cli.subcommands import run_subcommand
from rain.types import RainError
from rain.worlds.omy import OmyWorld


@dataclass(frozen=True)
class Show:
    """Write a picture of a layout: all views, and the region of each subtask's target."""

    task: int = 0
    """Task number, 0 to 8."""
    seed: int = 0
    """Which layout."""
    size: int = 336
    """Pixels of a view's side."""
    out: Path = Path("omy.png")


@dataclass(frozen=True)
class Speed:
    """Measure how much faster than time the arm is simulated, without and with rendering."""

    task: int = 0
    sizes: tuple[int, ...] = (224, 336)
    """Pixels of the views' sides."""
    seconds: float = 5.0
    """Of each measurement."""


def main(args: list[str]) -> int:
    """Run ``rain omy SUBCOMMAND``."""
    return run_subcommand(args, "rain omy", {"show": (Show, _show), "speed": (Speed, _speed)})


def _show(command: Show) -> int:
    if command.seed < 0:
        raise RainError("--seed must be at least 0")
    world = OmyWorld("omy", command.task)
    try:
        draw_scene(world, command.seed, command.size, command.out)
        print(f"“{world.script.instruction}”, layout {command.seed}: {command.out}")
    finally:
        world.close()
    return 0


def _speed(command: Speed) -> int:
    if command.seconds <= 0:
        raise RainError("--seconds must be positive")
    table = Table("rendered", "steps", "times real time", "ms a step")
    world = OmyWorld("omy", command.task)
    try:
        for one in measure_speed(world, command.sizes, command.seconds):
            what = f"{one.views} views at {one.size} px" if one.size else "nothing"
            period = 1000 / world.conventions.rate_hz / one.real_time
            table.add_row(what, str(one.steps), f"{one.real_time:.2f}", f"{period:.1f}")
    finally:
        world.close()
    Console().print(table)
    return 0
