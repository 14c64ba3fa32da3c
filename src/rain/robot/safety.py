"""What may be sent to the arm: every joint target passes here, and every clamp is told.

Nothing here reads a clock or a port: ``Safety.check`` is a function of what it is given and of what
it let through before. In this order:

1. an e-stop wins over everything, and stays until it is released
2. a target that is NaN or has another shape is refused: the arm holds
3. joint position and gripper limits
4. step limit: how far a target may be from the joint as measured, so that an arm that is blocked is
   not pressed on, and a target is never far ahead of the arm
5. velocity limit, from the last target, and lower at a slow start
6. workspace box: the target goes as far towards what is wanted as the hand stays inside
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.robot.robot import Robot
from rain.types import ACTION_DIM, RainError

Floats = NDArray[np.float64]
Forward = Callable[[Floats], Floats]
"""Joints (6,) rad -> hand position (3,) m, robot base frame."""

NOTABLE = 1e-6
"""rad; smaller changes are rounding."""
FADES = 3
"""How many times as fast a slow start's gain is lost at rest: a missed period must not count."""
HALVINGS = 16
"""Of the way to a target beyond the workspace: to a 65 536th of it."""


@dataclass(frozen=True)
class Clamp:
    """One limit that changed a target.

    what: ``e_stop``, ``refused``, ``position``, ``gripper``, ``step``, ``velocity``, ``slow_start``
    or ``workspace``. joints: the names of those it changed. wanted, given: rad (7,), before and
    after; wanted is what was asked for where it was refused.
    """

    what: str
    joints: tuple[str, ...]
    wanted: tuple[float, ...]
    given: tuple[float, ...]


@dataclass(frozen=True)
class Checked:
    """What may be sent: rad (7,), or None where nothing is known that would be safe."""

    target: Floats | None
    clamps: tuple[Clamp, ...] = ()


def forward_of(robot: Robot) -> Forward:
    """Where the hand is, for the robot's kinematics; RainError where they are not known."""
    if robot.kinematics == "omy_f3m":
        from rain.worlds.omy.kinematics import forward

        return lambda joints: forward(joints)[0]
    raise RainError(f"{robot.name}: kinematics {robot.kinematics!r} are not known")


class Safety:
    """Lets targets through as far as they are safe. The last target is what is held."""

    def __init__(self, robot: Robot, forward: Forward | None = None) -> None:
        """``forward``: the robot's own by default."""
        self._robot = robot
        self._forward = forward or forward_of(robot)
        self._sent: Floats | None = None
        self._moved_s = 0.0
        self._stop: str | None = None
        self._frozen: Floats | None = None

    # --- e-stop -----------------------------------------------------------------------------------

    @property
    def stopped(self) -> str | None:
        """Why the e-stop holds the arm, or None."""
        return self._stop

    def e_stop(self, reason: str) -> None:
        """Hold the arm where it is until ``release``; the first reason stays."""
        if self._stop is None:
            self._stop, self._frozen = reason, None

    def release(self) -> None:
        """Let the arm move again, slowly at first."""
        self._stop, self._frozen, self._moved_s = None, None, 0.0

    # --- targets ----------------------------------------------------------------------------------

    def _rest(self) -> None:
        """The arm stands still for a period: what it has gained in speed fades."""
        self._moved_s = max(0.0, self._moved_s - FADES / self._robot.rate_hz)

    def check(self, wanted: Any, measured: Any) -> Checked:
        """What may be sent for one period.

        wanted: joint targets (7,) rad, or None to hold. measured: joints (7,) rad as last measured,
        or None where they are not known; nothing moves then.
        """
        here = _joints(measured)
        if self._stop is not None:
            return self._stopped(wanted, here)
        clamps: list[Clamp] = []
        target = _joints(wanted)
        if target is None or here is None:
            self._rest()
            held = self._keep(self._near(self._held(here), here, clamps))
            if wanted is not None:
                clamps.append(self._clamp("refused", wanted, held))
            return Checked(held, tuple(clamps))
        target = self._limited(target, here, clamps)
        moved = self._moved_s + 1 / self._robot.rate_hz
        self._moved_s = min(moved, self._robot.slow_start.seconds)
        return Checked(self._keep(target), tuple(clamps))

    def _limited(self, target: Floats, here: Floats, clamps: list[Clamp]) -> Floats:
        robot = self._robot
        bounded = np.clip(target, robot.low, robot.high)
        arm_only, gripper_only = target.copy(), bounded.copy()
        arm_only[:-1] = bounded[:-1]
        self._note("position", target, arm_only, clamps)
        self._note("gripper", arm_only, gripper_only, clamps)
        near = self._near(bounded, here, clamps)
        assert near is not None
        # Before the first target the arm is where it is, and must not jump to anything else.
        last = here if self._sent is None else self._sent
        farthest = robot.velocity / robot.rate_hz
        slowed = last + np.clip(near - last, -farthest, farthest)
        self._note("velocity", near, slowed, clamps)
        share = self._share()
        eased = last + np.clip(slowed - last, -farthest * share, farthest * share)
        self._note("slow_start", slowed, eased, clamps)
        inside = self._inside(last, eased)
        self._note("workspace", eased, inside, clamps)
        return inside

    def _near(
        self, target: Floats | None, here: Floats | None, clamps: list[Clamp]
    ) -> Floats | None:
        """The step limit. It also holds for what is held: an arm whose power was off, or that was
        pushed away, must not jump back."""
        if target is None or here is None:
            return target
        near = np.clip(target, here - self._robot.step, here + self._robot.step)
        self._note("step", target, near, clamps)
        return near

    def _share(self) -> float:
        start = self._robot.slow_start
        if start.seconds <= 0:
            return 1.0
        return min(1.0, start.share + (1 - start.share) * self._moved_s / start.seconds)

    def _inside(self, last: Floats, target: Floats) -> Floats:
        """As far towards the target as the hand stays in the workspace, or gets no farther out."""
        allowed = max(self._outside(last), 0.0)
        if self._outside(target) <= allowed:
            return target
        good, bad = 0.0, 1.0
        for _ in range(HALVINGS):
            middle = (good + bad) / 2
            if self._outside(last + middle * (target - last)) <= allowed:
                good = middle
            else:
                bad = middle
        stopped = last + good * (target - last)
        # The gripper does not move the hand: it may go on.
        stopped[-1] = target[-1]
        return stopped

    def _outside(self, joints: Floats) -> float:
        """How far the hand is outside of the workspace, m; 0 inside."""
        low, high = self._robot.workspace.T
        hand = np.asarray(self._forward(joints[:-1]))
        return float(np.maximum(np.maximum(low - hand, hand - high), 0.0).max())

    def _stopped(self, wanted: Any, here: Floats | None) -> Checked:
        if self._frozen is None:
            # Where the arm is, not its last target: that may be a step ahead. The fingers keep
            # their command, or what they hold would fall.
            self._frozen = self._sent if here is None else here.copy()
            if self._frozen is not None and self._sent is not None:
                self._frozen = np.append(self._frozen[:-1], self._sent[-1])
        clamps: list[Clamp] = []
        held = self._keep(self._near(self._frozen, here, clamps))
        if wanted is not None:
            clamps.append(self._clamp("e_stop", wanted, held))
        return Checked(held, tuple(clamps))

    def _held(self, here: Floats | None) -> Floats | None:
        if self._robot.hold == "measured" and here is not None:
            return here if self._sent is None else np.append(here[:-1], self._sent[-1])
        return here if self._sent is None else self._sent

    def _keep(self, target: Floats | None) -> Floats | None:
        if target is None:
            return None
        self._sent = target.copy()
        return target.copy()

    def _note(self, what: str, before: Floats, after: Floats, clamps: list[Clamp]) -> None:
        changed = np.abs(after - before) > NOTABLE
        if changed.any():
            names = tuple(n for n, c in zip(self._robot.joints, changed, strict=True) if c)
            clamps.append(Clamp(what, names, tuple(before.tolist()), tuple(after.tolist())))

    def _clamp(self, what: str, wanted: Any, held: Floats | None) -> Clamp:
        given = () if held is None else tuple(held.tolist())
        try:
            asked = tuple(float(value) for value in np.ravel(wanted)[:ACTION_DIM])
        except (TypeError, ValueError):
            asked = ()
        return Clamp(what, self._robot.joints, asked, given)


def _joints(value: Any) -> Floats | None:
    """(7,) finite numbers, or None where it is anything else."""
    if value is None:
        return None
    try:
        joints = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return joints.copy() if joints.shape == (ACTION_DIM,) and np.isfinite(joints).all() else None
