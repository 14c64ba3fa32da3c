"""Holding the arm still, which depends on what an action means."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rain.bench.protocols import ObservedWorld
from rain.types import RainError

DELTAS, JOINTS = "libero_osc_pose_delta", "omy_joint_absolute"
"""Meanings of actions with which the arm can be held still."""


def resting(world: ObservedWorld) -> NDArray:
    """(1, 7): what is held where no action was executed yet: no delta, or the joints as they are.

    Joint targets of a chunk would be gone to, however far they are.
    """
    if world.conventions.action == JOINTS:
        return world.proprioception()[None]
    return np.zeros((1, 7), np.float32)


def hold(last: NDArray | None, chunk: NDArray | None, meaning: str) -> NDArray:
    """The action that keeps the arm and the gripper as they are, float32 (7,).

    What "still" is depends on what an action means, so there is no default: an unknown meaning
    raises RainError. ``chunk`` is used where no action was executed yet; without one the gripper is
    told nothing.
    """
    if last is None:
        last = np.zeros(7, np.float32) if chunk is None else chunk[0]
    if meaning == JOINTS:
        return last
    if meaning != DELTAS:
        raise RainError(f"rollout: how to hold still with actions of {meaning!r} is not known")
    still = np.zeros_like(last)
    still[-1] = last[-1]
    return still
