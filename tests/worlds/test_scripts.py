"""Proposed scripts make sense in their scene, step by step, and are said in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from worlds_helpers import script

from rain.types import ACTION_TYPES, TaskScript
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.layouts import LayoutMix, sample_layout
from rain.worlds.libero.experts.places import find_place
from rain.worlds.libero.experts.pushing import can_be_pushed
from rain.worlds.libero.experts.scripts import ScriptMix, fits, instruction_of, propose
from rain.worlds.libero.experts.shapes import fixture_boxes
from rain.worlds.libero.goals import goal_of

Scene = Callable[[str, int], LiberoWorld]
SCENES = [
    ("libero_goal", 0), ("libero_spatial", 4), ("libero_10", 3), ("libero_10", 9),
]  # fmt: skip
LONG = ScriptMix(lengths=(0.0, 0.3, 0.3, 0.4))


def proposals(world: LiberoWorld, layouts: int, each: int) -> Iterator[TaskScript]:
    """Scripts for random layouts; the world stands in the layout while one is looked at."""
    for seed in range(layouts):
        rng = np.random.default_rng(seed)
        sample_layout(world, rng, LayoutMix(upon=0.5))
        for _ in range(each):
            found = propose(world, rng, LONG)
            if found is not None:
                yield found


def drawers_of(cabinet: str) -> list[str]:
    return [f"{cabinet}:{name}_drawer" for name in ("top", "middle", "bottom")]


def drawer_site(part: str) -> str:
    owner, _, name = part.partition(":")
    return f"{owner}_{name.removesuffix('_drawer')}_region"


class Follower:
    """Follows a script in thought, by LIBERO's own predicates, and objects to nonsense."""

    def __init__(self, world: LiberoWorld) -> None:
        self.world = world
        self.sites = world.env.object_sites_dict
        self.changed: dict[str, bool] = {}
        self.filled: list[str] = []
        self.moved: set[str] = set()

    def is_open(self, part: str) -> bool:
        if part in self.changed:
            return self.changed[part]
        if part.endswith(":door"):
            return not self.world.env._eval_predicate(["close", part.partition(":")[0]])
        return bool(self.world.env._eval_predicate(["open", drawer_site(part)]))

    def others(self, part: str) -> list[str]:
        return [p for p in drawers_of(part.partition(":")[0]) if p != part]

    def lies_in_shut_drawer(self, name: str) -> bool:
        cabinets = [n for n in self.world.env.fixtures_dict if "_cabinet_" in n]
        return any(
            self.world.env._eval_predicate(["in", name, drawer_site(part)])
            and not self.is_open(part)
            for cabinet in cabinets
            for part in drawers_of(cabinet)
        )

    def follow(self, action_type: str, target: str, held: str | None) -> None:
        if action_type == "open":
            assert not self.is_open(target)
            assert not any(map(self.is_open, self.others(target))), "one is in the way"
            self.changed[target] = True
        elif action_type == "close":
            assert self.is_open(target)
            self.changed[target] = False
        elif action_type == "turn_on":
            assert target not in self.filled
            self.filled.append(target)
        elif action_type == "push":
            name, _, place = target.partition("->")
            assert name not in self.moved
            self.fill(name, place)
        elif action_type == "grasp":
            assert not self.lies_in_shut_drawer(target)
            assert not target.startswith("basket")
            assert target not in self.filled, "it carries something"
            assert target not in self.moved
        else:
            assert held is not None
            if target.endswith("_drawer"):
                assert self.is_open(target)
            if target.endswith(":heating_region"):
                assert self.is_open(target.replace("heating_region", "door"))
            assert fits(self.world, held, target)
            self.fill(held, target)

    def fill(self, name: str, place: str) -> None:
        assert place not in self.filled, "it is full"
        assert place != name
        assert place.partition(":")[0] not in self.moved, "it is no longer where it was"
        self.filled.append(place)
        self.moved.add(name)


@pytest.mark.parametrize(("suite", "task"), SCENES)
def test_every_step_makes_sense_after_those_before(scene: Scene, suite: str, task: int) -> None:
    world = scene(suite, task)
    seen: Counter[str] = Counter()
    for number, found in enumerate(proposals(world, 14, 4)):
        goal_of(found)
        follower, held, steps = Follower(world), None, ""
        for subtask in found.subtasks:
            steps += f" {subtask.action_type} {subtask.target},"
            try:
                follower.follow(subtask.action_type, subtask.target, held)
            except AssertionError as error:
                pytest.fail(f"script {number}:{steps}: {error}")
            held = subtask.target if subtask.action_type == "grasp" else None
            seen[subtask.action_type] += 1
    expected = {
        "libero_goal": set(ACTION_TYPES),
        "libero_spatial": {"grasp", "release", "turn_on", "close"},
        "libero_10": {"grasp", "release", "close"},
    }[suite]
    assert expected <= seen.keys()


def test_nothing_is_pushed_through_a_fixture_or_onto_another_object(scene: Scene) -> None:
    world, place = scene("libero_goal", 5), "main_table:stove_front_region"
    world.reset(seed=0)
    goal = find_place(world, place).centre
    assert can_be_pushed(world, "plate_1", place)
    world.place_object("cream_cheese_1", goal[:2] + [0.02, 0.0])
    assert not can_be_pushed(world, "plate_1", place)
    world.reset(seed=0)
    low, high = fixture_boxes(world)
    stove = world.geoms_of("flat_stove_1")
    mine = np.isin(world.fixture_geoms(), stove)
    beyond = (low[mine].min(axis=0) + high[mine].max(axis=0)) / 2
    behind = beyond[:2] + 1.2 * (beyond[:2] - goal[:2])  # the stove between it and the place
    world.place_object("plate_1", behind)
    assert not can_be_pushed(world, "plate_1", place)


def test_only_what_fits_is_put_there(scene: Scene) -> None:
    world = scene("libero_goal", 0)
    world.reset(seed=0)
    assert fits(world, "akita_black_bowl_1", "wooden_cabinet_1:top_drawer")
    assert fits(world, "cream_cheese_1", "akita_black_bowl_1")
    assert fits(world, "wine_bottle_1", "wine_rack_1:top_region")
    assert not fits(world, "wine_bottle_1", "wooden_cabinet_1:top_drawer")
    assert not fits(world, "wine_bottle_1", "akita_black_bowl_1")
    assert not fits(world, "akita_black_bowl_1", "wine_rack_1:top_region")


def test_short_and_long_scripts_follow_the_odds(scene: Scene) -> None:
    world = scene("libero_goal", 0)
    world.reset(seed=0)
    rng = np.random.default_rng(0)
    only_open = ScriptMix(carry=0, open=1, close=0, turn_on=0, push=0, lengths=(1.0,))
    for _ in range(5):
        found = propose(world, rng, only_open)
        assert found is not None
        assert [s.action_type for s in found.subtasks] == ["open"]
    without = ScriptMix(carry=1, open=0, close=0, turn_on=0, push=0, lengths=(0.0, 1.0))
    for _ in range(5):
        found = propose(world, rng, without)
        assert found is not None
        assert [s.action_type for s in found.subtasks] == ["grasp", "release"] * 2


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("grasp milk_1", "release basket_1:contain_region"), "Put the milk in the basket"),
        (
            ("grasp akita_black_bowl_1", "release wooden_cabinet_1:top_side"),
            "Put the akita black bowl on the top of the wooden cabinet",
        ),
        (
            ("open wooden_cabinet_1:middle_drawer", "turn_on flat_stove_1:knob"),
            "Open the middle drawer of the wooden cabinet, and then turn on the flat stove",
        ),
        (("close microwave_1:door",), "Close the door of the microwave"),
        (
            ("push plate_1->main_table:stove_front_region",),
            "Push the plate over the table in front of the stove",
        ),
        (
            ("grasp chocolate_pudding_1", "release living_room_table:plate_right_region"),
            "Put the chocolate pudding on the table to the right of the plate",
        ),
    ],
)
def test_instructions_are_sentences(lines: tuple[str, ...], words: str) -> None:
    assert instruction_of(script(*lines).subtasks) == words
