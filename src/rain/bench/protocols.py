"""What rollouts, films and benchmarks ask of a world beyond the ``World`` protocol, and of the
sources that worlds and policies come from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rain.types import Conventions, Observation, Policy, Prediction, Subtask, TaskScript, World


class ObservedWorld(World, Protocol):
    """What a policy that looks needs of a world."""

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        """Observe now, with or without the regions of ``subtask``'s target."""

    def held_object(self) -> str | None:
        """Name the object that is lifted between the fingers, or None."""

    def proprioception(self) -> NDArray[np.float32]:
        """(n,): the simulator's own state, asked for by policies that need it."""


@runtime_checkable
class PerceivedWorld(Protocol):
    """A world whose regions come from perception, which may fail; and which may read."""

    @property
    def pause(self) -> str | None:
        """Why the robot must hold still now, or None."""

    def follow(self) -> None:
        """Keep following the target; called after every step."""

    def told(self, script: TaskScript) -> TaskScript:
        """What the policy is told to do for ``script``, whose goal is judged: the same script, or
        one reasoned from its instruction alone. RainError where that cannot be done."""


class RolloutWorld(ObservedWorld, Protocol):
    """A world that can also say what the gripper touches, and what is done."""

    def touched_objects(self) -> list[str]:
        """Name the objects that any finger touches."""

    def joint_margin(self) -> float:
        """How far the arm's joint that is nearest to a limit of its own is from it, rad."""

    def script_success(self, script: TaskScript) -> bool:
        """Say whether the goal that ``script`` implies holds now."""


@dataclass(frozen=True)
class Needs:
    """What of an observation a policy uses, so that nothing else is rendered, and how it is run.

    A policy says so in an attribute ``needs``; without one it gets regions and no instruction, as
    RAIN does. Views are part of its conventions. regions: the target's mask in every view;
    instruction: the task's words, for policies that read; proprioception: the simulator's own
    state. execute: actions of a chunk that are executed before the next look, where the policy
    knows no other.
    """

    regions: bool = True
    instruction: bool = False
    proprioception: bool = False
    execute: int | None = None


def needs_of(policy: Policy) -> Needs:
    """What a policy says that it needs."""
    return getattr(policy, "needs", None) or Needs()


@runtime_checkable
class WorldPolicy(Protocol):
    """A policy that acts on the world itself, not on observations: the expert, a replay."""

    conventions: Conventions

    def actions(self, world: Any, script: TaskScript) -> Iterator[tuple[NDArray, int]]:
        """Actions (7,), one a control step, each with the index of the subtask at work.

        The world is stepped between two of them. The end says that the policy is done.
        """


AnyPolicy = Policy | WorldPolicy


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

    def pointed_at(self) -> list[str]:
        """Every object that can be grasped and every place that one can be put in."""

    def script_to(self, target: str, turn: int) -> TaskScript | None:
        """A script that points at one of them in the scene as it is; None where there is none."""

    @property
    def whole_fails(self) -> bool:
        """Whether the task is a part of a longer one, and doing the whole counts as failure."""

    def full_success(self) -> bool:
        """Say whether the whole of the longer task holds now."""

    def close(self) -> None:
        """Free what the world holds."""


class PolicySource(Protocol):
    """Makes policies, in whichever process calls it; picklable.

    A source that is a ``BatchingSource`` too has its policies asked together by the policy process;
    others' are asked one after another.
    """

    @property
    def name(self) -> str:
        """A short name for folders and titles."""

    def fingerprint(self) -> str:
        """A text that changes when the policy does; RainError when there is none."""

    def __call__(self, seed: int) -> AnyPolicy:
        """A policy whose randomness starts from ``seed``."""


@runtime_checkable
class BatchingSource(Protocol):
    """A source whose policies can be asked together."""

    def predict_together(
        self, policies: Sequence[Policy], observations: Sequence[Observation], size: int
    ) -> list[Prediction]:
        """One prediction a policy that it made, in their order, computed in ``size`` rows.

        A prediction must not depend on which others are asked with it.
        """


@dataclass(frozen=True)
class TaskFacts:
    """What is known of a task without its simulator.

    type, category: how scores are grouped; those of LIBERO's own suites have the suite for both.
    horizon: control steps it declares, None where it declares none. settings: what a result
    depends on beside the run's settings, as JSON values. missing: why it cannot be run, or "".
    """

    name: str
    type: str
    category: str
    instruction: str = ""
    horizon: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)
    missing: str = ""


class WorldSource(Protocol):
    """Makes worlds, in whichever process calls it; picklable."""

    def suites(self, text: str) -> tuple[str, ...]:
        """The suites that a name, several with commas or a group's name mean; RainError."""

    def tasks(self, suite: str) -> dict[int, str]:
        """Number and name of a suite's tasks; RainError when the suite is unknown."""

    def facts(self, suite: str, task: int) -> TaskFacts:
        """What is known of a task without a simulator."""

    def settings(self) -> dict[str, Any]:
        """What results depend on, as JSON values."""

    def __call__(self, suite: str, task: int, image_size: int, views: tuple[str, ...]) -> TaskWorld:
        """The world of a task, with these views."""
