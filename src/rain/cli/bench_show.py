"""``rain bench show``: one LIBERO-EX task in words and as a picture."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from PIL import Image
from rich.console import Console
from rich.table import Table

from rain.bench.catalogue import draw_task, task_facts, written
from rain.drawing import replacing
from rain.types import RainError
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.ex.tasks import EX_SUITE, ex_task


@dataclass(frozen=True)
class Show:
    """One task: script, goal, how certain its definition is, and its scene from both cameras."""

    task: Annotated[str, tyro.conf.Positional]
    """Its id, such as 040."""
    out: Path | None = None
    """The picture; default TASK.png."""
    state: int = 0
    """Init state that is drawn: 0 to 9 are for evaluation, 10 to 29 for development."""
    picture: bool = True
    """Draw the scene; needs the simulator."""


def run_show(command: Show) -> int:
    """Print what there is to say and draw the picture."""
    task = ex_task(command.task)
    table = Table.grid(padding=(0, 2))
    table.add_column()
    table.add_column(overflow="fold")
    for heading, line in task_facts(task):
        table.add_row(heading, line)
    # Rich would draw the target microwave_1:door as an emoji.
    console = Console(emoji=False, highlight=False)
    console.print(f"LIBERO-EX {task.id}")
    console.print(table)
    if not command.picture:
        return 0
    out = command.out or Path(f"{task.id}.png")
    if out.suffix != ".png":
        raise RainError(f"--out: {out}: a picture's name ends in .png")
    world = LiberoWorld(EX_SUITE, int(task.id), rendering="official")
    try:
        world.reset(init_state=command.state)
        title = f"{task.id} {task.instruction}"
        picture = draw_task(world, task.script, title, f"goal {written(task.goal)}")
    finally:
        world.close()
    with replacing(out) as temporary:
        Image.fromarray(picture).save(temporary, "PNG")
    console.print(f"{out}", soft_wrap=True)
    return 0
