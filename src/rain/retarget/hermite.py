"""The approach: a cubic Hermite spline from the start to the junction (eq. 8 and 9)."""

from __future__ import annotations

import numpy as np

from rain.retarget.rotations import Floats

NODES = 17
"""Points at which lengths are integrated (Simpson needs an odd number)."""

CHORDS = 64
"""Of a chain: it is within 0.2 mm of a spline of 0.5 m."""


def basis(u: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """psi_00, psi_10, psi_01, psi_11 of eq. 9 at u in [0, 1], each of u's shape."""
    square = u * u
    cube = square * u
    return 2 * cube - 3 * square + 1, cube - 2 * square + u, 3 * square - 2 * cube, cube - square


def hermite(start: Floats, end: Floats, tangent: Floats, u: Floats) -> Floats:
    """C(u) of eq. 8: (B, N, 3).

    start, end: (B, 3) m; tangent: (B, 3), unit or zero; u: (N,) or (B, N) in [0, 1].
    D_0 = end - start and D_1 = L tangent with L = |D_0|, as in the paper. C(0) and C(1) are exact,
    and C'(0) = D_0, C'(1) = D_1. A zero tangent (a reference that stood still) arrives and stops.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    first, last = end_derivatives(start, end, tangent)
    h00, h10, h01, h11 = (h[..., None] for h in basis(np.atleast_2d(np.asarray(u, np.float64))))
    return h00 * start[:, None] + h10 * first[:, None] + h01 * end[:, None] + h11 * last[:, None]


def end_derivatives(start: Floats, end: Floats, tangent: Floats) -> tuple[Floats, Floats]:
    """D_0 and D_1 of eq. 8, each (B, 3)."""
    chord = end - start
    return chord, np.sqrt((chord**2).sum(axis=-1, keepdims=True)) * tangent


def speeds(start: Floats, end: Floats, tangent: Floats, nodes: int = NODES) -> Floats:
    """|C'(u)| at ``nodes`` evenly spaced u: (B, nodes), in m per unit of u."""
    first, last = end_derivatives(np.asarray(start, np.float64), np.asarray(end), tangent)
    u = np.linspace(0.0, 1.0, nodes)[:, None]
    # The chord equals D_0, which joins three of the four terms.
    velocity = (1 + 2 * u - 3 * u * u) * first[:, None] + (3 * u * u - 2 * u) * last[:, None]
    return np.sqrt(np.einsum("bnd,bnd->bn", velocity, velocity))


def arc_length(speed: Floats) -> Floats:
    """Length (B,) from ``speeds``, by Simpson's rule."""
    nodes = speed.shape[1]
    weights = np.where(np.arange(nodes) % 2 == 1, 4.0, 2.0)
    weights[[0, -1]] = 1.0
    return speed @ weights / (3 * (nodes - 1))


def top_speed(speed: Floats) -> Floats:
    """A bound (B,) of |C'| over all u, from ``speeds``.

    C' is quadratic and |C'''| is at most 12 L, so between two nodes h apart |C'| rises at most
    12 L h^2 / 8 above the higher of both; L is the speed at u = 0.
    """
    gap = 1.0 / (speed.shape[1] - 1)
    return speed.max(axis=1) + 1.5 * gap * gap * speed[:, 0]


def chain(start: Floats, end: Floats, tangent: Floats) -> tuple[Floats, Floats]:
    """The spline as a fine chain of chords: points (B, K, 3) and the length (B, K) up to each."""
    points = hermite(start, end, tangent, np.linspace(0.0, 1.0, CHORDS + 1))
    step = np.diff(points, axis=1)
    length = np.zeros(points.shape[:2])
    np.cumsum(np.sqrt(np.einsum("bnd,bnd->bn", step, step)), axis=1, out=length[:, 1:])
    return points, length


def even_points(points: Floats, length: Floats, fraction: Floats) -> Floats:
    """Points (B, N, 3) of a ``chain`` with ``fraction`` (B, N) in [0, 1] of its length behind.

    On the chain itself: however the spline turns, no step is longer than its share of the length.
    """
    total = length[:, -1:]
    # A spline of no length has nothing to spread: all its points are one.
    share = length / np.where(total > 0, total, 1.0)
    return np.stack(
        [rowwise_interp(fraction, share, points[..., axis]) for axis in range(3)], axis=-1
    )


def rowwise_interp(x: Floats, xp: Floats, fp: Floats) -> Floats:
    """``np.interp`` of each row: x (B, N) into xp, fp (B, K), all xp and x in [0, 1]."""
    # Rows two apart lie behind each other on one axis: a single lookup serves them all.
    shift = 2.0 * np.arange(len(xp))[:, None]
    return np.interp((x + shift).ravel(), (xp + shift).ravel(), fp.ravel()).reshape(x.shape)
