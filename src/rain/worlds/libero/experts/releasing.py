"""The skill that brings what is held to its place: lowered, pushed in from the side, or leaned."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts.grasps import nearest_yaw
from rain.worlds.libero.experts.motion import (
    CLOSED,
    FINGERS_BELOW_SITE,
    FULLY_OPEN,
    OPEN,
    PALM_ABOVE_SITE,
    Hand,
    Headway,
    down_at,
    rotation_about,
    rotation_vector,
    yaw_of,
)
from rain.worlds.libero.experts.places import NARROW, Place, find_place
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.experts.shapes import UP, object_box

NEAR_ENOUGH = 0.02
"""m from where an object should come at which it is let go when a rim keeps it from there."""
UPRIGHT = -0.96
"""z of the hand's own z axis from which on it leans on purpose."""
OUTSIDE = 0.16
"""m before a place that is closed above, where the hand begins to go in."""
FINGER = 0.025
"""m; thickness of a finger, and some room."""
TRIES = 3
TURNS = (0.0, np.pi / 4, -np.pi / 4, np.pi / 2, -np.pi / 2)
"""rad by which the hand may turn what it holds, to let go where something is near."""
SLANTED = 0.9
"""Height of a surface's normal below which what is put there leans."""
LEANED = (1.0, 0.85, 0.7, 0.55, 0.4)
"""Shares of a slanted surface's slant by which the object is leaned; the first that can be."""


def release(hand: Hand, reach: Reach, name: str, slot: float = 0.0) -> Iterator[NDArray]:
    """Carry what is held to the place, lower, lean or push it in, let go, withdraw."""
    held = hand.world.touched_by_both_fingers()
    if not held:
        raise StuckError("nothing is held to be released")
    place = find_place(hand.world, name, slot, held[0])
    if not place.from_above:
        yield from _insert(hand, held[0], name)
        return
    if place.up @ UP < SLANTED:
        yield from _lean(hand, reach, held[0], place)
        return
    yield from _carry(hand, reach, held[0], name, slot)
    target, now = hand.world.ee_pose()
    pose = now if now[2, 2] > UPRIGHT else None
    for _ in range(7):
        yield hand.toward(target, pose, OPEN)
    for _ in range(10):
        yield hand.toward(target + [0, 0, 0.10], pose, OPEN, slow=0.7)


def _carry(hand: Hand, reach: Reach, held: str, name: str, slot: float) -> Iterator[NDArray]:
    """Bring the held object above the place; when it is caught there, rise and try again."""
    if hand.elbow_locked():  # it took the object far out
        yield from hand.unlock_elbow(CLOSED)
    for _ in range(TRIES):
        if (yield from _lower(hand, reach, held, name, slot)):
            return
        if hand.elbow_locked():
            yield from hand.unlock_elbow(CLOSED)
        else:
            yield from hand.retreat([0, 0, 0.06], CLOSED, steps=12)
    raise StuckError(f"no headway towards {name}")


def _lower(
    hand: Hand, reach: Reach, held: str, name: str, slot: float
) -> Generator[NDArray, None, bool]:
    """Carry there and lower; False when it is caught on the way, True also when it is lost."""
    headway = Headway()
    place = find_place(hand.world, name, slot, held)
    pose, spot = _choose_spot(hand, reach, held, place, fixed=slot != 0)
    middle = spot if spot is not None else place.centre[:2]
    shift = np.array([*(middle - find_place(hand.world, name, slot).centre[:2]), 0.0])
    narrow = place.direction is not None
    near = 0.010 if place.squeezed is None and not narrow else 0.006
    position, rotation = hand.world.ee_pose()
    # As it was taken: what is caught on a rim slips in the hand, which must not run after it.
    offset = pose @ rotation.T @ (position - hand.world.object_pose(held)[0])
    while held in hand.world.touched_by_both_fingers():
        now = find_place(hand.world, name, slot)
        place = replace(place, centre=now.centre + shift, rim=now.rim)
        goal, below = _release_point(hand, held, place, offset)
        position, rotation = hand.world.ee_pose()
        error = goal - position
        turn = float(np.linalg.norm(rotation_vector(pose @ rotation.T)))
        if np.hypot(*error[:2]) < near and error[2] > -0.012 and turn < 0.1:
            return True
        over = position[2] - below > place.rim - 0.005
        if narrow and over and (np.hypot(*error[:2]) > 0.004 or turn > 0.04):
            goal[2] = place.rim + below + 0.012  # it goes in only when it is just above and along
        if headway.lost(float(np.linalg.norm(error)) + 0.1 * turn):
            lowest = -0.10 if place.inside else -0.03
            return bool(
                np.hypot(*error[:2]) < NEAR_ENOUGH and lowest < error[2] < 0.03 and not narrow
            )
        clear = hand.clearance(position, goal, held, below + 0.03)
        clear = max(place.rim + below + 0.03, clear)
        yield hand.funnel(goal, pose, CLOSED, clear, inner=0.003 if narrow else 0.01, outer=0.06)
    return True


def _choose_spot(
    hand: Hand, reach: Reach, held: str, place: Place, fixed: bool
) -> tuple[NDArray, NDArray | None]:
    """How the hand is turned (3, 3), and where on a wide surface the object comes (2,), or None.

    The spot with the most room at which nothing is in the hand's way, turned as little as can be.
    """
    now = hand.world.ee_pose()[1]
    usual = _carried_pose(hand, held, place)
    if place.spots is None or fixed:
        return usual, None
    offset = usual @ now.T @ (hand.world.ee_pose()[0] - hand.world.object_pose(held)[0])
    below = hand.hangs_below(held)
    for spot in place.spots:
        for turn in TURNS:
            around = rotation_about(UP, turn)
            there = np.array([*spot, place.centre[2] + below + 0.012]) + around @ offset * [1, 1, 0]
            if reach.is_free(there, around @ usual, without=[held]):
                return around @ usual, spot
    return usual, place.spots[0]


def _carried_pose(hand: Hand, held: str, place: Place) -> NDArray:
    """Rotation (3, 3) of the hand at the place: as it is, or with a long object along it."""
    now = hand.world.ee_pose()[1]
    box = object_box(hand.world, held)
    long = int(np.argmax(box.half))
    if place.direction is None or box.half[long] < NARROW * box.half[1 - long]:
        return now if now[2, 2] > UPRIGHT else down_at(yaw_of(now))
    lies = float(np.arctan2(*box.axes[long][::-1]))
    return down_at(nearest_yaw(yaw_of(now) + place.direction - lies, 0.0))


def _release_point(hand: Hand, held: str, place: Place, offset: NDArray) -> tuple[NDArray, float]:
    """Where to open (3,), and how far the held object hangs below the hand, m.

    offset (3,): from the object's origin to the hand, m.
    """
    below = hand.hangs_below(held)
    low = max(place.rim + 0.012 - PALM_ABOVE_SITE, place.centre[2] + below + place.fall)
    if place.wall is not None and place.wall < FULLY_OPEN / 2 + FINGER:
        # Fingers that open inside a bowl press against its wall and take it along.
        low = max(low, place.rim + FINGERS_BELOW_SITE)
    free = place.inside and place.squeezed is None
    drop = hand.style.drop if free else 0.3 * hand.style.drop
    room = float(place.half[:2].min() - object_box(hand.world, held).half.max())
    share = np.clip(room / 0.03, 0.0, 1.0) * free if place.inside else 0.5
    xy = place.centre[:2] + offset[:2] + share * np.array(hand.style.aim)
    return np.array([*xy, low + drop]), below


def let_go_inside(place: Place, offset: NDArray, below: float) -> NDArray:
    """Where the hand (3,) opens in a place that is closed above: not far in.

    offset (3,): from the held object's origin to the hand, m; below: how far it hangs below, m.
    """
    inside = place.centre + offset
    inside[2] = place.centre[2] + below + 0.030
    edge = float(np.abs(place.half @ np.abs(place.entrance)))
    return np.asarray(inside + place.entrance * (edge - 0.025))


def _insert(hand: Hand, held: str, name: str) -> Iterator[NDArray]:
    """Push what is held sideways into a place that is closed above, let go, draw back."""
    place = find_place(hand.world, name)
    rotation = hand.world.ee_pose()[1]
    for left in reversed(range(TRIES)):
        # Measured again each time: what bumped against the sill sits otherwise in the hand.
        offset = hand.world.ee_pose()[0] - hand.world.object_pose(held)[0]
        inside = let_go_inside(place, offset, hand.hangs_below(held))
        outside = inside + place.entrance * OUTSIDE
        try:
            yield from hand.over(outside, rotation, CLOSED, held)
            yield from hand.straight(outside, rotation, CLOSED, near=0.012)
            yield from hand.straight(
                inside, rotation, CLOSED, slow=hand.style.slow, near=0.010, patience=12, enough=0.02
            )
            break
        except StuckError as stuck:
            if not left:
                raise
            yield from hand.back_off(stuck, place.entrance * 0.06, CLOSED, rotation)
    yield from hand.hold(8, OPEN, rotation)
    yield from hand.retreat(place.entrance * 0.15, OPEN, steps=16, pose=rotation)
    yield from hand.retreat([0, 0, 0.12], OPEN)


def _lean(hand: Hand, reach: Reach, held: str, place: Place) -> Iterator[NDArray]:
    """Put what is held onto a slanted surface, its own axis along the surface's normal."""
    pose, goal = _leaning_pose(hand, reach, held, place)
    back = -pose[:, 2]
    upright = hand.world.ee_pose()[1]
    above = goal + 0.05 * back + [0, 0, 0.06]
    yield from hand.over(above, upright, CLOSED, held)
    yield from hand.straight(above, pose, CLOSED, near=0.015, angle=0.1)
    yield from hand.straight(
        goal, pose, CLOSED, slow=hand.style.slow, near=0.008, patience=12, enough=0.03
    )
    yield from hand.hold(8, OPEN, pose)
    yield from hand.retreat(0.08 * back + [0, 0, 0.04], OPEN, steps=14, pose=pose)


def _leaning_pose(hand: Hand, reach: Reach, held: str, place: Place) -> tuple[NDArray, NDArray]:
    """How the hand leans (3, 3) and where it lets go (3,): as far as the arm reaches freely."""
    position, rotation = hand.world.ee_pose()
    offset = position - hand.world.object_pose(held)[0]
    axis = np.cross(UP, place.up)
    slant = np.arccos(np.clip(place.up @ UP, -1, 1))
    touching = None
    for share in LEANED:
        turn = rotation_about(axis, share * slant)
        goal = place.centre + place.up * 0.02 + [0, 0, 0.01] + turn @ offset
        posture = reach.posture(goal, turn @ rotation, without=[held])
        if posture is not None and not posture.touched:
            return turn @ rotation, goal
        touching = touching or (posture.touched if posture else None)
    raise StuckError(f"no posture leans {held} there ({', '.join(touching or ['out of reach'])})")
