"""Displaced starts: the same scene, the hand elsewhere, and what it holds with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import SubtaskSpan
from rain.worlds.libero.experts.motion import rotation_about
from rain.worlds.libero.experts.reach import Posture, Reach
from rain.worlds.libero.experts.shapes import UP
from rain.worlds.libero.loading import quaternion_product
from rain.worlds.libero.world import LiberoWorld

KINDS = ("displaced", "around")
"""Where a start lies: about the reference's own start, or about the interaction point."""
DISTANCE = {"displaced": (0.05, 0.25), "around": (0.05, 0.20)}
"""m, kind -> least and largest distance; the direction is any that the arm can take."""
TURN, LEAN = 0.4, 0.15
"""rad, standard deviations of the hand's turn about the vertical and of its lean."""
DRAWS = 60
"""Poses that are drawn before a start is given up."""
PRESSED = -0.001
"""m; deeper contacts are collisions."""


@dataclass(frozen=True)
class Start:
    """A start: the simulator's state, and how far it is from what it is measured from, m."""

    kind: str
    state: NDArray[np.float64]
    distance: float


def displace(
    world: LiberoWorld,
    reach: Reach,
    rng: np.random.Generator,
    state: NDArray[np.float64],
    span: SubtaskSpan,
    kind: str,
) -> Start | None:
    """Move the hand of ``state``, with what it holds, to a drawn pose free of contact.

    None where no pose was found. The world is left in the start.
    """
    world.set_state(state)
    held = world.touched_by_both_fingers()
    here, rotation = world.ee_pose()
    middle = here if kind == "displaced" else np.asarray(span.position, np.float64)
    for _ in range(DRAWS):
        world.set_state(state)
        way = rng.normal(size=3)
        distance = float(rng.uniform(*DISTANCE[kind]))
        point = middle + way / np.linalg.norm(way) * distance
        lean = rotation_about(rng.normal(size=3) * [1.0, 1.0, 0.0], rng.normal(0, LEAN))
        turned = rotation_about(UP, rng.normal(0, TURN)) @ lean @ rotation
        posture = reach.posture(point, turned, without=held)
        if posture is None or posture.touched:
            continue
        _move_hand(world, reach, posture, held)
        if not _collides(world, reach, held) and (held == world.touched_by_both_fingers()):
            return Start(kind, world.get_state(), distance)
    return None


def _move_hand(world: LiberoWorld, reach: Reach, posture: Posture, held: list[str]) -> None:
    """Put the arm into a posture, and what is held to the same place in the hand."""
    before, rotation = world.ee_pose()
    world.data.qpos[reach.qpos] = posture.joints
    world.data.qvel[:] = 0.0
    world.env.sim.forward()
    after, turned = world.ee_pose()
    for name in held:
        _carry(world, name, before, after, turned @ rotation.T)
    world.set_state(world.get_state())


def _carry(world: LiberoWorld, name: str, before: NDArray, after: NDArray, turn: NDArray) -> None:
    """Turn an object by ``turn`` (3, 3) about ``before`` (3,), m, and bring that to ``after``."""
    import mujoco  # late: it chooses its GL back end when it is imported

    joint = world.env.objects_dict[name].joints[-1]
    pose = np.array(world.env.sim.data.get_joint_qpos(joint))
    pose[:3] = after + world.base_position + turn @ (pose[:3] - before - world.base_position)
    rotated = np.zeros(4)
    mujoco.mju_mat2Quat(rotated, turn.ravel())
    pose[3:] = quaternion_product(rotated, pose[3:])
    world.env.sim.data.set_joint_qpos(joint, pose)
    world.env.sim.forward()


def remember_gripper(world: LiberoWorld, command: float) -> None:
    """Let the gripper be where ``command``, -1 open … 1 closed, given for long, leaves it.

    The ramp of gripper commands is not part of the simulator's state.
    """
    for robot in world.env.robots:
        robot.gripper.current_action = np.array([-1.0, 1.0]) * float(np.clip(command, -1, 1))


def _collides(world: LiberoWorld, reach: Reach, held: list[str]) -> bool:
    """Say whether what is held reaches into anything but the hand."""
    mine = np.zeros(len(reach.arm), dtype=bool)
    for name in held:
        mine[world.geoms_of(name)] = True
    for contact in world.data.contact:
        one, other = int(contact.geom1), int(contact.geom2)
        third = other if mine[one] else one
        if contact.dist < PRESSED and mine[one] != mine[other] and not reach.arm[third]:
            return True
    return False
