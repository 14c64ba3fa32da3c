"""What a scripted expert may know of an object's shape: extents, where it can be pinched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.worlds.libero.world import LiberoWorld

FINGER_REACH = 0.074
"""m; widest thing the open fingers take between them with a little play."""

GRASP_ABOVE_ORIGIN = {
    "cream_cheese": 0.004,
    "butter": 0.004,
    "chocolate_pudding": 0.004,
    "alphabet_soup": 0.015,
    "tomato_sauce": 0.015,
    "bbq_sauce": 0.015,
    "milk": 0.028,
    "orange_juice": 0.028,
    "salad_dressing": 0.043,
    "ketchup": 0.043,
}
"""m, category -> height of the grasp above the body's origin; found by trying in the simulator."""

GRASP_SIDES = {"milk": (1,), "orange_juice": (1,)}
"""Category -> sides to pinch, of the box's two, where not both will do: between the gable and the
body of a carton an opening finger is caught and takes the light carton along."""


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


CORNERS = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1])).reshape(3, 8).T


def object_box(world: LiberoWorld, name: str) -> Box:
    """Measure an object as it lies now, from its geoms' bounding boxes."""
    model, data = world.model, world.data
    geoms = world.geoms_of(name)
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
