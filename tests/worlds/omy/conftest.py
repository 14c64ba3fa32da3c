from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rain.worlds.omy import OmyWorld


@pytest.fixture(scope="package")
def omy() -> Iterator[Callable[[int], OmyWorld]]:
    """A function from a task's number to its world, made once, with small images."""
    # Not importorskip: the world chooses a GL back end before mujoco is first imported.
    if not find_spec("mujoco"):
        pytest.skip("the simulator is not installed")
    from rain.worlds.omy import OmyWorld

    made: dict[int, OmyWorld] = {}

    def find(task: int) -> OmyWorld:
        if task not in made:
            made[task] = OmyWorld("omy", task, image_size=96)
        return made[task]

    yield find
    for world in made.values():
        world.close()
