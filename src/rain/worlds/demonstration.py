"""What an expert records in a world, whichever world it is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError, TaskScript

TRACKS = ("protocol", "open")
Step = tuple[NDArray, NDArray, bool, int]
"""State before, action, whether it was disturbed, index of the subtask at work."""


@dataclass(frozen=True)
class Demonstration:
    """One recorded episode in a simulated scene.

    states (L, 1 + nq + nv): simulator state before each action; actions (L, 7);
    disturbed bool (L,): the action was an injected disturbance, or led nowhere; fixture_poses
    (n, 7).
    subtask int (L,): index in the script of the subtask the expert was at, its own log; only
    there to measure annotation against, which never reads it.
    """

    suite: str
    task: int
    track: str
    seed: int
    script: TaskScript
    layout: str
    states: NDArray[np.float64]
    actions: NDArray[np.float64]
    disturbed: NDArray[np.bool_]
    fixture_poses: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 7)))
    subtask: NDArray[np.int64] | None = None


class ExpertError(RainError):
    """The expert did not reach the script's goal; ``steps`` is what it did."""

    def __init__(self, reason: str, steps: list[Step]) -> None:
        """Say why, and keep what was done."""
        super().__init__(reason)
        self.steps = steps


class StuckError(Exception):
    """A skill makes no headway: something is in the way, or the arm is at its limits."""


@dataclass(frozen=True)
class Failure:
    """A demonstration that was not kept, and why; what was done of it, if anything."""

    seed: int
    reason: str
    demonstration: Demonstration | None = None


class _Task(Protocol):
    @property
    def suite(self) -> str: ...

    @property
    def index(self) -> int: ...


@dataclass(frozen=True)
class Attempt:
    """What was set out to be recorded: the fields of ``Demonstration`` known before it is done."""

    task: _Task
    track: str
    seed: int
    script: TaskScript
    layout: str
    fixture_poses: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 7)))

    def recorded(self, steps: list[Step], reason: str = "") -> Demonstration | Failure:
        """The demonstration of ``steps``, or the failure where a ``reason`` says that it is one."""
        if not steps:
            return Failure(self.seed, reason)
        states, actions, disturbed, subtask = zip(*steps, strict=True)
        made = Demonstration(
            self.task.suite, self.task.index, self.track, self.seed, self.script, self.layout,
            np.array(states), np.array(actions), np.array(disturbed), self.fixture_poses,
            np.array(subtask),
        )  # fmt: skip
        return Failure(self.seed, reason, made) if reason else made
