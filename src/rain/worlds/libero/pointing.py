"""Scripts for region following: the same scene, but the region of another object or place."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero.experts.grasps import graspable_category
from rain.worlds.libero.experts.scripts import (
    can_be_taken,
    fits,
    instruction_of,
    place_is_free,
    places,
    state_of,
)
from rain.worlds.pointing import pair_with

if TYPE_CHECKING:
    from rain.worlds.libero.world import LiberoWorld


def script_for(world: LiberoWorld, target: str) -> TaskScript:
    """The task's own script with another object in place of the one that it grasps first."""
    if target not in world.graspable():
        raise RainError(f"{target!r} is not an object here: {', '.join(world.graspable())}")
    first = next((s for s in world.script.subtasks if s.action_type == "grasp"), None)
    if first is None:
        raise RainError(f"task {world.task.name} grasps nothing")
    words = {name: name.rsplit("_", 1)[0].replace("_", " ") for name in (first.target, target)}
    return TaskScript(
        world.script.instruction.replace(words[first.target], words[target]),
        tuple(
            Subtask(s.action_type, target if s.target == first.target else s.target)
            for s in world.script.subtasks
        ),
    )


def pointed_at(world: LiberoWorld) -> list[str]:
    """Every object that can be grasped and every place, whether or not it can be used now."""
    taken = [name for name in world.graspable() if graspable_category(name)]
    return sorted({*taken, *places(world)})


def script_to(world: LiberoWorld, target: str, turn: int) -> TaskScript | None:
    """A grasp and a release that point at ``target`` in the scene as it is now; None: none can.

    An object is taken to a place, a place gets an object: see ``pair_with``.
    """
    state = state_of(world)
    pairs = [
        (name, place)
        for name in world.objects()
        if can_be_taken(world, name, state.opened)
        for place in places(world)
        if place_is_free(world, state, place, name) and fits(world, name, place)
    ]
    if (pair := pair_with(pairs, target, turn)) is None:
        return None
    subtasks = (Subtask("grasp", pair[0]), Subtask("release", pair[1]))
    return TaskScript(instruction_of(subtasks), subtasks)
