"""Where a held object is to come to rest, and from which side a place can be entered."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rain.worlds.libero.experts.shapes import UP, covered_ways, free_way, hanging_over, object_box
from rain.worlds.libero.regions import parse_target
from rain.worlds.libero.world import LiberoWorld

NARROW = 1.5
"""Ratio of its sides from which a place, or an object, has a direction."""
HAND_ROOM = 0.075
"""m about a point that the open fingers and what they hold need."""
AROUND = 0.006
"""m to be kept free about what is lowered past something."""
PAST = 0.02
"""m that is left to fall of what goes past something: the hand needs room too."""
SPOTS = 16
DEEP = 0.035
"""m; an object that is higher than this, and that others are put in, has a wall."""
SLOT = 0.055
"""m; half the distance between two objects that one script puts onto one open surface."""


@dataclass(frozen=True)
class Place:
    """A place that objects are put on or into, base frame.

    centre (3,): where an object's origin comes, m, at the height of the floor; rim: height of the
    walls about it, m; half (3,): half extents along the axes of the base frame, m; entrance (3,):
    direction from the centre to outside; inside: LIBERO's relation is ``in``; direction: rad, of
    its long side, or None; up (3,): unit normal of its surface; fall: m above its floor at which
    what comes there is let go; squeezed (3,): direction from which something hangs over it, or
    None; spots (n, 2): points of a wide surface, those with the most room first, or None.
    """

    centre: NDArray
    rim: float
    half: NDArray
    entrance: NDArray
    inside: bool
    direction: float | None
    up: NDArray = field(default_factory=UP.copy)
    spots: NDArray | None = None
    fall: float = 0.012
    squeezed: NDArray | None = None
    wall: float | None = None

    @property
    def from_above(self) -> bool:
        """Whether an object can be lowered into it."""
        return bool(self.entrance[2] > 0.5)


def find_place(world: LiberoWorld, name: str, slot: float = 0.0, held: str | None = None) -> Place:
    """Measure the place as it is now.

    slot: of several objects that one script puts there, which: -1 … 1 about the middle; held: what
    is to come there, which looks for room beside others on an open surface.
    """
    target = parse_target(name)
    if target.site is None:
        box = object_box(world, target.owner)
        origin, _ = world.object_pose(target.owner)
        centre = np.array([*origin[:2], box.bottom + 0.006])
        half = np.array([box.radius, box.radius, (box.top - box.bottom) / 2])
        deep = box.top - box.bottom > DEEP
        wall = float(box.half.min()) if deep else None
        return Place(centre, box.top, half, UP, False, None, wall=wall)
    inside = target.part is not None and target.part.relation == "in"
    middle, rotation, size = world.site_pose(target.site)
    half = np.abs(rotation) @ size
    centre = np.array([*middle[:2], middle[2] - half[2] if inside else middle[2]])
    rim = centre[2] if not inside else middle[2] + half[2] + 0.01
    if target.owner in world.objects():
        rim = object_box(world, target.owner).top
    if target.owner not in world.env.obj_body_id:
        centre[2] = rim = _surface(world, middle)
    entrance = _entrance(world, target.owner, middle, half) if inside else UP
    lowered = inside and entrance[2] > 0.5 and target.owner in world.env.fixtures_dict
    squeezed = None
    if lowered and held is not None:
        shift = _from_under(world, np.array([*centre[:2], rim]), half[:2], held)
        centre[:2] += shift
        if shift.any():
            squeezed = np.array([*-shift, 0.0]) / np.hypot(*shift)
    fall = PAST if squeezed is not None else 0.012
    long = int(half[1] > half[0])
    direction = None
    if inside and half[long] > NARROW * half[1 - long]:
        direction = long * np.pi / 2
    if not inside or target.owner in world.objects():
        centre[long] += slot * (min(SLOT, 0.5 * half[long]) if inside else SLOT)
    spots = None
    if not inside and held is not None and not slot:
        spots = _roomy(world, centre[:2], half[:2], held)
        centre[:2] = spots[0]
    up = rotation[:, 2] if not inside and target.owner in world.env.fixtures_dict else UP
    up = up * np.sign(up[2]) if abs(up[2]) > 1e-6 else UP
    return Place(centre, float(rim), half, entrance, inside, direction, up, spots, fall, squeezed)


def _roomy(world: LiberoWorld, middle: NDArray, half: NDArray, held: str) -> NDArray:
    """Points (n, 2) of an open surface, near its middle and with room for the hand first, m."""
    steps = np.linspace(-0.7, 0.7, 7)
    points = middle + np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2) * half
    cost = np.hypot(*(points - middle).T)
    for name in world.objects():
        if name != held:
            cost += 4 * np.maximum(HAND_ROOM - object_box(world, name).distance(points), 0)
    return points[np.argsort(cost)[:SPOTS]]


def _from_under(world: LiberoWorld, middle: NDArray, half: NDArray, held: str) -> NDArray:
    """How far (2,) from the middle (3,) of a drawer nothing is in the way from above, m."""
    above = hanging_over(world, middle[2])
    radius = float(object_box(world, held).half.max())
    best, least = np.zeros(2), np.inf
    for axis in (0, 1):
        room = max(0.0, half[axis] - radius + 2 * AROUND)
        for shift in np.arange(-np.floor(room / 0.005), np.floor(room / 0.005) + 1) * 0.005:
            point = middle + shift * np.eye(3)[axis]
            covered = len(covered_ways(world, above, point, radius + AROUND, 0.3))
            if covered + abs(shift) < least:
                best, least = shift * np.eye(2)[axis], covered + abs(shift)
    return best


def _entrance(world: LiberoWorld, owner: str, middle: NDArray, half: NDArray) -> NDArray:
    """The direction with the most room from the middle to the owner's walls; up if it can be."""
    if owner not in world.env.obj_body_id:
        return UP
    walls = set(world.geoms_of(owner).tolist())
    ways = [UP, -np.eye(3)[0], np.eye(3)[1], -np.eye(3)[1], np.eye(3)[0]]

    def room(way: NDArray) -> float:
        return min(free_way(world, walls.__contains__, middle, way), 0.3) + 0.01 * way[2]

    return max(ways, key=room)


def _surface(world: LiberoWorld, middle: NDArray) -> float:
    """Height, m, of the table at a region of it, which LIBERO declares a little off."""
    model = world.model
    things = {int(g) for name in world.env.obj_body_id for g in world.geoms_of(name)}

    def table(geom: int) -> bool:
        body = model.body(int(model.geom_bodyid[geom])).name
        return geom not in things and not body.startswith(("robot0", "gripper0", "mount0"))

    above = middle + [0, 0, 0.5]
    return float(above[2] - free_way(world, table, above, -UP))


def lies_in(world: LiberoWorld, name: str, place: str) -> bool:
    """Say whether an object is in or on a place now, as seen from above and by height."""
    target = parse_target(place)
    xyz, _ = world.object_pose(name)
    if target.site is None:
        if target.owner == name:
            return False
        box = object_box(world, target.owner)
        low, high = object_box(world, name).bottom - box.top, box.distance(xyz[None, :2])[0]
        return bool(high < 0.005 and low > -0.12)
    if target.site not in world.env.object_sites_dict:
        return False
    middle, rotation, size = world.site_pose(target.site)
    away = np.abs(xyz - middle) - np.abs(rotation) @ size
    return bool((away[:2] < 0.01).all() and away[2] < 0.10)
