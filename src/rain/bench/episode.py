"""What an episode is run with, and what is known of it afterwards."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from rain.types import HORIZON, Prediction, RainError

PARTS = ("physics", "rendering", "network", "judging", "video")
"""What an episode's seconds are spent on."""


@dataclass(frozen=True)
class RolloutConfig:
    """How an episode is run.

    execute: actions of a 16-step chunk that are executed before the next look.
    threshold, consecutive: a subtask is complete when this many looks in a row give a completion
        above the threshold.
    confirm_after: control steps between a look above the threshold and the next one.
    check_every_step: look at every control step (one network call each).
    horizon: control steps after which the episode ends.
    settle: control steps to hold still after the last subtask before the episode ends.
    stop_on_success: end the episode at the first step at which the goal holds.
    """

    execute: int = 8
    threshold: float = 0.7
    consecutive: int = 2
    confirm_after: int = 1
    check_every_step: bool = False
    horizon: int = 280
    settle: int = 20
    stop_on_success: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.execute <= HORIZON:
            raise RainError(f"execute: expected 1 to {HORIZON} steps, got {self.execute}")
        if not 0.0 <= self.threshold <= 1.0:
            raise RainError(f"threshold: expected a value in [0, 1], got {self.threshold}")
        if not 1 <= self.confirm_after <= self.execute:
            raise RainError(
                f"confirm-after: expected 1 to execute ({self.execute}), got {self.confirm_after}"
            )
        for name in ("consecutive", "horizon", "settle"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Transition:
    """The policy left a subtask: after ``step`` actions, with ``held`` between the fingers."""

    step: int
    subtask: int
    completion: float
    held: str | None


@dataclass(frozen=True)
class Grasp:
    """After ``step`` actions the gripper held ``object`` (a different one than before)."""

    step: int
    object: str


@dataclass(frozen=True)
class Touch:
    """After ``step`` actions a finger first touched ``object``."""

    step: int
    object: str


@dataclass(frozen=True)
class Pause:
    """Before action ``step`` the world said that the robot must hold still, and why."""

    step: int
    reason: str


@dataclass(frozen=True)
class Intervention:
    """Before action ``step`` an operator changed what the policy does, and how."""

    step: int
    what: str


@dataclass(frozen=True)
class EpisodeResult:
    """What happened in one episode.

    outcome: ``success``, ``spoiled`` (the whole task got done where only a part was asked for),
        ``finished`` (the policy said that it was done, the goal did not hold), ``horizon`` (it
        ran out of steps) or ``stopped`` (an operator ended it).
    success: the goal held after some step, as LIBERO counts; where the whole task must not get
        done, it held after the last step and the whole never did.
    success_step: actions executed when the goal first held, of failures too; success_s: the same
        in simulated seconds. final_success: the goal held after the last step. spoiled_step:
        actions executed when the whole task first held.
    steps: actions executed. predictions: network calls. seconds: by part, see ``PARTS``.
    touches: what the fingers touched. done: of each subtask of the script, the actions executed
        when the world first showed it done, or None. actions_sha256: of the actions executed, as
        float64 little-endian bytes: equal where two runs did the same to the bit. held_until:
        actions executed when an object was last held. limit_steps: steps after which a joint was
        at its limit. blind_looks: looks in which no view showed the target's region. The last six
        are None in records older than they are.
    pauses: when perception made the robot hold still; one for each reason in turn.
    told: the subtasks that the policy was told, where they were reasoned from the instruction
        instead of taken from the script; ``transitions`` then count these.
    interventions: what an operator did; an episode with any says nothing of the policy alone.
    """

    outcome: str
    success: bool
    success_step: int | None
    final_success: bool
    steps: int
    transitions: tuple[Transition, ...]
    grasps: tuple[Grasp, ...]
    predictions: int
    seconds: dict[str, float] = field(compare=False)
    success_s: float | None = None
    spoiled_step: int | None = None
    touches: tuple[Touch, ...] | None = None
    done: tuple[int | None, ...] | None = None
    actions_sha256: str | None = None
    held_until: int | None = None
    limit_steps: int | None = None
    blind_looks: int | None = None
    pauses: tuple[Pause, ...] = ()
    told: tuple[str, ...] | None = None
    interventions: tuple[Intervention, ...] = ()


@dataclass(frozen=True)
class Moment:
    """What a watcher of a rollout is told after every step.

    subtask: index of the current subtask, or of the last one when ``finished``. prediction: the
    latest, None where the policy gives none.
    """

    step: int
    subtask: int
    finished: bool
    prediction: Prediction | None
    success: bool
    last: bool


class PartClock:
    """Wall-clock seconds by part."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time of the ``with`` block to ``part``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - start
