"""Joint targets that others send, as the simulated arm and the recorder hear them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.robot.robot import Robot
from rain.robot.timing import Clock, SystemClock
from rain.types import ACTION_DIM


class HeardTargets:
    """The joint targets that were heard last, by name; NaN and strangers are refused."""

    def __init__(
        self, robot: Robot, begin: ArrayLike | None = None, clock: Clock | None = None
    ) -> None:
        """``begin``: joint targets before any was heard; by default they are not known."""
        self._robot, self._clock = robot, clock or SystemClock()
        self._lock = threading.Lock()
        self._latest = np.full(ACTION_DIM, np.nan) if begin is None else np.array(begin, float)
        self._stamp = float("-inf")
        self.heard = self.refused = 0

    @property
    def latest(self) -> NDArray[np.float64]:
        """(7,) rad; NaN where a joint has had none."""
        with self._lock:
            return self._latest.copy()

    @property
    def stamp(self) -> float:
        """When the last were heard."""
        return self._stamp

    def set(self, targets: ArrayLike) -> None:
        """As if these (7,) had been heard."""
        with self._lock:
            self._latest = np.array(targets, dtype=np.float64)

    def take(self, message: Any) -> None:
        """Take a trajectory's last point; joints that it does not name stay."""
        names = list(message.joint_names)
        positions = list(message.points[-1].positions) if message.points else []
        fits = names and len(names) == len(positions) and set(names) <= set(self._robot.joints)
        if not fits or not np.isfinite(positions).all():
            self.refused += 1
            return
        with self._lock:
            for name, angle in zip(names, positions, strict=True):
                self._latest[self._robot.joints.index(name)] = angle
            self._stamp = self._clock.now()
            self.heard += 1
