"""Where things lie and where the arm begins: drawn afresh for every episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import ceiling, nearest, pointing_down
from rain.worlds.omy.things import find_thing

TABLE = ((0.24, 0.50), (-0.30, 0.30))
"""m, x and y that things may lie at."""
REACH = (0.27, 0.51)
"""m from the base's axis: nearer the arm folds onto itself, farther it cannot point down."""
GAP = 0.025
"""m between things, at least."""
START = ((0.24, 0.38), (-0.16, 0.16), (0.20, 0.32))
"""m, where the hand begins, pointing down."""
START_YAW = 0.35
"""rad, by which it is turned at most."""
TRIES = 200


@dataclass(frozen=True)
class Layout:
    """places: thing -> x, y (m) and yaw (rad). joints: (6,) rad, the arm at the start."""

    places: dict[str, tuple[float, float, float]]
    joints: NDArray[np.float64]


def sample_layout(things: Sequence[str], rng: np.random.Generator) -> Layout:
    """Draw a layout in which nothing touches and all is in reach."""
    for _ in range(TRIES):
        places = _places(things, rng)
        if places is not None:
            return Layout(places, sample_start(rng))
    raise RainError(f"no room on the table for {', '.join(things)}")


def _places(
    things: Sequence[str], rng: np.random.Generator
) -> dict[str, tuple[float, float, float]] | None:
    found: dict[str, tuple[float, float, float]] = {}
    # The widest first: what is small finds a place between them.
    for name in sorted(things, key=lambda one: -find_thing(one).radius):
        radius = find_thing(name).radius
        for _ in range(TRIES):
            x, y = (rng.uniform(*side) for side in TABLE)
            if not REACH[0] <= np.hypot(x, y) <= REACH[1]:
                continue
            if all(
                np.hypot(x - other[0], y - other[1]) >= radius + find_thing(one).radius + GAP
                for one, other in found.items()
            ):
                found[name] = (float(x), float(y), float(rng.uniform(-np.pi, np.pi)))
                break
        else:
            return None
    return found


def sample_start(rng: np.random.Generator) -> NDArray[np.float64]:
    """Draw where the arm begins, (6,) rad: the hand above the table, pointing down."""
    for _ in range(TRIES):
        x, y, z = (rng.uniform(*side) for side in START)
        position = [x, y, min(z, ceiling(x, y))]
        rotation = pointing_down(rng.uniform(-START_YAW, START_YAW))
        joints = nearest(position, rotation, arm.HOME)
        if np.isfinite(joints).all():
            return joints
    raise RainError("no start within the arm's reach was found")
