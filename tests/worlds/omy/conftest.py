from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from rain.worlds.rendering import choose_gl_backend

if TYPE_CHECKING:
    from rain.worlds.omy import OmyWorld


@pytest.fixture(scope="package")
def omy() -> Iterator[Callable[[int], OmyWorld]]:
    """A function from a task's number to its world, made once, with small images."""
    choose_gl_backend()  # before mujoco is imported for the first time
    pytest.importorskip("mujoco", reason="the simulator is not installed")
    from rain.worlds.omy import OmyWorld

    made: dict[int, OmyWorld] = {}

    def find(task: int) -> OmyWorld:
        if task not in made:
            made[task] = OmyWorld("omy", task, image_size=96)
        return made[task]

    yield find
    for world in made.values():
        world.close()
