"""``rain demo``: one libero_object episode with the shipped checkpoint, filmed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro
from rich.console import Console

from rain.bench.demo import run_demo


@dataclass(frozen=True)
class Demo:
    """Run one libero_object episode, print its transitions, and film it."""

    task: int = 0
    """Task number, 0 to 9."""
    init_state: int = 0
    """Official init state."""
    checkpoint: str = "rain-nano"
    """A checkpoint folder, or the name of a shipped one."""
    out: Path = Path("demo.mp4")
    """The video."""
    threads: int = 1
    """CPU threads of the network and of the software renderer."""


def main(args: list[str]) -> int:
    """Run ``rain demo``: 0 on success, 1 on failure."""
    options = tyro.cli(Demo, args=args, prog="rain demo")
    success = run_demo(
        options.checkpoint,
        options.task,
        options.init_state,
        options.out,
        Console(highlight=False),
        threads=options.threads,
    )
    return 0 if success else 1
