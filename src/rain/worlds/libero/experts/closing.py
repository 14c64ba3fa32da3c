"""The skill that closes a fixture's moving parts: drawers and doors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts.grasps import nearest_yaw
from rain.worlds.libero.experts.mechanisms import (
    HARD,
    Mechanism,
    along_the_way,
    body_of,
    facing,
    find_mechanism,
)
from rain.worlds.libero.experts.motion import (
    CLOSED,
    FULLY_OPEN,
    OPEN,
    Hand,
    Headway,
    down_at,
    rotation_about,
)
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.experts.shapes import UP
from rain.worlds.libero.world import LiberoWorld

SHUT = 0.0015
"""m or rad past closed; LIBERO asks for more than zero of a drawer."""
UPRIGHT_PUSH = 0.55
"""rad; how far the hand leans while it pushes, if it can: the forearm stays off what is above."""
SHIFTS = (0.0, 0.03, -0.03, 0.06, -0.06, 0.075, -0.075)
"""m along a drawer's bar from its middle, at which it is pushed."""
FAR = 0.66
"""m from the base, beyond which the arm stretches when it travels."""
HIGH = 0.10
"""m above where the hand comes down, at which it travels."""
GOES = 4
"""How often a drawer is pushed before the hand gives up."""
AJAR = 0.7
"""rad that a door is open still when there is no room any more for the finger behind its edge."""
EDGE = (0.7, 0.55, 0.85)
"""Shares of the way from a door's hinge to its handle at which its edge is taken from above."""
OVER_EDGE = 0.012
"""m below a door's upper edge at which the hand's site goes, between finger and finger."""


def close_part(hand: Hand, reach: Reach, name: str) -> Iterator[NDArray]:
    """Push a drawer or a door shut with closed fingers."""
    part = find_mechanism(hand.world, name)
    yield from (_close_drawer if part.slides else _close_door)(hand, reach, name)


def _close_drawer(hand: Hand, reach: Reach, name: str) -> Iterator[NDArray]:
    """Push a drawer shut, in several goes where something stands in the hand's way at first."""
    out = -find_mechanism(hand.world, name).axis
    tried: list[NDArray] = []
    for _ in range(GOES):
        part = find_mechanism(hand.world, name)
        pose, offset, until = _push_pose(reach, part, out, tried)
        tried.append(offset)
        before, above = _before_push(part.handle + offset, pose, out)
        yield from hand.over(above, pose, CLOSED, None)
        yield from hand.straight(above, pose, CLOSED, near=0.03, angle=0.3)
        yield from hand.straight(before, pose, CLOSED, near=0.015, angle=0.15)
        yield from _push_drawer(hand, name, pose, offset, until)
        yield from hand.retreat(out * 0.08, CLOSED, steps=12, pose=pose)
        yield from hand.retreat([0, 0, 0.12], OPEN, steps=12)
        if find_mechanism(hand.world, name).value > 0:
            return
    raise StuckError(f"{name} does not close")


def _push_drawer(
    hand: Hand, name: str, pose: NDArray, offset: NDArray, until: float
) -> Iterator[NDArray]:
    """Push until the joint has come to ``until``, m, or nothing moves any more."""
    headway = Headway(40, least=0.001)
    while True:
        now = find_mechanism(hand.world, name)
        if now.value > until or headway.lost(-now.value):
            return
        # Beside the bar the drawer's front is what the fingers come against, further in.
        ahead = 0.035 + min(0.004 * headway.since, 0.08)
        yield hand.toward(now.handle + offset + now.axis * ahead, pose, CLOSED, slow=0.8)


def _before_push(touch: NDArray, pose: NDArray, out: NDArray) -> tuple[NDArray, NDArray]:
    """Where the hand is before it touches the bar, and where it comes down to there from."""
    before = touch + 0.05 * out
    return before, before - 0.08 * pose[:, 2]


def _push_pose(
    reach: Reach, part: Mechanism, out: NDArray, tried: Sequence[NDArray]
) -> tuple[NDArray, NDArray, float]:
    """How to push a drawer's bar or front with the fingertips (3, 3), where from the bar (3,), m,
    and up to which value of the joint: all the way, or half of it where only that is free. tried:
    where it was pushed before; another point is taken while there is one.
    """
    best: tuple[float, NDArray, NDArray, float] | None = None
    opened = max(-part.value, 0.01)
    for tilt, turned, sign, shift in itertools.product(
        np.deg2rad([15, 30, 45, 60, 75]), (0.0, np.pi / 2), (1.0, -1.0), SHIFTS
    ):
        approach = -out * np.sin(tilt) - UP * np.cos(tilt)
        pose = rotation_about(approach, turned) @ facing(approach, sign * part.along)
        offset = part.along * shift + out * 0.022
        before, above = _before_push(part.handle + offset, pose, out)
        given: dict[str, Any] = {"opening": 0.0, "without": part.contents}
        if not all(reach.is_free(there, pose, **given) for there in (before, above)):
            continue
        at = part.handle + offset
        for closed, hard in ((0.0, 0.0), (0.5 * opened, HARD)):
            postures = along_the_way(reach, part, pose, at, out, (opened, closed), 0.0)
            if postures is None:
                continue
            cost = postures[0].travel + abs(float(tilt) - UPRIGHT_PUSH) + 5 * abs(shift) + hard
            if reach.posture(above + [0, 0, HIGH], pose, opening=0.0) is None:
                cost += HARD
            cost += 10 * max(0.0, float(np.hypot(*above[:2])) - FAR)
            cost += HARD * sum(bool(np.allclose(offset, other)) for other in tried)
            if best is None or cost < best[0]:
                best = (cost, pose, offset, SHUT if not hard else -closed)
            break
    if best is None:
        raise StuckError("no posture pushes the drawer shut")
    return best[1:]


def _close_door(hand: Hand, reach: Reach, name: str) -> Iterator[NDArray]:
    """Swing a door shut, from its outer face; where that is out of reach, between the fingers."""
    part = find_mechanism(hand.world, name)
    behind = _on_door(part, 0.85, part.value) - 0.09 * _closing(part, part.value)
    if reach.posture(behind + [0, 0, 0.07 + HIGH], down_at(0.0), opening=0.0) is None:
        yield from _swing_door(hand, reach, name)
    yield from _push_door(hand, name)


def _on_door(part: Mechanism, share: float, angle: float) -> NDArray:
    """A point (3,) at a share of the way from hinge to handle, with the door at ``angle``, rad."""
    arm = part.handle - part.anchor
    arm[2] = 0
    c, s = np.cos(angle - part.value), np.sin(angle - part.value)
    spot = part.anchor + share * np.array([c * arm[0] - s * arm[1], s * arm[0] + c * arm[1], 0.0])
    spot[2] = part.handle[2]
    return np.asarray(spot)


def _closing(part: Mechanism, angle: float) -> NDArray:
    """Unit direction (3,) in which the door at ``angle``, rad, closes."""
    way = np.cross(part.axis, _on_door(part, 1.0, angle) - part.anchor)
    way[2] = 0
    return np.asarray(way / np.linalg.norm(way))


def _swing_door(hand: Hand, reach: Reach, name: str) -> Iterator[NDArray]:
    """Swing a door until it is ajar with one finger before and one behind its upper edge."""
    world = hand.world
    part = find_mechanism(world, name)
    top = _top_of(world, part)

    def pose_at(angle: float, reference: float) -> float:
        way = _closing(part, angle)
        return nearest_yaw(float(np.arctan2(way[1], way[0])) - np.pi / 2, reference)

    share = next(
        (s for s in EDGE if _edge_free(reach, part, s, top, pose_at(part.value, 0.0))), EDGE[0]
    )
    yaw = pose_at(part.value, 0.0)
    start = _edge(world, part, share, top)
    yield from hand.over(start + [0, 0, 0.06], yaw, OPEN)
    yield from hand.straight(start, yaw, OPEN, slow=hand.style.slow, near=0.012, angle=0.15)
    headway = Headway(40, least=0.004)
    while True:
        now = find_mechanism(world, name)
        if now.value > -AJAR:
            break
        if headway.lost(-now.value):
            raise StuckError(f"{name} does not close")
        angle = min(now.value + 0.25, 0.06)
        goal = _on_door(part, share, angle) + 0.03 * _closing(part, angle)
        goal[2] = top - OVER_EDGE
        yaw = pose_at(now.value, yaw)
        yield hand.toward(goal, yaw, OPEN, slow=0.8)
    yield from hand.retreat([0, 0, 0.15], OPEN, steps=12, pose=down_at(yaw))


def _top_of(world: LiberoWorld, part: Mechanism) -> float:
    """Height of a part's upper edge, m."""
    model, data = world.model, world.data
    geoms = np.flatnonzero((model.geom_bodyid == body_of(world, part)) & (model.geom_group == 0))
    half = np.abs(data.geom_xmat[geoms].reshape(-1, 3, 3)) @ model.geom_aabb[geoms, 3:, None]
    return float((data.geom_xpos[geoms, 2] + half[:, 2, 0]).max() - world.base_position[2])


def _edge(world: LiberoWorld, part: Mechanism, share: float, top: float) -> NDArray:
    """Where the hand's site is (3,) with the door's leaf, not its handle, amid the fingers."""
    model, data = world.model, world.data
    geoms = np.flatnonzero((model.geom_bodyid == body_of(world, part)) & (model.geom_group == 0))
    leaf = geoms[np.prod(model.geom_aabb[geoms, 3:], axis=1).argmax()]
    point = _on_door(part, share, part.value)
    way = _closing(part, part.value)
    point += (data.geom_xpos[leaf] - world.base_position - point) @ way * way
    point[2] = top - OVER_EDGE
    return np.asarray(point)


def _edge_free(reach: Reach, part: Mechanism, share: float, top: float, yaw: float) -> bool:
    point = _edge(reach.world, part, share, top)
    posture = reach.posture(point, down_at(yaw), opening=FULLY_OPEN)
    return posture is not None and posture.bodies <= {body_of(reach.world, part)}


def _push_door(hand: Hand, name: str) -> Iterator[NDArray]:
    """Swing a door about its hinge with the side of the hand."""
    world = hand.world
    part = find_mechanism(world, name)
    height = part.handle[2] + 0.02

    def point(angle: float, ahead: float) -> NDArray:
        """On the outer face at the door's ``angle``, ``ahead`` m from it towards closed."""
        spot = _on_door(part, 0.85, angle) + ahead * _closing(part, angle)
        spot[2] = height
        return spot

    yaw = 0.0
    yield from hand.over(point(part.value, -0.09) + [0, 0, 0.05], yaw, CLOSED, None)
    yield from hand.straight(point(part.value, -0.07), yaw, CLOSED, near=0.015, angle=0.3)
    headway = Headway(40, least=0.004)
    while True:
        now = find_mechanism(world, name)
        if now.value > -0.003:
            break
        if headway.lost(-now.value):
            raise StuckError(f"{name} does not close")
        yield hand.toward(point(min(now.value + 0.12, 0.06), 0.02), yaw, CLOSED, slow=0.9)
    yield from hand.retreat([0, 0, 0.15], OPEN, steps=12)
