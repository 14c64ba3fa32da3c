"""How each category of object can be taken from above, and which way is best here and now."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.libero.experts.motion import (
    FULLY_OPEN,
    HAND_HALF_WIDTH,
    down_at,
    rotation_vector,
    yaw_of,
)
from rain.worlds.libero.experts.reach import WHOLE, Reach
from rain.worlds.libero.experts.shapes import UP, Box, object_box, overhang
from rain.worlds.libero.world import LiberoWorld

LIFT_ROOM = (0.16, 0.07, 0.0)
"""m above the grasp at which the hand must have room, on its way down."""
ASIDE = (
    (0.0, 0.0),
    (0.012, 0.0),
    (-0.012, 0.0),
    (0.0, 0.012),
    (0.0, -0.012),
)
"""m by which the hand may miss its path while it comes down."""
NEAR, FAR = 0.40, 0.70
"""m from the base; beyond these the arm is less exact."""
LEANS = (0.0, 0.4, -0.4, 0.55, -0.55, 0.7, -0.7)
"""rad; how far the hand leans where something hangs over what it takes by the rim."""
ALIKE = (0.010, 0.15)
"""m, rad; grasps that differ by less fail alike."""

GRASP_ABOVE_ORIGIN = {
    "cream_cheese": 0.004,
    "butter": 0.004,
    "chocolate_pudding": 0.004,
    "cookies": 0.004,
    "alphabet_soup": 0.015,
    "tomato_sauce": 0.015,
    "bbq_sauce": 0.015,
    "milk": 0.028,
    "orange_juice": 0.028,
    "salad_dressing": 0.043,
    "ketchup": 0.043,
}
"""m, category -> height of a pinch about the middle; found by trying in the simulator."""

GRASP_SIDES = {"milk": (1,), "orange_juice": (1,)}
"""Category -> sides to pinch, of the box's two, where not both will do: between the gable and the
body of a carton an opening finger is caught and takes the light carton along."""


@dataclass(frozen=True)
class Rim:
    """A round wall that one finger goes inside of.

    radius, height: m; angles: rad, in the object's frame; cost: against other ways.
    """

    radius: float
    height: float
    angles: tuple[float, ...]
    cost: float = 0.0


@dataclass(frozen=True)
class Spot:
    """One place to pinch: offset (3,), m, and the directions of the fingers' axis, rad."""

    offset: tuple[float, float, float]
    axes: tuple[float, ...]


def _about(angle: float) -> tuple[float, ...]:
    """Angles on the side of a mug away from its handle, rad."""
    return tuple(angle + np.deg2rad(step) for step in (0, -35, 35, -70, 70))


ROUND = tuple(np.deg2rad(range(0, 180, 30)))
RIMS = {
    "akita_black_bowl": (
        Rim(0.059, 0.037, tuple(np.deg2rad(range(0, 360, 15)))),
        # These slip more easily, but take less room outside the bowl, in a drawer for one.
        Rim(0.055, 0.042, tuple(np.deg2rad(range(0, 360, 15))), cost=0.3),
        Rim(0.046, 0.030, tuple(np.deg2rad(range(0, 360, 15))), cost=0.8),
    ),
    "porcelain_mug": (Rim(0.056, 0.092, _about(0.0)),),
    "white_yellow_mug": (Rim(0.060, 0.088, _about(np.pi)),),
}
SPOTS = {
    "wine_bottle": (Spot((0, 0, 0.127), ROUND),),
    "moka_pot": (Spot((0, -0.001, 0.073), (np.pi / 2, np.pi / 3, 2 * np.pi / 3)),),
    "black_book": (Spot((0, -0.012, 0.119), (0.0,)),),
    "white_yellow_mug": (Spot((0.056, 0, 0.070), (np.pi / 2,)),),
}
"""Category -> offsets in the object's own frame."""


@dataclass(frozen=True)
class Grasp:
    """A way to take an object from above.

    local (3,): where the hand's site comes, in the object's frame, m; pose (3, 3): rotation of the
    hand; cost: the lower the better; crowding: how far neighbours reach into its room, m; rim: one
    finger goes inside; neck: it is a spot on a part that sticks out; way (3,): direction
    from the object in which the hand comes and leaves.
    """

    local: NDArray
    pose: NDArray
    cost: float
    crowding: float = 0.0
    rim: bool = False
    neck: bool = False
    way: NDArray = field(default_factory=UP.copy)

    def point(self, world: LiberoWorld, name: str) -> NDArray:
        """Where the hand's site comes now, base frame (3,), m."""
        origin, rotation = world.object_pose(name)
        return origin + rotation @ self.local

    def like(self, other: Grasp) -> bool:
        """Say whether the other takes the object at about the same spot, turned about the same."""
        turn = np.linalg.norm(rotation_vector(self.pose @ other.pose.T))
        return bool(np.linalg.norm(self.local - other.local) < ALIKE[0] and turn < ALIKE[1])


Suits = Callable[[Grasp, bool], bool]
"""Whether a grasp suits what follows it; the flag: also where the hand misses its path a little."""


def graspable_category(name: str) -> bool:
    """Say whether a way to take this object is known."""
    category = category_of(name)
    return category in GRASP_ABOVE_ORIGIN or category in RIMS or category in SPOTS


def category_of(name: str) -> str:
    """``milk_1`` is a ``milk``."""
    return name.rsplit("_", 1)[0]


def choose_grasp(
    world: LiberoWorld,
    reach: Reach,
    name: str,
    suits: Suits = lambda grasp, strict: True,
    tried: Sequence[Grasp] = (),
    must: bool = False,
) -> Grasp:
    """Take the cheapest grasp that the arm can reach with nothing in its way.

    tried: grasps that failed; another than these is taken while there is one. must: a grasp that
    does not suit is of no use: rather push another object aside.
    RainError when no way to take such an object is known. Where no grasp is free, the cheapest is
    tried all the same.
    """
    if not graspable_category(name):
        raise RainError(f"no known grasp for {category_of(name)}")
    known = _pinches if category_of(name) in GRASP_ABOVE_ORIGIN else _candidates
    found = sorted(known(world, name), key=lambda grasp: grasp.cost)
    found = [g for g in found if not any(g.like(other) for other in tried)] or found
    ways = [(UP, ASIDE), (UP, ASIDE[:1])]
    if (out := overhang(world, name)) is not None:
        ways.append(((out + UP) / np.sqrt(2), ASIDE[:1]))
    objects = frozenset(world.objects())
    for number, (way, aside) in enumerate(ways):
        free = []
        for grasp in found:
            if _free(reach, grasp.point(world, name), grasp.pose, name, way, aside):
                if suits(grasp, number == 0):
                    return replace(grasp, way=way)
                free.append(grasp)
        if must and number == len(ways) - 1:
            for grasp in found:
                if _free_at(reach, grasp.point(world, name), grasp.pose, objects) and suits(
                    grasp, False
                ):
                    return replace(grasp, way=way)
        if free and number == len(ways) - 1:
            return replace(free[0], way=way)
    # Further out, or nearer, than the arm takes things at ease: nothing may be in its way at least.
    far = [g for g in found if _free_at(reach, g.point(world, name), g.pose, {name})]
    return (far or found)[0]


def _free_at(reach: Reach, point: NDArray, pose: NDArray, but: Set[str]) -> bool:
    posture = reach.posture(point, pose, opening=FULLY_OPEN, ring=WHOLE)
    return posture is not None and posture.touched <= but


def _free(
    reach: Reach,
    point: NDArray,
    pose: NDArray,
    name: str,
    way: NDArray,
    asides: Sequence[tuple[float, float]],
) -> bool:
    joints = None
    for height in LIFT_ROOM:
        for aside in asides if height else asides[:1]:
            there = point + way * height + [*aside, 0.0]
            posture = reach.posture(there, pose, opening=FULLY_OPEN, start=joints)
            if posture is None or not posture.touched <= (frozenset() if height else {name}):
                return False
            joints = posture.joints
    # On their way together the fingers must not drag anything else along, such as another's rim.
    closing = reach.posture(point, pose, opening=FULLY_OPEN / 2, start=joints)
    return closing is not None and closing.touched <= {name}


def _candidates(world: LiberoWorld, name: str) -> Iterator[Grasp]:
    category = category_of(name)
    origin, rotation = world.object_pose(name)
    heading = np.arctan2(rotation[1, 0], rotation[0, 0])
    ways: list[tuple[NDArray, float, Rim | None]] = []
    for rim in RIMS.get(category, ()):
        for angle in rim.angles:
            radial = np.array([np.cos(angle), np.sin(angle), 0]) * rim.radius
            ways.append((radial + [0, 0, rim.height], angle, rim))
    for spot in SPOTS.get(category, ()):
        ways += [(np.array(spot.offset, dtype=np.float64), axis, None) for axis in spot.axes]
    hand, pose = world.ee_pose()
    now = yaw_of(pose)
    for local, axis, wall in ways:
        yaw = nearest_yaw(heading + axis + np.pi / 2, 0.5 * now)
        point = origin + rotation @ local
        cost = abs(yaw - 0.5 * now) + 3.0 * float(np.hypot(*(point - hand)[:2]))
        away = float(np.hypot(*point[:2]))
        cost += 10 * max(0.0, NEAR - away, away - FAR) + (wall.cost if wall else 0.0)
        for lean in LEANS:
            tilted = cost + 2.0 * abs(lean)
            yield Grasp(local, leaning(yaw, lean), tilted, rim=wall is not None, neck=wall is None)


def leaning(yaw: float, lean: float) -> NDArray:
    """Rotation (3, 3) of a hand turned by yaw that leans about the axis of its fingers, rad."""
    c, s = np.cos(lean), np.sin(lean)
    return down_at(yaw) @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def nearest_yaw(yaw: float, reference: float) -> float:
    """The yaw nearest to the reference at which the two fingers lie on the same line."""
    return reference + (yaw - reference + np.pi / 2) % np.pi - np.pi / 2


def _pinches(world: LiberoWorld, name: str) -> Iterator[Grasp]:
    """Pinch a thin side of the object, away from neighbours, with little turning."""
    box = object_box(world, name)
    origin, rotation = world.object_pose(name)
    others = [object_box(world, other) for other in world.objects() if other != name]
    height = origin[2] + GRASP_ABOVE_ORIGIN[category_of(name)]
    thin = [side for side in (0, 1) if box.half[side] <= box.half.min() * 1.25]
    allowed = GRASP_SIDES.get(category_of(name), (0, 1))
    # A fallen object may have no side that is both thin and allowed: thin it must be.
    for side in [side for side in thin if side in allowed] or thin:
        along = box.axes[1 - side] * box.half[1 - side]
        angle = np.arctan2(box.axes[side][1], box.axes[side][0]) - np.pi / 2
        for turn in (0.0, -0.2, 0.2):
            for part in (0.0, -0.3, 0.3, -0.5, 0.5):
                yaw = (angle + turn + np.pi / 2) % np.pi - np.pi / 2
                crowding = _crowding(box, box.centre + part * along, yaw, others)
                cost = abs(yaw) + abs(turn) + abs(part) + 60 * crowding
                point = np.array([*(box.centre + part * along), height])
                yield Grasp(rotation.T @ (point - origin), down_at(yaw), cost, crowding)


def crowded(world: LiberoWorld, name: str) -> bool:
    """Say whether neighbours leave no room for any pinch of the object."""
    if category_of(name) not in GRASP_ABOVE_ORIGIN:
        return False
    return min(_pinches(world, name), key=lambda pinch: pinch.cost).crowding > 0.006


def _crowding(box: Box, centre: NDArray, yaw: float, others: list[Box]) -> float:
    """How far neighbours reach into the room that open fingers and hand need, m."""
    axis = np.array([-np.sin(yaw), np.cos(yaw)])
    fingers = centre + np.outer([-1, 1], axis) * 0.052
    hand = centre + np.outer(np.linspace(-1, 1, 9), axis) * HAND_HALF_WIDTH
    total = 0.0
    for other in others:
        total += float(np.maximum(0.018 - other.distance(fingers), 0).sum())
        if other.top > box.top + 0.02:
            total += float(np.maximum(0.035 - other.distance(hand), 0).max())
    return total
