"""In which order a demonstration did what its script leaves open.

Some goals name two objects and no order ("put both … in the basket"): the script then has the
wording's order, a person's demonstration its own. Read from the replay alone.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rain.demos.annotate import Trace
from rain.types import TaskScript
from rain.worlds.mujoco_world import LIFTED


def in_the_order_done(script: TaskScript, seen: Trace) -> tuple[TaskScript, Trace]:
    """Put a script's units, and a trace's columns, into the order in which they were done.

    A unit is a grasp with the release that follows it, or another subtask by itself. Where one of
    them never happened the order stays: annotation then names what is missing.
    """
    units = _units(script)
    done = [_done_at(script, unit, seen) for unit in units]
    if any(step is None for step in done):
        return script, seen
    order = [j for i in np.argsort(np.array(done), kind="stable") for j in units[i]]
    subtasks = tuple(script.subtasks[j] for j in order)
    columns = replace(seen, placed=seen.placed[:, order], moved=seen.moved[:, order])
    return TaskScript(script.instruction, subtasks), columns


def _units(script: TaskScript) -> list[list[int]]:
    """Indices of the subtasks that belong together, in the script's order."""
    units: list[list[int]] = []
    for j, subtask in enumerate(script.subtasks):
        follows = j > 0 and script.subtasks[j - 1].action_type == "grasp"
        if subtask.action_type == "release" and follows:
            units[-1].append(j)
        else:
            units.append([j])
    return units


def _done_at(script: TaskScript, unit: list[int], seen: Trace) -> int | None:
    """When a unit was done: an object was last in the air, a part first where it should be.

    Not when an object's goal last became true: touching flickers while things come to rest.
    """
    subtask = script.subtasks[unit[0]]
    if subtask.action_type != "grasp":
        there = np.flatnonzero(seen.placed[:, unit[0]])
        return int(there[0]) if len(there) else None
    height = seen.heights[subtask.target]
    held = np.array([subtask.target in names for names in seen.held])
    lifted = height - np.minimum.accumulate(height) >= LIFTED / 2
    in_the_air = np.flatnonzero(held & lifted)
    return int(in_the_air[-1]) if len(in_the_air) else None
