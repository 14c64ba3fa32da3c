"""Skills for the moving parts of fixtures: drawers, doors and knobs."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts.motion import (
    CLOSED,
    FULLY_OPEN,
    OPEN,
    Hand,
    Headway,
    down_at,
    rotation_about,
)
from rain.worlds.libero.experts.places import lies_in
from rain.worlds.libero.experts.reach import Posture, Reach
from rain.worlds.libero.experts.shapes import UP
from rain.worlds.libero.regions import body_subtree, parse_target
from rain.worlds.libero.world import LiberoWorld

PULL = 0.157
"""m that a drawer is pulled; LIBERO calls it open from 0.14 on."""
SLIDE = 2
"""MuJoCo's number of the sliding joint's type."""
ROLLS = tuple(np.deg2rad([0, 40, -40, 60, -60]))
"""rad by which the hand turns about where it points: askew it takes less room above and below."""
HARD = 3.0
"""Cost of a way that is taken only where there is no other."""


@dataclass(frozen=True)
class Mechanism:
    """A part on a joint, as it is now; base frame, metres, radians.

    qpos: address of the joint; value; axis (3,); anchor (3,); handle (3,): centre of the part of
    it that sticks out furthest; along (3,): the handle's long direction; contents: what lies in it.
    """

    qpos: int
    value: float
    axis: NDArray
    anchor: NDArray
    handle: NDArray
    along: NDArray
    slides: bool
    contents: tuple[str, ...] = ()


def find_mechanism(world: LiberoWorld, name: str, out: NDArray | None = None) -> Mechanism:
    """Measure the joint of a fixture's part; RainError when the part does not move."""
    target, model, data = parse_target(name), world.model, world.data
    bodies = body_subtree(model.body_parentid, world.env.obj_body_id[target.owner])
    if target.part is not None and target.part.bodies:
        wanted = {f"{target.owner}_{suffix}" for suffix in target.part.bodies}
        bodies = {b for b in bodies if model.body(b).name in wanted}
    joints = [j for j in range(model.njnt) if model.jnt_bodyid[j] in bodies]
    if not joints:
        raise RainError(f"{name}: this part does not move")
    joint = joints[0]
    slides = model.jnt_type[joint] == SLIDE
    axis = data.xaxis[joint].copy()
    anchor = data.xanchor[joint] - world.base_position
    geoms = np.flatnonzero(np.isin(model.geom_bodyid, list(bodies)) & (model.geom_group == 0))
    way = -axis if slides else None
    handle, along = _handle(world, geoms, way, anchor)
    address = int(model.jnt_qposadr[joint])
    value = float(data.qpos[address])
    contents = tuple(n for n in world.objects() if slides and lies_in(world, n, name))
    return Mechanism(address, value, axis, anchor, handle, along, bool(slides), contents)


def _handle(
    world: LiberoWorld, geoms: NDArray, way: NDArray | None, anchor: NDArray
) -> tuple[NDArray, NDArray]:
    """Centre (3,) and long direction (3,) of the geom furthest out, or furthest from a hinge."""
    model, data = world.model, world.data
    turns = data.geom_xmat[geoms].reshape(-1, 3, 3)
    centres = data.geom_xpos[geoms] + np.einsum("gij,gj->gi", turns, model.geom_aabb[geoms, :3])
    centres = centres - world.base_position
    far = centres @ way if way is not None else np.hypot(*(centres - anchor)[:, :2].T)
    best = int(np.argmax(far))
    half = model.geom_aabb[geoms[best], 3:]
    return centres[best], turns[best][:, int(np.argmax(half))]


def facing(approach: NDArray, along: NDArray) -> NDArray:
    """Rotation (3, 3) of a hand that points along ``approach`` with fingers across ``along``."""
    z = approach / np.linalg.norm(approach)
    y = np.cross(z, along)
    y /= np.linalg.norm(y)
    return np.stack([np.cross(y, z), y, z], axis=1)


def open_part(hand: Hand, reach: Reach, name: str) -> Iterator[NDArray]:
    """Take a drawer's handle from the front and pull."""
    world = hand.world
    part = find_mechanism(world, name)
    if not part.slides:
        raise RainError(f"{name}: no scripted skill opens a hinged part yet")
    out = -part.axis
    pose, shift = _handle_pose(world, reach, part, out)
    approach = pose[:, 2]
    goal = part.handle + shift
    yield from hand.over(goal - 0.12 * approach + [0, 0, 0.03], pose, OPEN, None)
    yield from hand.straight(goal - 0.10 * approach, pose, OPEN, near=0.012, angle=0.08)
    yield from hand.straight(goal, pose, OPEN, slow=hand.style.slow, near=0.006)
    yield from hand.hold(12, CLOSED, pose)
    headway = Headway(40)
    start = goal.copy()
    while True:
        now = find_mechanism(world, name)
        if now.value <= -PULL:
            break
        if headway.lost(now.value + PULL):
            raise StuckError(f"{name} does not open")
        pulled = start + out * (-now.value + part.value + 0.035)
        yield hand.toward(pulled, pose, CLOSED, slow=0.7)
    yield from hand.hold(8, OPEN, pose)
    yield from hand.retreat(out * 0.09 + [0, 0, 0.02], OPEN, steps=14, pose=pose)
    yield from hand.retreat([0, 0, 0.10], OPEN, steps=12)


def _handle_pose(
    world: LiberoWorld, reach: Reach, part: Mechanism, out: NDArray
) -> tuple[NDArray, NDArray]:
    """How to hold a drawer's bar: reachable where it is and where it will be."""
    best: tuple[float, NDArray, NDArray] | None = None
    for tilt in np.deg2rad([80, 70, 60, 90]):
        approach = -out * np.sin(tilt) - UP * np.cos(tilt)
        for sign, roll in itertools.product((1.0, -1.0), ROLLS):
            pose = rotation_about(approach, roll) @ facing(approach, sign * part.along)
            for shift in (0.0, 0.015, -0.015):
                offset = part.along * shift
                postures = along_the_way(
                    reach, part, pose, part.handle + offset, out, (0.0, PULL), FULLY_OPEN
                )
                if postures is None:
                    continue
                cost = postures[0].travel + 0.5 * abs(float(tilt) - 1.4) + 5 * abs(shift)
                if roll:
                    cost += HARD + abs(roll)  # the fingers hold the bar less well
                if best is None or cost < best[0]:
                    best = (cost, pose, offset)
    if best is None:
        raise StuckError("no posture reaches the handle")
    return best[1], best[2]


def along_the_way(
    reach: Reach,
    part: Mechanism,
    pose: NDArray,
    handle: NDArray,
    out: NDArray,
    opened: tuple[float, ...],
    gap: float,
) -> list[Posture] | None:
    """Postures with the drawer open by each of ``opened`` m; None where one is not free.

    gap: between the fingers, m.
    """
    postures: list[Posture] = []
    for amount in opened:
        start = postures[-1].joints if postures else None
        posture = reach.posture(
            handle + out * (amount + part.value), pose, opening=gap, start=start,
            joints={part.qpos: -amount}, without=part.contents,
        )  # fmt: skip
        allowed = {body_of(reach.world, part)} if gap else set()  # pushing needs no hold
        if posture is None or not posture.bodies <= allowed:
            return None
        postures.append(posture)
    return postures


def body_of(world: LiberoWorld, part: Mechanism) -> int:
    """Id of the body that a joint moves."""
    joint = int(np.flatnonzero(world.model.jnt_qposadr == part.qpos)[0])
    return int(world.model.jnt_bodyid[joint])


def turn_on(hand: Hand, reach: Reach, name: str) -> Iterator[NDArray]:
    """Take a knob from above and turn it until it is well past on."""
    world = hand.world
    part = find_mechanism(world, name)
    top = part.anchor + [-0.006, 0.001, 0.038]
    yaw, end = 0.0, 0.75
    yield from hand.over(top + [0, 0, 0.08], yaw, OPEN)
    yield from hand.straight(top, yaw, OPEN, slow=hand.style.slow)
    yield from hand.hold(10, CLOSED, down_at(yaw))
    headway = Headway(40, least=0.01)
    while True:
        value = find_mechanism(world, name).value
        if value > end:
            break
        if headway.lost(-value):
            raise StuckError(f"{name} does not turn")
        yaw = min(yaw + 0.06, 1.3)
        yield hand.toward(top, yaw, CLOSED)
    yield from hand.hold(7, OPEN, down_at(yaw))
    yield from hand.retreat([0, 0, 0.10], OPEN, steps=12, pose=down_at(yaw))
