"""Which scripts make sense in a scene as it is: what can be taken where, opened, closed, pushed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from rain.types import Subtask, TaskScript
from rain.worlds.libero.experts.grasps import category_of, crowded, graspable_category
from rain.worlds.libero.experts.mechanisms import PULL, find_mechanism
from rain.worlds.libero.experts.places import lies_in
from rain.worlds.libero.experts.pushing import can_be_pushed
from rain.worlds.libero.experts.reach import COMFORT
from rain.worlds.libero.experts.shapes import object_box
from rain.worlds.libero.regions import parse_target
from rain.worlds.libero.world import LiberoWorld

LARGEST = {
    "contain_region": 0.062,
    "top_drawer": 0.085,
    "middle_drawer": 0.085,
    "bottom_drawer": 0.085,
    "top_side": 0.085,
    "burner": 0.085,
    "plate_right_region": 0.085,
    "stove_front_region": 0.085,
    "plate": 0.085,
    "akita_black_bowl": 0.048,
}
"""Place, or object that others are put on -> largest half side, m, of what fits there."""
FLATTEST = {
    "top_drawer": 0.075,
    "middle_drawer": 0.075,
    "bottom_drawer": 0.075,
    "akita_black_bowl": 0.10,
}
"""Place, or object that others are put on -> greatest height, m, of what fits there."""
ONLY = {
    "heating_region": ("white_yellow_mug",),
    "back_contain_region": ("black_book",),
    "top_region": ("wine_bottle",),
}
"""Place -> categories that can be put there at all: from the side, or lying."""
PARTS_OF = {
    "basket": ("contain_region",),
    "desk_caddy": ("back_contain_region",),
    "wooden_cabinet": ("top_drawer", "middle_drawer", "bottom_drawer", "top_side"),
    "white_cabinet": ("top_drawer", "middle_drawer", "bottom_drawer", "top_side"),
    "flat_stove": ("burner",),
    "microwave": ("heating_region",),
    "wine_rack": ("top_region",),
}
TABLE_PLACES = {
    "main_table:stove_front_region": "table in front of the stove",
    "living_room_table:plate_right_region": "table to the right of the plate",
}
PUSHED_TO = ("main_table:stove_front_region",)
PUSHED = ("plate", "akita_black_bowl")
"""Categories with a rim that the fingers push from inside."""
OPEN_FROM, TURNED_FROM = -0.14, 0.5
"""LIBERO's limits: a drawer is open beyond the first, m; a knob on from the second, rad."""


@dataclass(frozen=True)
class ScriptMix:
    """How often each kind of step is chosen where the scene offers it, and how long scripts are.

    Rare action types weigh more than in the 40 tasks, or a policy never learns them; pushing most,
    which one scene in ten offers, and few of its layouts. lengths:
    probabilities of scripts of 1, 2, … steps; a step is one subtask, or a grasp with its release.
    """

    carry: float = 0.20
    open: float = 0.40
    close: float = 0.35
    turn_on: float = 0.12
    push: float = 1.0
    lengths: tuple[float, ...] = (0.50, 0.35, 0.15)


@dataclass
class SceneState:
    """What a script would have changed so far: open parts, knobs on, where objects went."""

    opened: set[str]
    turned: set[str]
    moved: dict[str, str] = field(default_factory=dict)


def state_of(world: LiberoWorld) -> SceneState:
    """The scene as it is now, with nothing moved yet."""
    return SceneState({p for p in parts_that_move(world) if is_open(world, p)}, turned_on(world))


def propose(world: LiberoWorld, rng: np.random.Generator, mix: ScriptMix) -> TaskScript | None:
    """Draw a script that makes sense in the scene as it is now; None where there is none."""
    state = state_of(world)
    weights = np.array(mix.lengths) / sum(mix.lengths)
    steps: list[tuple[Subtask, ...]] = []
    for _ in range(1 + int(rng.choice(len(weights), p=weights))):
        kinds = _next_steps(world, state, steps[-1] if steps else ())
        kinds = {kind: found for kind, found in kinds.items() if found}
        if not kinds:
            break
        odds = np.array([getattr(mix, kind) for kind in kinds])
        kind = str(rng.choice(list(kinds), p=odds / odds.sum()))
        steps.append(kinds[kind][int(rng.integers(len(kinds[kind])))])
        _apply(state, steps[-1])
    if not steps:
        return None
    subtasks = tuple(subtask for step in steps for subtask in step)
    return TaskScript(instruction_of(subtasks), subtasks)


def _next_steps(
    world: LiberoWorld, state: SceneState, last: tuple[Subtask, ...]
) -> dict[str, list[tuple[Subtask, ...]]]:
    drawers = [p for p in parts_that_move(world) if p.endswith("_drawer")]
    busy = {p.partition(":")[0] for p in state.opened}  # an open drawer is in the way of others
    just = last[-1].target if last else ""
    return {
        "carry": list(_carries(world, state)),
        "open": [
            (Subtask("open", p),)
            for p in drawers
            if p not in state.opened and p.partition(":")[0] not in busy and in_reach(world, p)
        ],
        "close": [
            (Subtask("close", p),)
            for p in sorted(state.opened)
            if in_reach(world, p) and not (last and last[-1].action_type == "open" and p == just)
        ],
        "turn_on": [
            (Subtask("turn_on", f"{n}:knob"),)
            for n in sorted(world.env.fixtures_dict)
            if category_of(n) == "flat_stove" and n not in state.turned
        ],
        "push": [
            (Subtask("push", f"{name}->{place}"),)
            for name in world.objects()
            for place in PUSHED_TO
            if category_of(name) in PUSHED
            and parse_target(place).site in world.env.object_sites_dict
            and name not in state.moved
            and place_is_free(world, state, place, name)
            and not _laden(world, state, name)
            and _stands_alone(world, name)
            and can_be_pushed(world, name, place)
        ],
    }


def _apply(state: SceneState, step: tuple[Subtask, ...]) -> None:
    first, last = step[0], step[-1]
    if last.action_type == "open":
        state.opened.add(last.target)
    elif last.action_type == "close":
        state.opened.discard(last.target)
    elif last.action_type == "turn_on":
        state.turned.add(last.target.partition(":")[0])
    else:
        name = first.target.partition("->")[0]
        state.moved[name] = last.target.rpartition("->")[2]


def _carries(world: LiberoWorld, state: SceneState) -> Iterator[tuple[Subtask, ...]]:
    for name in world.objects():
        if name in state.moved or not can_be_taken(world, name, state.opened):
            continue
        if _laden(world, state, name):
            continue
        for place in places(world):
            if place_is_free(world, state, place, name) and fits(world, name, place):
                yield Subtask("grasp", name), Subtask("release", place)


def places(world: LiberoWorld) -> Iterator[str]:
    """Everything in the scene that an object can be put on or into."""
    sites = world.env.object_sites_dict
    for owner in sorted({*world.objects(), *world.env.fixtures_dict}):
        for part in PARTS_OF.get(category_of(owner), ()):
            if parse_target(f"{owner}:{part}").site in sites:
                yield f"{owner}:{part}"
        if category_of(owner) in ("plate", "akita_black_bowl"):
            yield owner
    for place in TABLE_PLACES:
        if parse_target(place).site in sites:
            yield place


def can_be_taken(world: LiberoWorld, name: str, opened: set[str]) -> bool:
    """Say whether an object can be grasped where it is: known, in reach, room for the fingers."""
    if not graspable_category(name) or crowded(world, name):
        return False
    origin, _ = world.object_pose(name)
    if not COMFORT[0] < float(np.hypot(*origin[:2])) < COMFORT[1]:
        return False
    return all(part in opened for part in parts_that_move(world) if lies_in(world, name, part))


def place_is_free(world: LiberoWorld, state: SceneState, place: str, name: str) -> bool:
    """Say whether ``name`` can go there: open, not itself, not there already, not full."""
    if place in parts_that_move(world) and place not in state.opened:
        return False
    owner = place.partition(":")[0]
    door = f"{owner}:door"
    if door in parts_that_move(world) and door not in state.opened:
        return False
    if owner == name or owner in state.moved or lies_in(world, name, place):
        return False
    if place.endswith(":contain_region"):
        return list(state.moved.values()).count(place) < 2
    if place in state.moved.values():
        return False
    return not any(lies_in(world, other, place) for other in world.objects() if other != owner)


def fits(world: LiberoWorld, name: str, place: str) -> bool:
    """Say whether an object is of a size and kind for a place."""
    owner, _, part = place.partition(":")
    key = part or category_of(owner)
    if key in ONLY:
        return category_of(name) in ONLY[key]
    box = object_box(world, name)
    if box.top - box.bottom > FLATTEST.get(key, np.inf):
        return False
    return float(box.half.max()) < LARGEST[key]


def parts_that_move(world: LiberoWorld) -> list[str]:
    """Drawers and doors of the scene's fixtures."""
    found = []
    for owner in sorted(world.env.fixtures_dict):
        if category_of(owner).endswith("_cabinet"):
            found += [f"{owner}:{part}" for part in PARTS_OF[category_of(owner)][:3]]
        elif category_of(owner) == "microwave":
            found.append(f"{owner}:door")
    return found


def joint_of(part: str) -> str:
    """The model's name of the joint of a drawer, a door or a knob."""
    owner, _, name = part.partition(":")
    if name == "door":
        return f"{owner}_microjoint"
    if name == "knob":
        return f"{owner}_button"
    return f"{owner}_{name.removesuffix('_drawer')}_level"


def in_reach(world: LiberoWorld, part: str) -> bool:
    """Say whether a handle is within the arm's comfort, where it is shut and where it is open."""
    found = find_mechanism(world, part)
    ways = [found.handle]
    if found.slides:
        shut = found.handle + found.axis * -found.value
        ways = [shut, shut - found.axis * PULL]
    away = [float(np.hypot(*way[:2])) for way in ways]
    return COMFORT[0] < min(away) and max(away) < COMFORT[1]


def is_open(world: LiberoWorld, part: str) -> bool:
    """Say whether a drawer or a door stands open."""
    return world.joint_value(joint_of(part)) < (OPEN_FROM if part.endswith("_drawer") else -0.2)


def turned_on(world: LiberoWorld) -> set[str]:
    """Stoves whose knob is turned on."""
    stoves = [n for n in world.env.fixtures_dict if category_of(n) == "flat_stove"]
    return {n for n in stoves if world.joint_value(joint_of(f"{n}:knob")) > TURNED_FROM}


def _laden(world: LiberoWorld, state: SceneState, name: str) -> bool:
    """Say whether something is in or on an object, or the script has put something there."""
    others = [n for n in world.objects() if n != name and n not in state.moved]
    return name in state.moved.values() or any(lies_in(world, n, name) for n in others)


def _stands_alone(world: LiberoWorld, name: str) -> bool:
    """Say whether an object stands free on the table with nothing in or on it."""
    box = object_box(world, name)
    others = [object_box(world, n) for n in world.objects() if n != name]
    if any(box.distance(other.centre[None])[0] < 0.005 for other in others):
        return False
    lowest = min([box.bottom, *(other.bottom for other in others)])
    return bool(box.bottom < lowest + 0.02)


def instruction_of(subtasks: tuple[Subtask, ...]) -> str:
    """Say a script in words."""
    said, held = [], ""
    for subtask in subtasks:
        words = _words(subtask.target)
        if subtask.action_type == "grasp":
            held = words
        elif subtask.action_type == "release":
            part = parse_target(subtask.target).part
            relation = part.relation if part else "on"
            said.append(f"put the {held} {relation} the {words}")
        elif subtask.action_type == "push":
            name, _, place = subtask.target.partition("->")
            said.append(f"push the {_words(name)} over the {_words(place)}")
        else:
            said.append(f"{subtask.action_type.replace('_', ' ')} the {words}")
    return (", and then ".join(said)).capitalize()


def _words(target: str) -> str:
    owner, _, part = target.partition(":")
    thing = category_of(owner).replace("_", " ")
    if target in TABLE_PLACES:
        return TABLE_PLACES[target]
    if part in ("", "contain_region", "knob", "burner"):
        return thing
    named = {"top_side": "top", "heating_region": "inside", "top_region": "top"}
    part = named.get(part, part).removesuffix("_contain_region").replace("_", " ")
    return f"{part} of the {thing}"
