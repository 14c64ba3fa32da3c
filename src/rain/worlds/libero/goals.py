"""What holds in the world when a script is done, as LIBERO's own predicates."""

from __future__ import annotations

from rain.types import RainError, TaskScript
from rain.worlds.libero.regions import parse_target

Predicate = tuple[str, ...]
"""A relation of LIBERO's and what it is about: ("in", "milk_1", "basket_1_contain_region")."""


def goal_of(script: TaskScript) -> tuple[Predicate, ...]:
    """The predicates that a script leads to, in its order.

    What a later subtask changes again does not count: of two releases of one object the last, of
    a drawer opened and then closed that it is closed. Nor does, as in LIBERO's own goals, that a
    drawer is open into which something was released. RainError where nothing is held to release.
    """
    goal: dict[str, Predicate] = {}
    held: str | None = None
    for subtask in script.subtasks:
        target = parse_target(subtask.target)
        place = target.place
        predicate: Predicate = ()
        if subtask.action_type == "grasp":
            held, about = subtask.target, ""
        elif subtask.action_type == "release":
            if held is None:
                raise RainError("script releases an object that it never grasped")
            relation = target.part.relation if target.part else "on"
            about, predicate, held = held, (relation, held, place), None
            goal.pop(place, None)
        elif subtask.action_type == "push":
            pushed_to = parse_target(subtask.target.partition("->")[2])
            about, predicate = target.owner, ("on", target.owner, pushed_to.place)
        elif subtask.action_type == "turn_on":
            about, predicate = place, ("turnon", target.owner)
        else:
            about, predicate = place, (subtask.action_type, place)
        if predicate:
            goal.pop(about, None)
            goal[about] = predicate
    return tuple(goal.values())
