"""Actions for an approach: what to command so that the hand follows it.

The paper converts the approach "into delta-position actions". A delta command is not a
displacement: the controller covers only part of it in one control period and takes some steps to
get up to speed, so displacements played as commands cover about a quarter of the way. Ours is an
explicit model of that controller, with its gain and its lag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.retarget.rotations import Floats, between
from rain.types import RainError


@dataclass(frozen=True)
class Approach:
    """B approaches of up to N steps, padded with the junction pose.

    steps: int64 (B,), how many each has. positions: (B, N + 1, 3) m and rotations:
    (B, N + 1, 3, 3), from the start to the junction. axis: (B, 3), base frame, and angles:
    (B, N + 1) rad, the same rotations as turns of the start's. velocity: (B, 3) m per step, the
    hand's at the start. states: (B, S), what the robot measured at the start, where it is known.
    """

    steps: NDArray[np.int64]
    positions: Floats
    rotations: Floats
    axis: Floats
    angles: Floats
    velocity: Floats
    states: Floats | None = None


class Controller(Protocol):
    """Turns approaches into actions; implement it for another robot."""

    def actions(self, approach: Approach) -> Floats:
        """Actions (B, N, A - 1) without the gripper; action i leads from pose i to pose i + 1.

        NaN anywhere in an approach says that the robot cannot follow it.
        """


@dataclass(frozen=True)
class DeltaController:
    """A controller of pose deltas: each command sets a goal relative to the present pose.

    A command of 1 puts the goal ``scale`` m (``turn_scale`` rad, base frame) from where the hand
    is now. In one control period the hand moves

        d_t = lag d_{t-1} + (1 - lag) gain scale a_t,

    so at a constant command it covers ``gain`` of the goal a step. The defaults were fitted to
    scripted episodes in LIBERO (OSC_POSE, 20 Hz): 0.0131 m and 0.11 rad a step at full command.
    That rotation also disturbs position a little is left out.

    follow: K of a = clip((K (p*_{t+1} - p_t) + (1 / gain - K) (p*_{t+1} - p*_t)) / scale): absolute
    targets re-expressed each step, plus the command that the path's own speed takes, without which
    the hand trails behind. ``feed_forward`` False leaves out the second term.
    """

    scale: float = 0.05
    turn_scale: float = 0.5
    gain: float = 0.262
    lag: float = 0.55
    turn_gain: float = 0.22
    turn_lag: float = 0.7
    follow: float = 2.0
    feed_forward: bool = True

    def command(self, position: Floats, now: Floats, following: Floats) -> Floats:
        """Command (..., 3) in [-1, 1] at ``position`` for a step of the path ``now -> following``.

        For closed-loop execution: give the measured position each step.
        """
        command = self._command(position, now, following, self.gain) / self.scale
        return np.clip(command, -1.0, 1.0)

    def turn_command(self, rotation: Floats, now: Floats, following: Floats) -> Floats:
        """Command (..., 3) at ``rotation`` for a turn of the path ``now -> following``, base frame.

        All are matrices (..., 3, 3). Like ``command``, for closed-loop execution.
        """

        def turn(first: Floats, second: Floats) -> Floats:
            axis, angle = between(first, second)
            return axis * angle[..., None]

        command = self.follow * turn(rotation, following)
        if self.feed_forward:
            command = command + (1 / self.turn_gain - self.follow) * turn(now, following)
        return np.clip(command / self.turn_scale, -1.0, 1.0)

    def _command(self, at: Floats, now: Floats, following: Floats, gain: float) -> Floats:
        command = self.follow * (following - at)
        if self.feed_forward:
            command = command + (1 / gain - self.follow) * (following - now)
        return command

    def actions(self, approach: Approach) -> Floats:
        """Follow each approach with the model in the loop: (B, N, 6), position then rotation."""
        path, angles = approach.positions, approach.angles
        batch, count = angles.shape[0], angles.shape[1] - 1
        actions = np.zeros((batch, count, 6))
        turns = np.zeros((batch, count))
        position, velocity = path[:, 0].copy(), approach.velocity.copy()
        angle, turning = angles[:, 0].copy(), np.zeros(batch)
        # A turn about a fixed axis is one number: its command must stay in the box of all three.
        widest = np.abs(approach.axis).max(axis=1)
        limit = self.turn_scale / np.where(widest > 0, widest, 1.0)
        for i in range(count):
            command = self.command(position, path[:, i], path[:, i + 1])
            velocity = self.lag * velocity + (1 - self.lag) * self.gain * self.scale * command
            position = position + velocity
            actions[:, i, :3] = command
            turn = self._command(angle, angles[:, i], angles[:, i + 1], self.turn_gain)
            turns[:, i] = np.clip(turn, -limit, limit)
            turning = self.turn_lag * turning + (1 - self.turn_lag) * self.turn_gain * turns[:, i]
            angle = angle + turning
        actions[:, :, 3:] = turns[:, :, None] * (approach.axis / self.turn_scale)[:, None]
        return actions

    def simulate(self, start: Floats, actions: Floats, velocity: Floats | None = None) -> Floats:
        """Positions (B, N + 1, 3) that the model reaches under actions (B, N, >= 3)."""
        position = np.array(start, dtype=np.float64)
        moved = np.zeros_like(position) if velocity is None else np.array(velocity, np.float64)
        positions = [position]
        for i in range(actions.shape[1]):
            command = np.clip(actions[:, i, :3], -1.0, 1.0)
            moved = self.lag * moved + (1 - self.lag) * self.gain * self.scale * command
            positions.append(positions[-1] + moved)
        return np.stack(positions, axis=1)


InverseKinematics = Callable[[Floats, Floats, Floats], Floats]
"""Joints (B, J) that put the hand at positions (B, 3) m with rotations (B, 3, 3), near given joints
(B, J); NaN where there are none."""


@dataclass(frozen=True)
class JointController:
    """A controller of absolute joint targets, through the caller's inverse kinematics.

    joints: (B, J) rad, the arm at each start; by default the first ``count`` numbers of the states.
    lead: steps by which a command is ahead of where the hand shall be, since servos trail behind
    by as much; past the junction the joints go on as they came. max_turn: rad; an approach in
    which a joint turns farther in one step cannot be followed.

    Each pose is solved from the solution before it, so the arm stays in one branch; ``joint_jumps``
    tells where that is not the recording's branch.
    """

    inverse_kinematics: InverseKinematics
    joints: Floats | None = None
    count: int = 6
    lead: float = 0.0
    max_turn: float = float("inf")

    def __post_init__(self) -> None:
        if not 0 <= self.lead <= 1:
            raise RainError(f"JointController.lead: expected 0 to 1 step, got {self.lead}")

    def starts(self, approach: Approach) -> Floats:
        """Joints (B, J) at the starts; RainError where nobody said them."""
        joints = self.joints
        if joints is None and approach.states is not None:
            joints = approach.states[:, : self.count]
        if joints is None or len(joints) != len(approach.steps):
            known = 0 if joints is None else len(joints)
            raise RainError(
                f"JointController: joints of {known} arms, {len(approach.steps)} starts"
            )
        return np.asarray(joints, dtype=np.float64)

    def actions(self, approach: Approach) -> Floats:
        """Joint targets (B, N, J): action i is the arm ``lead`` steps after pose i + 1."""
        path = [self.starts(approach)]
        for i in range(1, approach.angles.shape[1]):
            found = self.inverse_kinematics(
                approach.positions[:, i], approach.rotations[:, i], path[-1]
            )
            path.append(np.asarray(found, dtype=np.float64))
        targets = np.stack(path, axis=1)
        count = targets.shape[1] - 1
        if not count:
            return targets[:, 1:]
        turns = np.diff(targets, axis=1)
        inside = np.arange(count) < approach.steps[:, None]
        # NaN is no turn that is small enough.
        follows = (np.abs(turns).max(axis=-1) <= self.max_turn) | ~inside
        # The turn after each step; after the last one as before it.
        after = np.minimum(np.arange(1, count + 1), np.maximum(approach.steps[:, None] - 1, 0))
        coming = np.take_along_axis(turns, after[..., None], axis=1)
        actions = targets[:, 1:] + self.lead * coming
        actions = np.where(inside[..., None], actions, 0.0)
        return np.where(follows.all(axis=1)[:, None, None], actions, np.nan)


def joint_jumps(actions: Floats, steps: NDArray, joints: Floats) -> Floats:
    """Largest change, rad, of any joint between commands up to the first recorded one: (B,).

    actions: (B, T, J + 1) of synthesised trajectories; steps: (B,), their approaches; joints:
    (B, J) at the start. A large value is an inverse kinematics in another branch than the
    recording's: reject such a trajectory.
    """
    targets = np.concatenate([joints[:, None], actions[:, :, :-1]], axis=1)
    change = np.abs(np.diff(targets, axis=1)).max(axis=-1)
    counted = np.arange(change.shape[1]) <= np.asarray(steps)[:, None]
    return np.where(counted, change, 0.0).max(axis=1)
