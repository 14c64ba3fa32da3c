"""The skill that pushes an object along the table into a place without taking hold of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.libero.experts.motion import FINGERS_BELOW_SITE, OPEN, Hand, Headway, StuckError
from rain.worlds.libero.experts.places import find_place
from rain.worlds.libero.experts.shapes import object_box

BEHIND = 0.004
"""m between the object's edge and the hand before it pushes."""


def push(hand: Hand, target: str) -> Iterator[NDArray]:
    """Push ``OBJECT->PLACE`` with open fingers from behind, aiming anew at every step."""
    world = hand.world
    name, _, goal = target.partition("->")
    done = TaskScript("push", (Subtask("push", target),))
    direction, behind = _line(hand, name, goal)
    yaw = float(np.arctan2(direction[1], direction[0]))
    yaw = (yaw + np.pi / 2) % np.pi - np.pi / 2
    yield from hand.over(behind - direction * BEHIND + [0, 0, 0.04], yaw, OPEN, None)
    yield from hand.straight(behind - direction * BEHIND, yaw, OPEN, near=0.012, angle=0.12)
    headway = Headway(40)
    while not world.script_success(done):
        direction, behind = _line(hand, name, goal)
        far = float(np.hypot(*(find_place(world, goal).centre - world.object_pose(name)[0])[:2]))
        if headway.lost(far):
            raise StuckError(f"{name} does not move on")
        yield hand.toward(behind + direction * 0.04, yaw, OPEN, slow=0.6)
    yield from hand.retreat(-direction * 0.03 + [0, 0, 0.10], OPEN, steps=14)


def _line(hand: Hand, name: str, goal: str) -> tuple[NDArray, NDArray]:
    """Unit direction of the push (3,), and where the fingers touch the object's far side (3,)."""
    world = hand.world
    box = object_box(world, name)
    direction = find_place(world, goal).centre - world.object_pose(name)[0]
    direction[2] = 0
    direction /= max(np.linalg.norm(direction), 1e-6)
    behind = np.array([*box.centre, 0.0]) - direction * (box.half.max() + 0.012)
    behind[2] = box.bottom + FINGERS_BELOW_SITE + 0.006
    return direction, behind
