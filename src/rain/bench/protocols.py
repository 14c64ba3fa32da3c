"""What rollouts, films and benchmarks ask of a world beyond the ``World`` protocol, and of the
sources that worlds and policies come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.types import Policy, TaskScript, World


class RolloutWorld(World, Protocol):
    """A world that can also say what the gripper holds."""

    def held_object(self) -> str | None:
        """Name the object that is lifted between the fingers, or None."""

    def proprioception(self) -> NDArray[np.float32]:
        """(n,): the simulator's own state, asked for by policies that need it."""


@dataclass(frozen=True)
class Needs:
    """What a policy uses of an observation, and how it is run.

    A policy says so in an attribute ``needs``; without one it gets regions and no instruction, as
    RAIN does. regions: the target's mask in every view; instruction: the task's words;
    proprioception: the simulator's own state. execute: actions of a chunk that are executed before
    the next look, where the policy knows no other.
    """

    regions: bool = True
    instruction: bool = False
    proprioception: bool = False
    execute: int | None = None


def needs_of(policy: Policy) -> Needs:
    """What a policy says that it needs."""
    return getattr(policy, "needs", None) or Needs()


class FilmedWorld(World, Protocol):
    """A world whose rollouts can be filmed."""

    def project(self, points: NDArray, view: str) -> NDArray:
        """Project points (N, 3), base frame, to pixels (N, 2) of the view's image; NaN behind."""

    def render(self, view: str, size: int) -> NDArray[np.uint8]:
        """One view's image, uint8 (size, size, 3)."""


class ShownWorld(FilmedWorld, Protocol):
    """A world that can show the regions of several targets at once."""

    def regions(self, targets: list[str], view: str, size: int) -> NDArray[np.bool_]:
        """Regions of the targets in one view, bool (n, size, size)."""


class TaskWorld(RolloutWorld, FilmedWorld, Protocol):
    """A world with a task, official init states and other objects to point at."""

    @property
    def script(self) -> TaskScript:
        """The task's own script."""

    @property
    def init_state_count(self) -> int:
        """How many init states there are that evaluations start from, the first ones."""

    @property
    def development_state_count(self) -> int:
        """How many init states follow those, for development."""

    def reset(self, *, init_state: int | None = None, seed: int | None = None) -> None:
        """Start again from an init state or a fresh sample."""

    def graspable(self) -> list[str]:
        """Names of the objects that can be grasped."""

    def script_for(self, target: str) -> TaskScript:
        """The task's script with another object in place of its own."""

    def script_success(self, script: TaskScript) -> bool:
        """Say whether the goal that ``script`` implies holds now."""

    def close(self) -> None:
        """Free what the world holds."""


class PolicySource(Protocol):
    """Makes policies, in whichever process calls it; picklable."""

    @property
    def name(self) -> str:
        """A short name for folders and titles."""

    def fingerprint(self) -> str:
        """A text that changes when the policy does; RainError when there is none."""

    def __call__(self, seed: int) -> Policy:
        """A policy whose randomness starts from ``seed``."""


class WorldSource(Protocol):
    """Makes worlds, in whichever process calls it; picklable."""

    def tasks(self, suite: str) -> dict[int, str]:
        """Number and name of a suite's tasks; RainError when the suite is unknown."""

    def settings(self) -> dict[str, Any]:
        """What results depend on, as JSON values."""

    def __call__(self, suite: str, task: int, image_size: int) -> TaskWorld:
        """The world of a task."""
