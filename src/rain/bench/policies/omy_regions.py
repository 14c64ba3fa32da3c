"""A policy by rule for the arm that knows of its target nothing but the region.

It is no network and learns nothing: from the regions in the two standing views it works out where
the target is, and goes there. Whatever it acts on, the region made it: it checks all that stands
between a click and the arm, and acts for the arm where no checkpoint is at hand.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import (
    HORIZON,
    PLAN_POINTS,
    ActionChunk,
    Observation,
    Plan,
    Prediction,
    Progress,
)
from rain.worlds.omy import arm, omy_conventions
from rain.worlds.omy.hand import yaw_of
from rain.worlds.omy.kinematics import ceiling, forward, nearest, pointing_down
from rain.worlds.omy.scene import RATE_HZ
from rain.worlds.omy.sight import Sighting, sight

SPEED, SLOW, TURN = 0.30 / RATE_HZ, 0.12 / RATE_HZ, 1.6 / RATE_HZ
"""m and rad a control step."""
HOVER, CARRY, LIFT, WITHDRAW = 0.10, 0.17, 0.11, 0.09
"""m: above a thing before it is grasped; the height of what is carried; how far up after."""
NEAR, ARRIVED = 0.02, 0.006
"""m from a waypoint at which it goes on."""
MOVED = 0.06
"""m by which a target has to be elsewhere to count as another; less is a hand that hides it."""
CLOSING = 0.12
"""rad a control step, of the gripper."""
SQUEEZE = 0.30
"""rad that it is asked to close beyond what it holds."""
ROOM = 0.04
"""m, by which it is open wider than what it goes around."""
USUAL = 0.055
"""m, the width of what the view from above does not show."""
LOW = 0.012
"""m above the table of the hand that closes on a thing."""
ROUND = 1.2
"""Length over width below which a thing is grasped as the hand is turned."""


@dataclass(frozen=True)
class RegionPolicies:
    """Makes these policies; they have no randomness."""

    image_size: int = 128
    name: str = "omy-regions"

    def fingerprint(self) -> str:
        """Raised when the rule changes."""
        return "omy-regions-1"

    def __call__(self, seed: int) -> RegionPolicy:
        """One policy."""
        return RegionPolicy(self.image_size)


class RegionPolicy:
    """Goes to where the region is. It remembers how far it is with the subtask, nothing else."""

    def __init__(self, image_size: int = 128) -> None:
        self.conventions = omy_conventions(image_size)
        self._doing = ""
        self._phase = 0
        self._target: Sighting | None = None
        self._grip = 0.0
        self._held_at = 0.03

    def predict(self, observation: Observation) -> Prediction:
        """The next actions; where no view shows the target the arm stays."""
        state = observation.state.astype(np.float64)
        place, rotation = forward(state[:6])
        yaw = yaw_of(rotation)
        self._see(observation, place)
        if self._target is None:
            return _prediction(np.tile(state, (HORIZON, 1)), place, place, 0.0)
        releases = observation.action_type == "release"
        goal, turn, grip = (self._release if releases else self._grasp)(place, yaw, state[6])
        actions = self._way(state, place, yaw, goal, turn, grip, slow=self._phase in (1, 3))
        aim = self._target.position if self._phase < 3 else place
        return _prediction(actions, place, aim, float(self._phase > 3))

    def _see(self, observation: Observation, place: NDArray) -> None:
        """Take the target's place from the regions, unless the hand hides part of it."""
        if observation.action_type != self._doing:
            self._doing, self._phase, self._target = observation.action_type, 0, None
        seen = sight(observation.regions)
        if seen is None:
            return
        known = self._target
        if known is None or np.linalg.norm(seen.position[:2] - known.position[:2]) > MOVED:
            self._target = seen
            # What is in the hand moves with it and is no other target.
            if not (self._doing == "grasp" and self._phase >= 2):
                self._phase = 0
        elif np.linalg.norm(place[:2] - known.position[:2]) > 0.15:
            self._target = seen

    def _grasp(self, place: NDArray, yaw: float, grip: float) -> tuple[NDArray, float, float]:
        """Goal of the hand, its yaw and the gripper's joint: above, down, close, up."""
        target = self._target
        assert target is not None
        at = np.array([target.position[0], target.position[1], LOW])
        above = at + [0, 0, HOVER]
        width = target.width or USUAL
        opened = arm.gripper_at(min(width + ROOM, float(arm.opening(0.0))))
        turn = yaw if target.length < ROUND * target.width else _turned(target.across, yaw)
        closed = min(arm.gripper_at(width) + SQUEEZE, arm.GRIPPER_LIMITS[1])
        if self._phase == 0 and np.linalg.norm(place - above) < NEAR and abs(turn - yaw) < 0.1:
            self._phase = 1
        elif self._phase == 1 and np.linalg.norm(place - at) < ARRIVED:
            self._phase, self._grip = 2, grip
        elif self._phase == 2:
            still = abs(grip - self._grip) < 0.02 and grip > opened + 0.03
            self._phase, self._grip = 3 if still else 2, grip
        elif self._phase == 3 and place[2] > LOW + 0.7 * LIFT:
            self._phase, self._held_at = 4, LOW
        if self._phase < 2:
            return (at if self._phase else above), turn, opened
        if self._phase == 2:
            return at, yaw, closed
        return np.array([place[0], place[1], LOW + LIFT]), yaw, closed

    def _release(self, place: NDArray, yaw: float, grip: float) -> tuple[NDArray, float, float]:
        """Up and across, down, open, up."""
        target = self._target
        assert target is not None
        top = 2 * max(float(target.position[2]), 0.0)
        at = np.array([*target.position[:2], self._held_at + min(top, 0.04) + 0.008])
        above = np.array([*at[:2], CARRY])
        opened = max(0.0, arm.gripper_at(float(arm.opening(grip)) + 0.03))
        if self._phase == 0:
            self._grip = min(grip + SQUEEZE, arm.GRIPPER_LIMITS[1])
            if np.linalg.norm((place - above)[:2]) < NEAR:
                self._phase = 1
        elif self._phase == 1 and np.linalg.norm(place - at) < ARRIVED:
            self._phase, self._grip = 2, opened
        elif self._phase == 2 and abs(grip - self._grip) < 0.05:
            self._phase = 3
        elif self._phase == 3 and place[2] > at[2] + 0.7 * WITHDRAW:
            self._phase = 4
        if self._phase == 0 and place[2] < CARRY - 0.05:
            above = np.array([place[0], place[1], CARRY])  # up first
        if self._phase < 3:
            return (above, at, at)[self._phase], yaw, self._grip
        return at + [0, 0, WITHDRAW], yaw, self._grip

    def _way(
        self, state: NDArray, place: NDArray, yaw: float, goal: NDArray, turn: float, grip: float,
        slow: bool,
    ) -> NDArray[np.float64]:  # fmt: skip
        """Joint targets (16, 7) of a straight way to a pose, at bounded speed."""
        joints, gripper, actions = state[:6], float(state[6]), []
        highest = ceiling(goal[0], goal[1])
        if not np.isfinite(highest):  # nowhere within reach: stay
            goal, highest = place, float(place[2])
        goal = np.array([*goal[:2], min(goal[2], highest)])
        for _ in range(HORIZON):
            change = goal - place
            most = SLOW if slow else SPEED
            place = place + change * min(1.0, most / max(float(np.linalg.norm(change)), 1e-9))
            yaw += float(np.clip(turn - yaw, -TURN, TURN))
            found = nearest(place, pointing_down(yaw), joints)
            # Out of reach: the arm stays where it last could be.
            joints = found if np.isfinite(found).all() else joints
            gripper += float(np.clip(grip - gripper, -CLOSING, CLOSING))
            actions.append([*joints, gripper])
        return np.array(actions)


def _turned(across: float, yaw: float) -> float:
    """The yaw of a hand whose fingers close along ``across``, the one that turns least."""
    wanted = across - np.pi / 2
    return float(yaw + (wanted - yaw + np.pi / 2) % np.pi - np.pi / 2)


def _prediction(actions: NDArray, place: NDArray, aim: NDArray, done: float) -> Prediction:
    """With a straight plan to ``aim``."""
    plan = np.linspace(place, aim, PLAN_POINTS + 1)[1:]
    far = float(np.linalg.norm(aim - place))
    progress = Progress(done, float(np.exp(-5 * far)), float(np.exp(-5 * far)) if far else 1.0)
    return Prediction(ActionChunk(actions), Plan(plan), progress)
