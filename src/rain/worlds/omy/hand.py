"""The expert's hand: it leads a pose through the scene; joints follow by inverse kinematics.

What is commanded is a path of its own, without feedback: the servos follow it by about a control
period. So actions are smooth, and where they lead does not depend on how well they are followed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.worlds.demonstration import StuckError
from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import ceiling, forward, nearest, pointing_down
from rain.worlds.omy.scene import RATE_HZ
from rain.worlds.omy.world import OmyWorld

GAIN = 0.16
"""Of the way to a goal that the commanded pose would go in a step, were it not for its limits."""
TURN_SPEED = 1.6
"""rad/s about the vertical, at most."""


@dataclass(frozen=True)
class Style:
    """How one demonstration moves.

    speed: m/s far from things; slow: m/s of the last centimetres; acceleration: m/s^2. hover: m,
    height over a thing at which the hand begins to go down; lift: m, how high it is then lifted.
    carry: m, height of the hand while it carries. open: rad, of the open gripper. closing: rad a
    step. squeeze: rad that the closed gripper is asked for beyond the thing. low: m, between finger
    tips and table. off: m, along the thing, from its middle. beside: m, radius in which a place's
    middle is missed. drop: m, between a thing and its place when the hand lets go.
    """

    speed: float = 0.30
    slow: float = 0.12
    acceleration: float = 1.2
    hover: float = 0.10
    lift: float = 0.10
    carry: float = 0.17
    open: float = 0.1
    closing: float = 0.12
    squeeze: float = 0.30
    low: float = 0.005
    off: float = 0.0
    beside: float = 0.0
    drop: float = 0.006

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Style:
        """Draw one."""
        return cls(
            speed=rng.uniform(0.22, 0.40),
            slow=rng.uniform(0.08, 0.15),
            acceleration=rng.uniform(0.8, 1.6),
            hover=rng.uniform(0.07, 0.13),
            lift=rng.uniform(0.08, 0.13),
            carry=rng.uniform(0.15, 0.21),
            open=rng.uniform(0.0, 0.2),
            closing=rng.uniform(0.08, 0.16),
            squeeze=rng.uniform(0.22, 0.40),
            low=rng.uniform(0.003, 0.008),
            off=rng.uniform(-0.006, 0.006),
            beside=rng.uniform(0.0, 0.018),
            drop=rng.uniform(0.002, 0.012),
        )


class Hand:
    """The commanded pose of one demonstration, and the action that brings the servos there."""

    def __init__(self, world: OmyWorld, style: Style) -> None:
        """Begin where the servos are asked to be."""
        self.style = style
        setpoint = world.setpoint
        self.joints, self.gripper = setpoint[:6], float(setpoint[6])
        self.position, rotation = forward(self.joints)
        self.yaw = yaw_of(rotation)
        self._velocity = np.zeros(3)

    def toward(
        self, goal: ArrayLike, yaw: float, gripper: float, speed: float | None = None
    ) -> NDArray[np.float64]:
        """Lead the pose on by one step: the action (7,) rad.

        goal: (3,) m, where the arm does not get so high lower than that. speed: m/s, the style's
        by default. The gripper moves by ``style.closing`` a step at most. StuckError where the
        arm cannot follow.
        """
        fastest = (self.style.speed if speed is None else speed) / RATE_HZ
        wanted = (self.within_reach(goal) - self.position) * GAIN
        change = _shortened(wanted, fastest) - self._velocity
        self._velocity += _shortened(change, self.style.acceleration / RATE_HZ**2)
        turn = (yaw - self.yaw) * GAIN
        most = TURN_SPEED / RATE_HZ
        self._go(self.position + self._velocity, self.yaw + float(np.clip(turn, -most, most)))
        closing = self.style.closing
        self.gripper += float(np.clip(gripper - self.gripper, -closing, closing))
        return np.append(self.joints, self.gripper)

    def pushed(self, velocity: ArrayLike) -> NDArray[np.float64]:
        """Lead the pose on by ``velocity`` (3,) m a step, as something that pushes it would.

        At the end of the arm's reach it stays where it is.
        """
        self._velocity = np.array(velocity, dtype=np.float64)
        try:
            self._go(self.position + self._velocity, self.yaw)
        except StuckError:
            self._velocity = np.zeros(3)
        return np.append(self.joints, self.gripper)

    def far(self, goal: ArrayLike) -> float:
        """m from the commanded pose to a goal (3,), as far as it is within reach."""
        return float(np.linalg.norm(self.within_reach(goal) - self.position))

    @staticmethod
    def within_reach(goal: ArrayLike) -> NDArray[np.float64]:
        """A goal (3,) m, lowered to where the hand gets; StuckError if nowhere."""
        x, y, z = np.asarray(goal, dtype=np.float64)
        highest = ceiling(x, y)
        if not np.isfinite(highest):
            raise StuckError(f"({x:.2f}, {y:.2f}) is out of the arm's reach")
        return np.array([x, y, min(z, highest)])

    def _go(self, position: NDArray, yaw: float) -> None:
        position = self.within_reach(position)
        joints = nearest(position, pointing_down(yaw), self.joints)
        if not np.isfinite(joints).all():
            raise StuckError("the hand would leave the arm's reach")
        if np.abs(joints - self.joints).max() > arm.SPEED / RATE_HZ:
            raise StuckError("the arm would have to turn over")
        self.position, self.yaw, self.joints = position, yaw, joints


def _shortened(vector: NDArray[np.float64], most: float) -> NDArray[np.float64]:
    """A vector (3,) with its length limited."""
    return vector * (most / max(most, float(np.linalg.norm(vector))))


def yaw_of(rotation: NDArray) -> float:
    """Yaw, rad, of a hand that points down: undoes ``pointing_down``."""
    return float(np.arctan2(-rotation[0, 0], rotation[1, 0]))
