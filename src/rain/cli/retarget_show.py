"""``rain retarget show``: what retargeting makes of a recorded subtask, as a picture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rain.cli.demos_view import open_scene
from rain.demos.dataset import Dataset
from rain.demos.retarget_panels import DrawnMode, Panel
from rain.demos.retarget_view import draw_retarget
from rain.demos.view import scene_projection
from rain.retarget import FIRST_POSE, PAPER, REJOINED, RELAXED
from rain.types import RainError

RULES = {
    PAPER: "by eq. 7",
    RELAXED: "by the relaxed score",
    FIRST_POSE: "at the first pose",
    REJOINED: "where they are",
}
"""How starts of mode rrs joined their reference."""


@dataclass(frozen=True)
class Show:
    """Draw an episode's references, and junctions and approaches from starts all around.

    In 3-D and in the camera view; each mode has a panel, each subtask too.
    """

    dataset: Annotated[Path, tyro.conf.Positional]
    episode: int = 0
    subtask: int | None = None
    """Number of one subtask; by default all of the episode."""
    starts: int = 12
    """How many for each subtask: two of three around where the recorded hand started, the third
    around the interaction point."""
    modes: tuple[DrawnMode, ...] = ("rrs",)
    seed: int = 0
    out: Path = Path("retarget.png")
    """Ends in .png, .pdf or .svg."""
    image: bool = True
    """Draw into the camera view too; needs the simulator, which knows the cameras."""


def run_show(command: Show) -> int:
    """Draw the picture."""
    console, dataset = Console(), Dataset.open(command.dataset)
    if not 0 <= command.episode < len(dataset):
        raise RainError(f"--episode: the dataset has 0 to {len(dataset) - 1}")
    world = None
    if command.image:
        world = open_scene(dataset, command.episode, "camera view", console)
    try:
        panels = draw_retarget(
            dataset, command.episode, command.out, command.subtask, command.modes,
            command.starts, command.seed,
            scene_projection(world) if world is not None else None,
        )  # fmt: skip
    finally:
        if world is not None:
            world.close()
    for panel in panels:
        # Rich would draw the target microwave_1:door as an emoji.
        console.print(_line(panel), highlight=False, soft_wrap=True, emoji=False)
    console.print(f"episode {command.episode}: {command.out}", highlight=False, soft_wrap=True)
    return 0


def _line(panel: Panel) -> str:
    """One line a panel: its subtask, mode, and for rrs how the starts were joined."""
    text = f"{panel.number} {panel.span.subtask}: {panel.mode}, {len(panel.starts)} starts"
    if panel.mode != "rrs":
        return text
    found = Counter(panel.made.rule.tolist())
    parts = [f"{found[rule]} {name}" for rule, name in RULES.items() if found[rule]]
    return f"{text} joined {', '.join(parts)}"
