"""Scenes that tests of the worlds share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rain.worlds.libero import LiberoWorld


@pytest.fixture(scope="package")
def scene() -> Iterator[Callable[[str, int], LiberoWorld]]:
    """A function from suite and task to their scene, made once. It must not be rendered.

    Only images suffer from several simulators in one process.
    """
    pytest.importorskip("libero", reason="the simulator is not installed")
    from rain.worlds.libero import LiberoWorld

    made: dict[tuple[str, int], LiberoWorld] = {}

    def find(suite: str, task: int) -> LiberoWorld:
        if (suite, task) not in made:
            made[suite, task] = LiberoWorld(suite, task)
        return made[suite, task]

    yield find
    for world in made.values():
        world.close()
