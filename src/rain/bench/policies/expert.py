"""The scripted expert as a policy: it reads the simulator's state, and nothing is rendered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import TaskScript
from rain.worlds.libero.experts.motion import StuckError, Style
from rain.worlds.libero.experts.skills import Skills
from rain.worlds.libero.world import libero_conventions

VERSION = 1
"""Raised when the skills change what they do, so that older episodes are not counted with newer."""


@dataclass(frozen=True)
class ExpertPolicies:
    """Makes experts; the seed draws their style."""

    name: str = "expert"

    def fingerprint(self) -> str:
        """Changes with ``VERSION``."""
        return f"expert-{VERSION}"

    def __call__(self, seed: int) -> ExpertPolicy:
        """An expert in the style of ``seed``."""
        return ExpertPolicy(seed)


class ExpertPolicy:
    """Does a script with the skills; where it is stuck it stops, as a policy that is done does."""

    def __init__(self, seed: int) -> None:
        """Draw the style from ``seed``."""
        self.conventions = libero_conventions(128)
        self._seed = seed

    def actions(self, world: Any, script: TaskScript) -> Iterator[tuple[NDArray, int]]:
        """Actions (7,) with the index of the subtask at work; ``world`` is a LiberoWorld."""
        style = Style.sample(np.random.default_rng(self._seed))
        skills = Skills(world, style, script)
        try:
            for index, subtask in enumerate(script.subtasks):
                for action in skills.do(subtask, index):
                    yield np.clip(action, -1, 1), index
        except StuckError:
            return
