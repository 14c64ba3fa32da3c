"""Rotations, batched: the angle and axis between two, and the geodesic (slerp) in between."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SMALL = 1e-12


def axis_angle(rotation: Floats) -> tuple[Floats, Floats]:
    """Unit axis (..., 3) and angle (...) in [0, pi] of rotation matrices (..., 3, 3).

    Goes through the quaternion, which keeps its precision at 0 and at pi. The axis of no rotation
    is (0, 0, 1).
    """
    r = np.asarray(rotation, dtype=np.float64)
    x, y, z = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    off = [
        r[..., 2, 1] - r[..., 1, 2],
        r[..., 0, 2] - r[..., 2, 0],
        r[..., 1, 0] - r[..., 0, 1],
    ]
    sums = [
        r[..., 1, 0] + r[..., 0, 1],
        r[..., 0, 2] + r[..., 2, 0],
        r[..., 2, 1] + r[..., 1, 2],
    ]
    # Row i of 4 q q^T, each up to a common factor the quaternion: the row of the largest
    # component is the one without cancellation.
    rows = np.stack(
        [
            np.stack([1 + x + y + z, off[0], off[1], off[2]], axis=-1),
            np.stack([off[0], 1 + x - y - z, sums[0], sums[1]], axis=-1),
            np.stack([off[1], sums[0], 1 - x + y - z, sums[2]], axis=-1),
            np.stack([off[2], sums[1], sums[2], 1 - x - y + z], axis=-1),
        ],
        axis=-2,
    )
    diagonal = np.diagonal(rows, axis1=-2, axis2=-1)
    best = diagonal.argmax(axis=-1)[..., None, None]
    q = np.take_along_axis(rows, best, axis=-2)[..., 0, :]
    q = q * np.where(q[..., :1] < 0, -1.0, 1.0)
    length = np.sqrt((q[..., 1:] ** 2).sum(axis=-1))
    angle = 2 * np.arctan2(length, q[..., 0])
    turned = length > SMALL
    axis = q[..., 1:] / np.where(turned, length, 1.0)[..., None]
    return np.where(turned[..., None], axis, [0.0, 0.0, 1.0]), np.where(turned, angle, 0.0)


def cross_matrix(axis: Floats) -> Floats:
    """K (..., 3, 3) with K v = axis x v."""
    matrix = np.zeros((*axis.shape, 3))
    matrix[..., 2, 1] = axis[..., 0]
    matrix[..., 1, 2] = -axis[..., 0]
    matrix[..., 0, 2] = axis[..., 1]
    matrix[..., 2, 0] = -axis[..., 1]
    matrix[..., 1, 0] = axis[..., 2]
    matrix[..., 0, 1] = -axis[..., 2]
    return matrix


def turn(start: Floats, axis: Floats, angles: Floats) -> Floats:
    """Turn rotations (B, 3, 3) about fixed axes (B, 3), base frame, by angles (B, N) rad.

    Returns (B, N, 3, 3). With ``axis, angle = axis_angle(end @ start^T)`` and angles going from 0
    to ``angle`` this is the slerp from start to end.
    """
    start = np.asarray(start, dtype=np.float64)
    k = cross_matrix(np.asarray(axis, dtype=np.float64))
    once = k @ start
    twice = k @ once
    # Rodrigues, with the three matrices computed once for all N angles.
    sine, versine = np.sin(angles)[..., None], (1 - np.cos(angles))[..., None]
    shape = (len(start), 1, 9)
    flat = start.reshape(shape) + sine * once.reshape(shape) + versine * twice.reshape(shape)
    return flat.reshape(*angles.shape, 3, 3)


def between(start: Floats, end: Floats) -> tuple[Floats, Floats]:
    """Axis (..., 3), base frame, and angle (...) that turn ``start`` into ``end``."""
    return axis_angle(
        np.asarray(end, dtype=np.float64) @ np.swapaxes(np.asarray(start, np.float64), -1, -2)
    )
