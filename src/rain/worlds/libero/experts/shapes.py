"""What a scripted expert may know of an object's shape: extents, where it can be pinched."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.worlds.libero.world import LiberoWorld

UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Box:
    """An object's upright bounding box in the base frame.

    centre (2,): m; bottom, top: m; axes (2, 2): its two horizontal axes; half (2,): half extents
    along them, m.
    """

    name: str
    centre: NDArray
    bottom: float
    top: float
    axes: NDArray
    half: NDArray

    @property
    def radius(self) -> float:
        """Radius of the circle about the box seen from above, m."""
        return float(np.hypot(*self.half))

    def distance(self, points: NDArray) -> NDArray:
        """Horizontal distance of points (N, 2) from the box, m; 0 inside."""
        local = np.abs((points - self.centre) @ self.axes.T) - self.half
        return np.hypot(*np.maximum(local, 0).T)


def things_on_the_way(
    world: LiberoWorld, path: NDArray, margin: float, moving: str | None
) -> float:
    """Highest top, m, of what stands within ``margin`` of a horizontal path (N, 2); else -inf.

    Objects and fixtures count, but for the one named ``moving``.
    """
    top = -np.inf
    for name in world.objects():
        if name != moving:
            box = object_box(world, name)
            if (box.distance(path) < margin).any():
                top = max(top, box.top)
    low, high = fixture_boxes(world)
    outside = np.maximum(low[:, None, :2] - path, path - high[:, None, :2])
    near = (np.hypot(*np.maximum(outside, 0).transpose(2, 0, 1)) < margin).any(axis=1)
    return float(max(top, high[near, 2].max(initial=-np.inf)))


PARTS = (1.0, 0.8, 0.6)
"""Of a disc's radius, at which it is looked for what hangs over it; a bar is thinner."""


def overhang(world: LiberoWorld, name: str, margin: float = 0.015) -> NDArray | None:
    """Horizontal direction (3,) out from under a fixture's part above an object; else None."""
    box = object_box(world, name)
    start = np.array([*box.centre, box.top + 0.002])
    covered = covered_ways(
        world, hanging_over(world, box.top), start, box.half.max() + margin, 0.25
    )
    if not covered:
        return None
    away = -np.mean(covered, axis=0)
    return away / max(float(np.linalg.norm(away)), 1e-6)


def hanging_over(world: LiberoWorld, height: float) -> set[int]:
    """Geoms of fixtures that begin at a height, m, or above; what begins lower is a wall."""
    low, _ = fixture_boxes(world)
    return set(world.fixture_geoms()[low[:, 2] > height - 0.02].tolist())


def covered_ways(
    world: LiberoWorld, geoms: Collection[int], middle: NDArray, radius: float, height: float
) -> list[NDArray]:
    """Directions (3,) about a point in which a geom hangs over its disc; more often if further in.

    radius: of the disc, m; height: m above the point up to which it counts.
    """
    angles = np.arange(12) * np.pi / 6
    ways = np.stack([np.cos(angles), np.sin(angles), np.zeros(12)], axis=1)
    return [
        way
        for way in ways
        for part in PARTS
        if free_way(world, geoms.__contains__, middle + way * radius * part, UP) < height
    ]


def free_way(
    world: LiberoWorld, stops: Callable[[int], bool], start: NDArray, way: NDArray
) -> float:
    """Free distance, m, until a solid geom at which it ``stops``."""
    import mujoco  # late: it chooses its GL back end when it is imported

    groups = np.array([1, 0, 0, 0, 0, 0], dtype=np.uint8)
    geom = np.zeros(1, dtype=np.int32)
    gone, here = 0.0, start + world.base_position
    for _ in range(30):
        step = mujoco.mj_ray(world.model, world.data, here, way, groups, 1, -1, geom)
        if step < 0:
            return np.inf
        gone += step
        if stops(int(geom[0])):
            return gone
        gone += 0.001
        here = here + way * (step + 0.001)
    return gone


def fixture_boxes(world: LiberoWorld) -> tuple[NDArray, NDArray]:
    """Lowest and highest corners (n, 3), base frame, of the solid geoms of all fixtures."""
    model, data = world.model, world.data
    geoms = world.fixture_geoms()
    half = np.abs(data.geom_xmat[geoms].reshape(-1, 3, 3)) @ model.geom_aabb[geoms, 3:, None]
    turned = data.geom_xmat[geoms].reshape(-1, 3, 3) @ model.geom_aabb[geoms, :3, None]
    centre = data.geom_xpos[geoms] + turned[..., 0] - world.base_position
    return centre - half[..., 0], centre + half[..., 0]


CORNERS = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T


def object_box(world: LiberoWorld, name: str) -> Box:
    """Measure an object as it lies now, from its solid geoms' bounding boxes."""
    model, data = world.model, world.data
    geoms = world.geoms_of(name)
    solid = geoms[model.geom_group[geoms] == 0]  # a drawn mesh's own box may lie askew about it
    geoms = solid if len(solid) else geoms
    local = model.geom_aabb[geoms, None, :3] + CORNERS * model.geom_aabb[geoms, None, 3:]
    turns = data.geom_xmat[geoms].reshape(-1, 3, 3)
    corners = np.einsum("gij,gcj->gci", turns, local) + data.geom_xpos[geoms][:, None]
    corners = corners.reshape(-1, 3)
    corners -= world.base_position
    _, rotation = world.object_pose(name)
    upright = int(np.argmax(np.abs(rotation[2])))
    axes = np.delete(rotation, upright, axis=1)[:2].T
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    along = corners[:, :2] @ axes.T
    low, high = along.min(axis=0), along.max(axis=0)
    centre = np.linalg.solve(axes, (low + high) / 2)
    return Box(name, centre, corners[:, 2].min(), corners[:, 2].max(), axes, (high - low) / 2)


def tilt(world: LiberoWorld, name: str, rotation_before: NDArray) -> float:
    """Angle by which an object's axes have turned away from upright since before, rad."""
    _, rotation = world.object_pose(name)
    cosine = np.clip((rotation[2] * rotation_before[2]).sum(), -1.0, 1.0)
    return float(np.arccos(cosine))
