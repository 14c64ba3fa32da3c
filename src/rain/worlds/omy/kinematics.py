"""Forward and inverse kinematics of the arm, closed form, many poses at once. NumPy only.

The hand's frame is at ``end_effector_link``, between the finger tips: x is the axis along which the
fingers close, z the direction in which the hand approaches. Positions are in the robot base frame.

The arm's axes are z, y, y, y, z, y, as a UR's, so a pose has at most eight solutions: the shoulder
to either side, the wrist turned to either side, the elbow to either side.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import RainError
from rain.worlds.omy.arm import (
    BASE_HEIGHT,
    FLANGE,
    FOREARM,
    PLANNED,
    TOOL,
    UPPER_ARM,
    WRIST,
    WRIST_OFFSET,
)

Floats = NDArray[np.float64]

HAND_IN_LINK6 = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
"""Columns: the hand's axes in link6, whose -y is the approach."""
SINGULAR = 1e-6
"""Of sin(joint5); below it joints 4 and 6 turn about one axis, and joint6 stays as it was."""


def rotation_y(angle: ArrayLike) -> Floats:
    """(...,) rad -> (..., 3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    return np.stack([c, o, s, o, i, o, -s, o, c], axis=-1).reshape(*np.shape(c), 3, 3)


def rotation_z(angle: ArrayLike) -> Floats:
    """(...,) rad -> (..., 3, 3)."""
    c, s = np.cos(angle), np.sin(angle)
    o, i = np.zeros_like(c), np.ones_like(c)
    return np.stack([c, -s, o, s, c, o, o, o, i], axis=-1).reshape(*np.shape(c), 3, 3)


def forward(joints: ArrayLike) -> tuple[Floats, Floats]:
    """Hand positions (..., 3) m and rotations (..., 3, 3) at joints (..., 6) rad."""
    q = np.asarray(joints, dtype=np.float64)
    pitch = q[..., 1] + q[..., 2] + q[..., 3]
    body = rotation_z(q[..., 0])
    rotation = body @ rotation_y(pitch) @ rotation_z(q[..., 4]) @ rotation_y(q[..., 5])
    elbow = q[..., 1] + q[..., 2]
    # In the arm's plane, which lies WRIST_OFFSET beside the base's axis.
    x = UPPER_ARM * np.sin(q[..., 1]) + FOREARM * np.sin(elbow) + WRIST * np.sin(pitch)
    z = UPPER_ARM * np.cos(q[..., 1]) + FOREARM * np.cos(elbow) + WRIST * np.cos(pitch)
    wrist = np.stack([x, np.full_like(x, -WRIST_OFFSET), z + BASE_HEIGHT], axis=-1)
    position = np.einsum("...ij,...j->...i", body, wrist) - (FLANGE + TOOL) * rotation[..., 1]
    return position, rotation @ HAND_IN_LINK6


def solutions(positions: ArrayLike, rotations: ArrayLike, joint6: ArrayLike = 0.0) -> Floats:
    """All solutions of poses (..., 3) and (..., 3, 3): (..., 8, 6) rad, NaN where there is none.

    joint6: (...,), its value where joint5 leaves it free. Angles are in (-pi, pi].
    """
    position = np.asarray(positions, dtype=np.float64)
    link6 = np.asarray(rotations, dtype=np.float64) @ HAND_IN_LINK6.T
    wrist = position + (FLANGE + TOOL) * link6[..., 1]
    shape = position.shape[:-1]
    free = np.broadcast_to(np.asarray(joint6, dtype=np.float64), shape)
    found = np.full((*shape, 8, 6), np.nan)
    reach = np.hypot(wrist[..., 0], wrist[..., 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        side = np.arcsin(-WRIST_OFFSET / reach)
        for number in range(8):
            shoulder, turned, elbow = number & 1, number & 2, number & 4
            q1 = np.arctan2(wrist[..., 1], wrist[..., 0]) - (np.pi - side if shoulder else side)
            found[..., number, :] = _one(q1, wrist, link6, free, bool(turned), bool(elbow))
    return np.remainder(found + np.pi, 2 * np.pi) - np.pi


def _one(
    q1: Floats, wrist: Floats, link6: Floats, free: Floats, turned: bool, elbow: bool
) -> Floats:
    """The solution of one choice of signs: (..., 6)."""
    back = rotation_z(-q1)
    # R' = Ry(pitch) Rz(q5) Ry(q6): its middle row and column hold no product of all three.
    seen = back @ link6
    q5 = np.arccos(np.clip(seen[..., 1, 1], -1.0, 1.0)) * (-1.0 if turned else 1.0)
    sine = np.sin(q5)
    tame = np.where(np.abs(sine) > SINGULAR, sine, 1.0)
    q6 = np.arctan2(seen[..., 1, 2] / tame, seen[..., 1, 0] / tame)
    q6 = np.where(np.abs(sine) > SINGULAR, q6, free)
    rest = seen @ rotation_y(-q6) @ rotation_z(-q5)
    pitch = np.arctan2(rest[..., 0, 2], rest[..., 0, 0])
    planar = np.einsum("...ij,...j->...i", back, wrist)
    x = planar[..., 0] - WRIST * np.sin(pitch)
    z = planar[..., 2] - BASE_HEIGHT - WRIST * np.cos(pitch)
    cosine = (x**2 + z**2 - UPPER_ARM**2 - FOREARM**2) / (2 * UPPER_ARM * FOREARM)
    q3 = np.arccos(cosine) * (-1.0 if elbow else 1.0)
    q2 = np.arctan2(x, z) - np.arctan2(FOREARM * np.sin(q3), UPPER_ARM + FOREARM * np.cos(q3))
    return np.stack([q1, q2, q3, pitch - q2 - q3, q5, q6], axis=-1)


def nearest(
    positions: ArrayLike, rotations: ArrayLike, near: ArrayLike, limits: ArrayLike = PLANNED
) -> Floats:
    """The solution nearest to joints ``near`` (..., 6): (..., 6) rad, NaN where there is none.

    Near is by the joint that turns farthest. Whole turns are added where the limits (6, 2) allow
    them; what is beyond the limits is no solution.
    """
    here = np.asarray(near, dtype=np.float64)
    low, high = np.asarray(limits, dtype=np.float64).T
    found = solutions(positions, rotations, here[..., 5])
    start = here[..., None, :]
    found = found + 2 * np.pi * np.round((start - found) / (2 * np.pi))
    found = np.where(found > high, found - 2 * np.pi, found)
    found = np.where(found < low, found + 2 * np.pi, found)
    allowed = ((found >= low) & (found <= high)).all(axis=-1)  # NaN is not
    turn = np.where(allowed, np.abs(found - start).max(axis=-1), np.inf)
    best = np.take_along_axis(found, turn.argmin(axis=-1)[..., None, None], axis=-2)[..., 0, :]
    return np.where(allowed.any(axis=-1)[..., None], best, np.nan)


def inverse(position: ArrayLike, rotation: ArrayLike, near: ArrayLike) -> Floats:
    """Joints (6,) rad of one pose, nearest to ``near``; RainError where it is out of reach."""
    found = nearest(position, rotation, near)
    if not np.isfinite(found).all():
        where = ", ".join(f"{value:.3f}" for value in np.asarray(position))
        raise RainError(f"the hand cannot be brought to ({where}) m with that rotation")
    return found


def pointing_down(yaw: ArrayLike) -> Floats:
    """Rotation (..., 3, 3) of a hand that points down, its fingers' axis at ``yaw`` from +y."""
    down = np.array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, -1.0]])
    return rotation_z(yaw) @ down


def ceiling(x: float, y: float, stretch: float = 0.97) -> float:
    """How high, m, a hand that points down gets over (x, y), the arm bent a little at the elbow.

    stretch: of the arm's full length. -inf where it does not get there at all.
    """
    plane = x**2 + y**2 - WRIST_OFFSET**2
    if plane < 0:
        return -np.inf
    across = np.sqrt(plane) - WRIST
    square = (stretch * (UPPER_ARM + FOREARM)) ** 2 - across**2
    return float(BASE_HEIGHT - FLANGE - TOOL + np.sqrt(square)) if square >= 0 else -np.inf
