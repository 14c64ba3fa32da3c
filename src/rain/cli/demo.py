"""``rain demo``: episodes with the shipped checkpoint, filmed side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rain.bench.demo import Scene, run_demo

TASKS = ("libero_object/0", "libero-ex/8")
"""One of LIBERO, and one of LIBERO-EX, of which there are no demonstrations."""


@dataclass(frozen=True)
class Demo:
    """Run episodes, print their transitions, and film them side by side."""

    tasks: Annotated[tuple[str, ...], tyro.conf.Positional] = TASKS
    """SUITE/TASK of each; by default a task of LIBERO and one of LIBERO-EX."""
    init_state: int = 0
    """Official init state."""
    checkpoint: str = "rain-nano"
    """A checkpoint folder, or the name of a shipped one."""
    out: Path = Path("demo.mp4")
    """The video."""
    threads: int = 1
    """CPU threads of the network and of the software renderer."""


def main(args: list[str]) -> int:
    """Run ``rain demo``: 0 where all episodes succeed, else 1."""
    options = tyro.cli(Demo, args=args, prog="rain demo")
    success = run_demo(
        options.checkpoint,
        [Scene.from_text(text) for text in options.tasks],
        options.init_state,
        options.out,
        Console(highlight=False),
        threads=options.threads,
    )
    return 0 if success else 1
