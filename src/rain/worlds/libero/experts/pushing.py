"""The skill that moves an object along the table into a place without taking hold of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts.grasps import nearest_yaw
from rain.worlds.libero.experts.motion import (
    CLOSED,
    FINGERS_BELOW_SITE,
    OPEN,
    Hand,
    Headway,
    yaw_of,
)
from rain.worlds.libero.experts.places import find_place
from rain.worlds.libero.experts.shapes import fixture_boxes, object_box
from rain.worlds.libero.world import LiberoWorld

INSIDE = 0.02
"""m from the object's middle, towards the place, at which the fingers come down inside its rim."""
ABOVE_FLOOR = 0.004
TRIES = 4
AHEAD, DOWN = 0.08, np.array([0.0, 0.0, 0.012])
"""m before and below the fingers that they aim at: held down, they do not climb over the rim."""
NARROW = 0.06
"""m; into a rim of a smaller radius the fingers go closed."""
GAP = 0.015
"""m kept from other things on the way."""


def can_be_pushed(world: LiberoWorld, name: str, place: str) -> bool:
    """Say whether there is room for an object at a place, and no fixture on the way to it."""
    radius = float(object_box(world, name).half.max())
    start, goal = world.object_pose(name)[0], find_place(world, place).centre
    others = [object_box(world, other) for other in world.objects() if other != name]
    # LIBERO's place is wide: the object is there before its middle comes to the place's.
    if any(box.distance(goal[None, :2])[0] < 0.6 * radius for box in others):
        return False
    # Where it ends is LIBERO's choice, near a fixture or not.
    path = start[:2] + np.linspace(0, 0.8, 17)[:, None] * (goal - start)[:2]
    low, high = fixture_boxes(world)
    low, high = (corner[high[:, 2] > start[2] + GAP, None, :2] for corner in (low, high))
    outside = np.maximum(np.maximum(low - path, path - high), 0)
    return bool((np.hypot(outside[..., 0], outside[..., 1]) > radius).all())


def push(hand: Hand, target: str) -> Iterator[NDArray]:
    """Push ``OBJECT->PLACE``: the fingers inside a low rim, against the side that is ahead.

    Pushing from behind is unstable, and there is often no room there for the hand.
    """
    world = hand.world
    name, _, goal = target.partition("->")
    narrow = object_box(world, name).half.max() < NARROW
    fingers = CLOSED if narrow else OPEN
    done = TaskScript("push", (Subtask("push", target),))
    for _ in range(TRIES):
        yield from _come_down(hand, name, goal, fingers)
        headway = Headway(40)
        while not world.script_success(done):
            direction, inside = _inside(hand, name, goal)
            middle = world.object_pose(name)[0]
            if headway.lost(float(np.hypot(*(find_place(world, goal).centre - middle)[:2]))):
                break
            if np.hypot(*(world.ee_pose()[0] - middle)[:2]) > object_box(world, name).half.max():
                break  # the fingers slipped over the rim
            yield hand.toward(inside + direction * AHEAD - DOWN, None, fingers, slow=0.5)
        yield from hand.retreat([0, 0, 0.10], OPEN, steps=14)
        if world.script_success(done):
            return
    raise StuckError(f"{name} does not move on")


def _come_down(hand: Hand, name: str, goal: str, fingers: float) -> Iterator[NDArray]:
    """Bring the fingers inside the rim."""
    direction, inside = _inside(hand, name, goal)
    heading = float(np.arctan2(direction[1], direction[0]))
    yaw = nearest_yaw(heading, 0.5 * yaw_of(hand.world.ee_pose()[1]))
    yield from hand.over(inside + [0, 0, 0.05], yaw, fingers)
    yield from hand.straight(inside, yaw, fingers, slow=hand.style.slow, near=0.010, angle=0.12)


def _inside(hand: Hand, name: str, goal: str) -> tuple[NDArray, NDArray]:
    """Unit direction of the push (3,), and where the hand's site begins it (3,)."""
    world = hand.world
    box = object_box(world, name)
    middle = world.object_pose(name)[0]
    direction = _next_point(world, name, middle, find_place(world, goal).centre) - middle
    direction[2] = 0
    direction /= max(np.linalg.norm(direction), 1e-6)
    inside = np.array([*box.centre, 0.0]) + direction * INSIDE
    inside[2] = box.bottom + FINGERS_BELOW_SITE + ABOVE_FLOOR
    return direction, inside


def _next_point(world: LiberoWorld, name: str, start: NDArray, goal: NDArray) -> NDArray:
    """Where to push to next (3,): the goal, or beside the first thing on the way to it."""
    radius = float(object_box(world, name).half.max())
    line = (goal - start)[:2]
    length = max(float(np.linalg.norm(line)), 1e-6)
    line /= length
    across = np.array([-line[1], line[0]])
    found: tuple[float, NDArray] | None = None
    for other in world.objects():
        box = object_box(world, other)
        along, aside = (box.centre - start[:2]) @ line, (box.centre - start[:2]) @ across
        room = radius + float(box.half.max()) + GAP
        if other == name or not 0 < along < length or abs(aside) > room:
            continue
        if found is None or along < found[0]:
            beside = box.centre - np.sign(aside) * across * (room + GAP)
            found = along, np.array([*beside, goal[2]])
    return goal if found is None else found[1]
