"""Where the subtasks of a demonstration begin and end, from what happens in the simulator.

Nothing the expert knows is used, so that files of people's demonstrations are annotated alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError, Subtask, SubtaskSpan, TaskScript
from rain.worlds.libero.experts.mechanisms import find_mechanism
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.mujoco_world import LIFTED
from rain.worlds.opening import RecordedWorld

WITHDRAWN = 0.04
"""m; a release is complete when the hand is this far from where it let go."""
MOVING = 0.004
"""m or rad; a part or an object that has moved this far is being moved."""
AT_REST = 0.0005
"""m or rad a step; a part or an object that moves less has come to rest."""
HELD_STILL = 0.015
"""m; a hand that has moved less than this since it closed took hold of the part that moves now."""


CLOSES_ABOVE: Mapping[str, float] = {"omy_joint_absolute": 0.4}
"""Gripper command above which the hand is to close, by ``Conventions.action``; 0 for all others.
Of the arm, rad: no thing that fits between its fingers is held with less, and the expert opens
farther."""


@dataclass(frozen=True)
class Trace:
    """What a replay saw at every control step, before its action; L steps.

    states float32 (L, 7); rotation (L, 3, 3); heights: object -> (L,) m; held: names touched by
    both fingers; placed: bool (L, J), whether what subtask j leads to holds; moved (L, J): how far
    subtask j has moved its joint (m or rad) or pushed its object (m); 0 for grasp and release.
    ee_position: (L, 3) m; by default the state's first three numbers.
    """

    states: NDArray[np.float32]
    rotation: NDArray[np.float64]
    heights: dict[str, NDArray[np.float64]]
    held: tuple[frozenset[str], ...]
    placed: NDArray[np.bool_]
    moved: NDArray[np.float64]
    ee_position: NDArray[np.float32] | None = None

    @property
    def positions(self) -> NDArray[np.float32]:
        """End-effector positions, (L, 3) m, robot base frame."""
        return self.states[:, :3] if self.ee_position is None else self.ee_position


def signed_gripper(actions: NDArray, meaning: str) -> NDArray:
    """Actions (L, 7) whose last number is above 0 where the hand is to close."""
    signed = np.array(actions)
    signed[:, -1] -= CLOSES_ABOVE.get(meaning, 0.0)
    return signed


def trace(world: RecordedWorld, states: NDArray, script: TaskScript) -> Trace:
    """Put the world into every recorded state in turn and look; nothing is rendered."""
    ee, position, rotation, held, placed, moved = [], [], [], [], [], []
    heights: dict[str, list[float]] = {name: [] for name in world.objects()}
    for state in states:
        world.set_state(state)
        ee.append(world.state())
        here, turned = world.ee_pose()
        position.append(here)
        rotation.append(turned)
        held.append(frozenset(world.touched_by_both_fingers()))
        placed.append([aim_holds(world, script, j) for j in range(len(script.subtasks))])
        moved.append([_where(world, subtask) for subtask in script.subtasks])
        for name, values in heights.items():
            values.append(float(world.object_pose(name)[0][2]))
    return Trace(
        np.array(ee),
        np.array(rotation),
        {name: np.array(values) for name, values in heights.items()},
        tuple(held),
        np.array(placed),
        np.linalg.norm(np.array(moved) - np.array(moved)[0], axis=2),
        np.array(position, dtype=np.float32),
    )


def _where(world: RecordedWorld, subtask: Subtask) -> NDArray:
    """What a subtask moves: the joint's value, or where the pushed object is; (2,)."""
    if subtask.action_type in ("open", "close", "turn_on"):
        return np.array([find_mechanism(cast(LiberoWorld, world), subtask.target).value, 0.0])
    if subtask.action_type == "push":
        return world.object_pose(subtask.target.partition("->")[0])[0][:2]
    return np.zeros(2)


def aim_holds(world: RecordedWorld, script: TaskScript, j: int) -> bool:
    """Whether what subtask ``j`` by itself leads to holds now; a grasp leads to no place."""
    if script.subtasks[j].action_type == "grasp":
        return False
    grasped = [s for s in script.subtasks[:j] if s.action_type == "grasp"][-1:]
    return world.script_success(TaskScript(script.instruction, (*grasped, script.subtasks[j])))


def annotate(script: TaskScript, seen: Trace, actions: NDArray) -> tuple[SubtaskSpan, ...]:
    """Find each subtask's start, interaction and end, in order; RainError names one not found.

    actions: (L, 7), above 0 in the last number where the hand is to close (``signed_gripper``).
    """
    spans: list[SubtaskSpan] = []
    start, held = 0, None
    for j, subtask in enumerate(script.subtasks):
        if subtask.action_type == "grasp":
            interaction, end = _grasp(subtask, seen, actions, start)
            held = subtask.target
        elif subtask.action_type == "release":
            interaction, end = _release(j, subtask, held, seen, actions, start)
        else:
            interaction, end = _motion(j, subtask, seen, actions, start)
        spans.append(
            SubtaskSpan(
                subtask, start, interaction, end,
                seen.positions[interaction], seen.rotation[interaction].astype(np.float32),
            )
        )  # fmt: skip
        start = end
    return tuple(spans)


def _grasp(subtask: Subtask, seen: Trace, actions: NDArray, start: int) -> tuple[int, int]:
    """Complete when lifted by 4 cm between both fingers; the interaction is the last closing.

    Lifted from the lowest it lay: recordings may begin with objects that still fall, and an
    object that was dropped may come to lie elsewhere.
    """
    height = seen.heights[subtask.target]
    lowest = np.minimum.accumulate(height[start:])
    for step in range(start + 1, len(actions)):
        lifted = height[step] - lowest[step - start] >= LIFTED
        if lifted and subtask.target in seen.held[step]:
            return _last_change(actions, start, step, closing=True), step
    raise RainError(f"{subtask}: the object is never lifted")


def _release(
    j: int, subtask: Subtask, held: str | None, seen: Trace, actions: NDArray, start: int
) -> tuple[int, int]:
    """Complete when the object lies at its place and the hand that let go of it has withdrawn.

    A hand that never opens has not let go: what is carried may touch its place on the way, and
    slip from a finger for a step.
    """
    resting = None
    for step in range(start + 1, len(actions)):
        let_go = held not in seen.held[step] if held is not None else not seen.held[step]
        if not (seen.placed[step, j] and let_go and actions[step, 6] <= 0):
            continue
        interaction = _last_change(actions, start, step + 1, closing=False)
        resting = (interaction, step)
        moved = np.linalg.norm(seen.positions[step] - seen.positions[interaction])
        if moved >= WITHDRAWN:
            return resting
    if resting is None:
        raise RainError(f"{subtask}: the object never rests at its place")
    return resting  # people's recordings end with the success


def _motion(j: int, subtask: Subtask, seen: Trace, actions: NDArray, start: int) -> tuple[int, int]:
    """Complete when the part or object is where it should be and the hand has withdrawn.

    The interaction is when the part begins to move or, where the hand took hold of it first, when
    it closed. A hand withdraws from where it let go or the part came to rest: one that still pulls
    an open drawer further does not withdraw, while a knob turns on by itself.
    """
    began = seen.moved[start, j]
    moving = np.flatnonzero(np.abs(seen.moved[start:, j] - began) > MOVING)
    done = np.flatnonzero(seen.placed[start + 1 :, j])
    if len(moving) == 0 or len(done) == 0:
        raise RainError(f"{subtask}: it never comes to where it should be")
    first, reached = start + int(moving[0]), start + 1 + int(done[0])
    closed = _last_change(actions, start, first + 1, closing=True)
    since = np.linalg.norm(seen.positions[first] - seen.positions[closed])
    interaction = closed if since < HELD_STILL else first
    resting = np.flatnonzero(np.abs(np.diff(seen.moved[reached:, j])) < AT_REST)
    opening = np.flatnonzero((actions[reached:, 6] <= 0) & (actions[reached - 1 : -1, 6] > 0))
    parted = [int(steps[0]) for steps in (resting, opening) if len(steps)]
    rest = reached + min(parted, default=0)
    for step in range(rest, len(actions)):
        away = np.linalg.norm(seen.positions[step] - seen.positions[rest])
        if away >= WITHDRAWN and seen.placed[step, j]:
            return interaction, step
    return interaction, reached  # people's recordings end with the success


def _last_change(actions: NDArray, start: int, end: int, closing: bool) -> int:
    """The last step in [start, end) at which the gripper command turned to closing (opening)."""
    wanted = actions[start:end, 6] > 0 if closing else actions[start:end, 6] <= 0
    turned = np.flatnonzero(wanted & ~np.r_[False, wanted[:-1]])
    if len(turned) == 0:
        return start
    return start + int(turned[-1])
