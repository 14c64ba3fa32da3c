"""Scripts for tasks that nobody annotated, derived from the goal in their scene file.

A goal says what must hold, not in which order it is brought about. The order here: close what
nothing is put into, open, turn on, put things in their places (what carries others first), close.
"""

from __future__ import annotations

from collections.abc import Iterator

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero.ex.problem import Problem, written_predicate
from rain.worlds.libero.goals import Predicate
from rain.worlds.libero.regions import OTHER_PARTS, PARTS, parse_target

_DRAWERS = {"top_region": "top_drawer", "middle_region": "middle_drawer",
            "bottom_region": "bottom_drawer"}  # fmt: skip
_SHELVES = {"top_region": "upper_shelf", "bottom_region": "lower_shelf"}


def derive_script(problem: Problem) -> TaskScript:
    """The script that leads to a scene's goal; a pure function of the scene file.

    What the scene file says holds at the start needs no subtask. RainError names what of the goal
    no action type brings about, or no target names.
    """
    goal = [fact for fact in problem.goal if fact not in problem.start]
    if not goal:
        raise RainError("no script: the scene file's goal holds at its start")
    puts = _by_support(_not_carried([f for f in goal if f[0] in ("on", "in")]), problem)
    into = {fact[2] for fact in puts}
    shut = [fact for fact in goal if fact[0] == "close"]
    last = [fact for fact in shut if _closes_on(fact[1], into)]
    subtasks = [_mechanism(problem, "close", fact) for fact in shut if fact not in last]
    subtasks += _openings(problem, goal, puts)
    subtasks += [_mechanism(problem, "turn_on", fact) for fact in goal if fact[0] == "turnon"]
    for fact in puts:
        subtasks += _put(problem, fact)
    subtasks += [_mechanism(problem, "close", fact) for fact in last]
    for fact in goal:
        if fact[0] not in ("on", "in", "open", "close", "turnon"):
            raise RainError(f"no script: no action type leads to {written_predicate(fact)}")
    return TaskScript(problem.language, tuple(subtasks))


def _closes_on(closed: str, places: set[str]) -> bool:
    """Whether something is put into what is then closed: a drawer, or inside a microwave."""
    return any(place == closed or place.startswith(f"{closed}_") for place in places)


def _openings(problem: Problem, goal: list[Predicate], puts: list[Predicate]) -> Iterator[Subtask]:
    """What the goal asks to be open, and what is closed and something goes into."""
    asked = [fact[1] for fact in goal if fact[0] == "open"]
    for relation, _, place in puts:
        owner, _ = _owner(problem, place)
        kind = _kinds(problem)[owner]
        closed = owner if kind == "microwave" else place if kind.endswith("cabinet") else None
        if relation == "in" and closed is not None and closed not in problem.opened:
            asked.append(closed)
    for name in dict.fromkeys(asked):
        yield _mechanism(problem, "open", ("open", name))


def _mechanism(problem: Problem, action_type: str, fact: Predicate) -> Subtask:
    owner, part = _owner(problem, fact[1])
    kind = _kinds(problem)[owner]
    if action_type == "turn_on" and kind.endswith("stove"):
        return Subtask(action_type, f"{owner}:knob")
    if kind == "microwave" and not part:
        return Subtask(action_type, f"{owner}:door")
    if kind.endswith("cabinet") and part in _DRAWERS:
        return Subtask(action_type, f"{owner}:{_DRAWERS[part]}")
    raise RainError(f"no script: no target is known for {written_predicate(fact)}")


def _put(problem: Problem, fact: Predicate) -> list[Subtask]:
    """Grasp and release; push where the instruction says so, for the goal is the same."""
    place = _place(problem, fact)
    if problem.language.lower().startswith("push"):
        return [Subtask("push", f"{fact[1]}->{place}")]
    return [Subtask("grasp", fact[1]), Subtask("release", place)]


def _place(problem: Problem, fact: Predicate) -> str:
    """The target that a thing is released at, such that LIBERO's relation is the goal's."""
    owner, part = _owner(problem, fact[2])
    kind = _kinds(problem)[owner]
    name = owner
    if part:
        names = {"cook_region": "burner"}
        if fact[0] == "in":
            names |= _DRAWERS if kind.endswith("cabinet") else _SHELVES
        name = f"{owner}:{names.get(part, part)}"
    known = not part or name.partition(":")[2] in {**PARTS, **OTHER_PARTS}
    on_a_drawer = fact[0] == "on" and kind.endswith("cabinet") and part in _DRAWERS
    if known and not on_a_drawer and fact[1] in problem.objects:
        target = parse_target(name)
        relation = target.part.relation if target.part else "on"
        if (relation, target.place) == (fact[0], fact[2]):
            return name
    raise RainError(f"no script: no target is known for {written_predicate(fact)}")


def _not_carried(puts: list[Predicate]) -> list[Predicate]:
    """Without what follows: what lies on a thing is in the tray that the thing is put into."""
    support = {fact[1]: fact[2] for fact in puts if fact[0] == "on"}
    return [f for f in puts if f[0] != "in" or ("in", support.get(f[1]), f[2]) not in puts]


def _by_support(puts: list[Predicate], problem: Problem) -> list[Predicate]:
    """What other things are put on comes first; else in the goal's order."""
    ordered: list[Predicate] = []
    left = list(puts)
    while left:
        moving = {fact[1] for fact in left}
        ready = [fact for fact in left if _owner(problem, fact[2])[0] not in moving]
        if not ready:
            raise RainError("no script: the goal puts things on one another in a circle")
        ordered.append(ready[0])
        left.remove(ready[0])
    return ordered


def _kinds(problem: Problem) -> dict[str, str]:
    """Object or fixture -> category."""
    return {**problem.fixtures, **problem.objects}


def _owner(problem: Problem, word: str) -> tuple[str, str]:
    """The thing that a predicate's word is about, and which part of it, or ""."""
    for name in sorted(_kinds(problem), key=len, reverse=True):
        if word == name or word.startswith(f"{name}_"):
            return name, word[len(name) + 1 :]
    raise RainError(f"no script: the scene has no {word}")
