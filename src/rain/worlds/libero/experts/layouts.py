"""Where objects start: the protocol track's own regions, and the open track's variations."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import yaml
from numpy.typing import NDArray

from rain.worlds.libero.experts.grasps import crowded
from rain.worlds.libero.experts.shapes import object_box, tilt
from rain.worlds.libero.world import LiberoWorld

HELD_OUT_TOLERANCE = 0.05
"""m; BDDL regions are 5 cm wide, so this covers every sample of one."""

WORKSPACE = ((0.34, 0.77), (-0.28, 0.12))
"""x and y, m, base frame, in which objects are scattered; the basket has its own room."""
REACH = (0.30, 0.755)
"""Distance from the robot's base, m, in which an object can be grasped from above."""
BASKET_ROOM = ((0.52, 0.68), (0.21, 0.30))
START_ROOM = ((0.36, 0.62), (-0.20, 0.20), (0.16, 0.36))
SPACING = 0.095
FALLEN = np.deg2rad(15)


@dataclass(frozen=True)
class LayoutMix:
    """How often the open track uses the scene's own regions, permuted places, scattered ones.

    turned: largest yaw, rad, of an object in permuted and scattered layouts; moved_start:
    probability that the arm starts elsewhere than at its usual place.
    """

    regions: float = 0.40
    permuted: float = 0.25
    scattered: float = 0.35
    turned: float = 0.35
    moved_start: float = 0.4


def sample_layout(world: LiberoWorld, rng: np.random.Generator, mix: LayoutMix) -> str:
    """Reset the world into an open-track layout; returns which kind it is."""
    kinds = ("regions", "permuted", "scattered")
    kind = str(rng.choice(kinds, p=[mix.regions, mix.permuted, mix.scattered]))
    for _ in range(50):
        world.reset(seed=int(rng.integers(2**31)), settle=False)
        upright = {name: world.object_pose(name)[1] for name in world.objects()}
        if kind != "regions":
            _move_objects(world, rng, kind, mix.turned)
        world.settle()
        fallen = [n for n in world.objects() if tilt(world, n, upright[n]) > FALLEN]
        if not fallen and _inside(world):
            return kind
    raise RuntimeError("no layout without fallen objects was found in 50 tries")


def _move_objects(world: LiberoWorld, rng: np.random.Generator, kind: str, turned: float) -> None:
    movable = world.graspable()
    places = np.array([world.object_pose(name)[0][:2] for name in movable])
    if kind == "permuted":
        places = places[rng.permutation(len(places))] + rng.uniform(-0.03, 0.03, places.shape)
    else:
        places = _scatter(rng, len(movable))
    for name, place in zip(movable, places, strict=True):
        xy = place + world.base_position[:2]
        world.place_object(name, xy, rng.uniform(-turned, turned))
    room = np.array(BASKET_ROOM)
    for name in set(world.objects()) - set(movable):
        xy = rng.uniform(room[:, 0], room[:, 1]) + world.base_position[:2]
        world.place_object(name, xy, 0.0)


def _scatter(rng: np.random.Generator, count: int) -> NDArray:
    """Draw points of the workspace with room between them."""
    room = np.array(WORKSPACE)
    while True:
        points: list[NDArray] = []
        for _ in range(200):
            point = rng.uniform(room[:, 0], room[:, 1])
            if np.hypot(*point) < REACH[1] and all(
                np.hypot(*(point - other)) > SPACING for other in points
            ):
                points.append(point)
            if len(points) == count:
                return np.array(points)


def _inside(world: LiberoWorld) -> bool:
    """Say whether every object still lies where the arm reaches it."""
    away = [np.hypot(*world.object_pose(name)[0][:2]) for name in world.graspable()]
    return REACH[0] < min(away) and max(away) < REACH[1] + 0.02


def sensible_targets(world: LiberoWorld) -> list[str]:
    """Objects that can be grasped where they lie."""
    basket = [object_box(world, n) for n in world.objects() if n not in world.graspable()]
    return [
        name
        for name in world.graspable()
        if not crowded(world, name)
        and all(b.distance(world.object_pose(name)[0][None, :2])[0] > 0.03 for b in basket)
    ]


@cache
def _held_out() -> dict[str, list[dict]]:
    text = resources.files("rain.worlds.libero").joinpath("held_out.yaml").read_text("utf-8")
    return yaml.safe_load(text)


def held_out_task(suite: str, positions: dict[str, NDArray], target: str) -> str | None:
    """Name the LIBERO-EX task that a layout together with its goal would be, if any.

    positions: object -> xy (2,), scene coordinates, m; target: the object to be moved.
    """
    for entry in _held_out().get(suite, ()):
        if entry["target"] != target or set(entry["objects"]) != set(positions):
            continue
        offsets = [np.abs(positions[n][:2] - np.array(xy)) for n, xy in entry["objects"].items()]
        if np.max(offsets) < HELD_OUT_TOLERANCE:
            return str(entry["id"])
    return None
