"""Where a region lies, from the two cameras that stand still: robot base frame, metres."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.worlds.omy.scene import STANDING, camera_axes

TABLE = 0.015
"""m, where a region that one view alone shows is taken to be."""


@dataclass(frozen=True)
class Sighting:
    """A region in space. position (3,): its middle. across: yaw, rad, of its narrow side, from +x.

    width, length: m, its sides on the table as the view from above shows them, else 0.
    """

    position: NDArray[np.float64]
    across: float = 0.0
    width: float = 0.0
    length: float = 0.0


def sight(regions: Mapping[str, NDArray]) -> Sighting | None:
    """Where a target is, from its regions view -> (S, S); None where neither camera shows it."""
    rays = [_ray(view, _middle(regions[view])[None], len(regions[view]))
            for view in STANDING if view in regions and regions[view].any()]  # fmt: skip
    if not rays:
        return None
    if len(rays) == 1:
        origin, direction = rays[0][0], rays[0][1][0]
        position = origin + direction * (TABLE - origin[2]) / direction[2]
    else:
        position = _between(*((origin, direction[0]) for origin, direction in rays))
    top = regions.get("top")
    if top is None or not top.any():
        return Sighting(position)
    return Sighting(position, *_shape(np.asarray(top) > 0.5, float(position[2])))


def _middle(region: NDArray) -> NDArray[np.float64]:
    rows, columns = np.nonzero(np.asarray(region) > 0.5)
    if not len(rows):
        return np.array([len(region) / 2] * 2)
    return np.array([columns.mean(), rows.mean()])


def _ray(view: str, pixels: NDArray, size: int) -> tuple[NDArray, NDArray]:
    """Origin (3,) and directions (N, 3) of pixels (N, 2): undoes ``project_points``."""
    at, towards, up, fovy = STANDING[view]
    centre, focal = (size - 1) / 2, 0.5 * size / np.tan(np.deg2rad(fovy) / 2)
    u, v = (np.asarray(pixels, np.float64) - centre).T / focal
    local = np.stack([u, -v, np.full_like(u, -1.0)], axis=1)
    return np.array(at), local @ camera_axes(at, towards, up)


def _between(one: tuple[NDArray, NDArray], other: tuple[NDArray, NDArray]) -> NDArray[np.float64]:
    """The point that is nearest to two rays."""
    left, right = np.zeros((3, 3)), np.zeros(3)
    for origin, direction in (one, other):
        unit = direction / np.linalg.norm(direction)
        across = np.eye(3) - np.outer(unit, unit)
        left, right = left + across, right + across @ origin
    return np.asarray(np.linalg.solve(left, right), np.float64)


def _shape(region: NDArray[np.bool_], height: float) -> tuple[float, float, float]:
    """Yaw of the narrow side, and both sides, of a region seen from above, at ``height``."""
    rows, columns = np.nonzero(region)
    origin, directions = _ray("top", np.stack([columns, rows], axis=1), len(region))
    points = (origin + directions * ((height - origin[2]) / directions[:, 2:]))[:, :2]
    if len(points) < 3:
        return 0.0, 0.0, 0.0
    values, vectors = np.linalg.eigh(np.cov(points.T))
    # Of an evenly filled ellipse the variance along an axis is its half length squared over four.
    narrow, wide = 4 * np.sqrt(np.maximum(values, 0))
    return float(np.arctan2(vectors[1, 0], vectors[0, 0])), float(narrow), float(wide)
