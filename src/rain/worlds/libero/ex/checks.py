"""Whether a scene is fit to start an episode from: at rest, upright, in reach, not yet solved."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.libero.experts.grasps import leaning
from rain.worlds.libero.experts.mechanisms import find_mechanism
from rain.worlds.libero.experts.motion import rotation_vector
from rain.worlds.libero.experts.places import find_place
from rain.worlds.libero.experts.reach import WHOLE, Reach
from rain.worlds.libero.experts.shapes import object_box
from rain.worlds.libero.world import IDLE, SETTLE_STEPS, LiberoWorld

TURNED = np.deg2rad(15)
"""rad that a thing may turn between where it was put and where it comes to rest."""
SLID, DROPPED = 0.03, 0.12
"""m that it may move aside, and sink: LIBERO lets things fall from 5 to 9 cm."""
SLOW = 0.02
"""m/s and rad/s of what is at rest; some things creep for as long as they are watched."""
PATIENCE = 100
"""Control steps that things may take to come to rest."""
WATCHED = 10
"""Control steps for which a stored state is watched."""
STIRRED, TWISTED = 0.002, np.deg2rad(1.0)
"""m and rad that a thing may move while it is watched."""
VISIBLE = 8
"""Pixels of a target's region in the agentview image, of 128 x 128, that make it visible."""
LEANS = (0.0, 0.35, -0.35, 0.7)
"""rad by which the hand may lean over a target."""

Poses = dict[str, tuple[NDArray, NDArray]]
"""Object -> origin (3,), m, and rotation (3, 3)."""


def poses_of(world: LiberoWorld) -> Poses:
    """Where the objects are now."""
    return {name: world.object_pose(name) for name in world.objects()}


def come_to_rest(world: LiberoWorld) -> bool:
    """Wait until nothing moves; False where something still does after ``PATIENCE`` steps."""
    world.settle(SETTLE_STEPS)
    for _ in range((PATIENCE - SETTLE_STEPS) // 5):
        if _speed(world) < SLOW:
            return True
        world.settle(5)
    return _speed(world) < SLOW


def _speed(world: LiberoWorld) -> float:
    """Largest speed of an object, m/s or rad/s."""
    starts = [
        world.model.joint(world.env.objects_dict[name].joints[-1]).dofadr[0]
        for name in world.objects()
    ]
    velocities = world.data.qvel[np.add.outer(starts, np.arange(6))].reshape(-1, 3)
    return float(np.linalg.norm(velocities, axis=1).max(initial=0.0))


def disturbed(world: LiberoWorld, placed: Poses) -> str | None:
    """Say what became of things since they were put where ``placed`` says; None where all is well.

    fallen: off what it was put on; tilted: turned by more than 15 degrees; slid: pushed aside.
    """
    for name, (origin, rotation) in placed.items():
        now, turned = world.object_pose(name)
        if origin[2] - now[2] > DROPPED:
            return "fallen"
        if np.linalg.norm(rotation_vector(turned @ rotation.T)) > TURNED:
            return "tilted"
        if np.hypot(*(now - origin)[:2]) > SLID:
            return "slid"
    return None


def stirs(world: LiberoWorld) -> bool:
    """Watch a restored state for half a second and say whether anything moves; moves the world."""
    before = poses_of(world)
    for _ in range(WATCHED):
        world.step(IDLE)
    for name, (origin, rotation) in before.items():
        now, turned = world.object_pose(name)
        if np.linalg.norm(now - origin) > STIRRED:
            return True
        if np.linalg.norm(rotation_vector(turned @ rotation.T)) > TWISTED:
            return True
    return False


def unfit(world: LiberoWorld, reach: Reach) -> str | None:
    """Say why the task cannot begin from the scene as it is now; None where it can.

    start: not what the scene file says, for instance a drawer that should be open; goal: some of
    the goal holds already; unreachable: the arm finds no posture at some target; hidden: the
    agentview does not show some target.
    """
    task = world.task
    facts = world.env.parsed_problem["initial_state"]
    known = world.env.object_states_dict
    ranges = {site for site, region in world.env.parsed_problem["regions"].items()
              if region["ranges"]}  # fmt: skip
    judged = [f for f in facts if f[-1] not in ranges and all(word in known for word in f[1:])]
    if not all(world.holds(tuple(fact)) for fact in judged):
        return "start"
    goal = [tuple(fact) for fact in world.env.parsed_problem["goal_state"]]
    if world.success() or any(world.holds(fact) for fact in goal):
        return "goal"
    if not all(can_reach(world, reach, task.script, i) for i in range(len(task.script.subtasks))):
        return "unreachable"
    targets = list(dict.fromkeys(subtask.target for subtask in task.script.subtasks))
    seen = world.regions(targets, "agentview").reshape(len(targets), -1).sum(axis=1)
    if seen.min() < VISIBLE:
        return "hidden"
    return None


def can_reach(world: LiberoWorld, reach: Reach, script: TaskScript, index: int) -> bool:
    """Say whether the arm can bring its hand over a subtask's target, as far as its joints go.

    What stands in the way of the arm is not looked at: the scene may be rearranged meanwhile.
    """
    points, from_above = _points(world, script.subtasks, index)
    away = np.hypot(*points[:, :2].T)
    if away.min() < WHOLE[0] or away.max() > WHOLE[1]:
        return False
    return not from_above or all(_hand_over(reach, point) for point in points)


def _points(world: LiberoWorld, subtasks: tuple[Subtask, ...], index: int) -> tuple[NDArray, bool]:
    """Where a hand must come for a subtask (n, 3), m, and whether from above."""
    subtask = subtasks[index]
    if subtask.action_type == "grasp":
        return _above(world, subtask.target)[None], True
    if subtask.action_type == "push":
        name, _, place = subtask.target.partition("->")
        goal = find_place(world, place).centre + [0, 0, 0.05]
        return np.stack([_above(world, name), goal]), True
    if subtask.action_type == "release":
        held = next(s.target for s in reversed(subtasks[:index]) if s.action_type == "grasp")
        found = find_place(world, subtask.target, held=held)
        above = np.array([*found.centre[:2], found.rim + 0.10])
        return above[None], found.from_above
    part = find_mechanism(world, subtask.target)
    at = part.handle
    if subtask.action_type == "close" and not part.slides:
        at = (part.handle + part.anchor) / 2  # a door can be pushed anywhere
        at[2] = part.handle[2]
    return at[None] + [0, 0, 0.05], True


def _above(world: LiberoWorld, name: str) -> NDArray:
    """A point (3,) a little above an object's middle."""
    box = object_box(world, name)
    return np.array([*box.centre, box.top + 0.03])


def _hand_over(reach: Reach, point: NDArray) -> bool:
    return any(
        reach.posture(point, leaning(yaw, lean), ring=WHOLE) is not None
        for lean in LEANS
        for yaw in (0.0, np.pi / 2)
    )
