"""The scripted experts as policies: they read the simulator's state, and nothing is rendered."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import Conventions, Subtask, TaskScript
from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts import motion
from rain.worlds.libero.experts import skills as libero
from rain.worlds.libero.world import libero_conventions
from rain.worlds.omy import hand, omy_conventions
from rain.worlds.omy import skills as omy

Do = Callable[[Subtask, int], Iterator[NDArray]]
"""Subtask and its index in the script -> its actions (7,)."""


@dataclass(frozen=True)
class ExpertPolicies:
    """Makes experts of one kind; the seed draws their style.

    version: raised when the skills change what they do, so that older episodes are not counted with
    newer.
    """

    name: str
    version: int
    kind: Callable[[int], ExpertPolicy]

    def fingerprint(self) -> str:
        """Changes with ``version``."""
        return f"{self.name}-{self.version}"

    def __call__(self, seed: int) -> ExpertPolicy:
        """An expert in the style of ``seed``."""
        return self.kind(seed)


class ExpertPolicy(ABC):
    """Does a script with the skills; where it is stuck it stops, as a policy that is done does."""

    conventions: Conventions

    def __init__(self, seed: int) -> None:
        """Draw the style from ``seed``."""
        self._seed = seed

    @abstractmethod
    def _skills(self, world: Any, script: TaskScript, rng: np.random.Generator) -> Do:
        """What does the subtasks of ``script``; ``rng`` draws its style."""

    def actions(self, world: Any, script: TaskScript) -> Iterator[tuple[NDArray, int]]:
        """Actions (7,) with the index of the subtask at work."""
        do = self._skills(world, script, np.random.default_rng(self._seed))
        try:
            for index, subtask in enumerate(script.subtasks):
                for action in do(subtask, index):
                    yield action, index
        except StuckError:
            return


class LiberoExpert(ExpertPolicy):
    """In a LiberoWorld, by LIBERO's commands."""

    conventions = libero_conventions(128)

    def _skills(self, world: Any, script: TaskScript, rng: np.random.Generator) -> Do:
        skills = libero.Skills(world, motion.Style.sample(rng), script)
        return lambda subtask, index: (np.clip(a, -1, 1) for a in skills.do(subtask, index))


class OmyExpert(ExpertPolicy):
    """In an OmyWorld, by joint targets, rad."""

    conventions = omy_conventions(128)

    def _skills(self, world: Any, script: TaskScript, rng: np.random.Generator) -> Do:
        skills = omy.Skills(world, hand.Style.sample(rng), rng)
        return lambda subtask, index: skills.do(subtask)


EXPERTS = {
    "expert": ExpertPolicies("expert", 1, LiberoExpert),
    "omy-expert": ExpertPolicies("omy-expert", 1, OmyExpert),
}
