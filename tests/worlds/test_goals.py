"""What a script leads to, against expectations written out by hand and against LIBERO's goals."""

from __future__ import annotations

import pytest
from worlds_helpers import scene_file, script

from rain.types import RainError
from rain.worlds.libero import LiberoWorld, find_task, suite_tasks
from rain.worlds.libero.goals import goal_of
from rain.worlds.libero.suites import SUITES


@pytest.mark.parametrize(
    ("lines", "goal"),
    [
        (("grasp milk_1", "release plate_1"), {"on milk_1 plate_1"}),
        (
            ("grasp milk_1", "release basket_1:contain_region"),
            {"in milk_1 basket_1_contain_region"},
        ),
        # Of two releases of one thing the last; another thing's stays.
        (
            (
                "grasp milk_1", "release plate_1", "grasp butter_1", "release plate_2",
                "grasp milk_1", "release flat_stove_1:burner",
            ),
            {"on milk_1 flat_stove_1_cook_region", "on butter_1 plate_2"},
        ),
        # Opened and closed again is closed.
        (
            ("open wooden_cabinet_1:top_drawer", "close wooden_cabinet_1:top_drawer"),
            {"close wooden_cabinet_1_top_region"},
        ),
        # What was opened only to put something in need not stay open; if it is closed, that holds.
        (
            (
                "open wooden_cabinet_1:top_drawer", "grasp bowl_1",
                "release wooden_cabinet_1:top_drawer",
            ),
            {"in bowl_1 wooden_cabinet_1_top_region"},
        ),
        (
            (
                "open wooden_cabinet_1:top_drawer", "grasp bowl_1",
                "release wooden_cabinet_1:top_drawer", "close wooden_cabinet_1:top_drawer",
            ),
            {"in bowl_1 wooden_cabinet_1_top_region", "close wooden_cabinet_1_top_region"},
        ),
        # Another drawer's opening is no part of that.
        (
            (
                "open wooden_cabinet_1:middle_drawer", "grasp bowl_1",
                "release wooden_cabinet_1:top_side",
            ),
            {"open wooden_cabinet_1_middle_region", "on bowl_1 wooden_cabinet_1_top_side"},
        ),
        (("turn_on flat_stove_1:knob",), {"turnon flat_stove_1"}),
        # LIBERO's predicate of a door, which has no site, is about the microwave itself.
        (("close microwave_1:door",), {"close microwave_1"}),
        (
            ("push plate_1->main_table:stove_front_region",),
            {"on plate_1 main_table_stove_front_region"},
        ),
        # Pushed, then taken away: only where it was put.
        (
            (
                "push bowl_1->main_table:stove_front_region", "grasp bowl_1",
                "release wooden_cabinet_1:top_side",
            ),
            {"on bowl_1 wooden_cabinet_1_top_side"},
        ),
    ],
)  # fmt: skip
def test_a_goal_is_what_the_script_leaves_behind(lines: tuple[str, ...], goal: set[str]) -> None:
    assert {" ".join(predicate) for predicate in goal_of(script(*lines))} == goal


def test_nothing_held_is_an_error() -> None:
    with pytest.raises(RainError, match="never grasped"):
        goal_of(script("grasp milk_1", "release plate_1", "release plate_1"))


def test_every_training_script_leads_to_its_bddl_goal() -> None:
    pytest.importorskip("libero", reason="the simulator is not installed")
    for suite in SUITES:
        for index in range(len(suite_tasks(suite))):
            facts = scene_file(suite, index)
            # What holds from the start, a stove that is on, is no part of what the script does.
            goal = {tuple(p) for p in facts["goal_state"] if p not in facts["initial_state"]}
            assert set(goal_of(find_task(suite, index).script)) == goal, f"{suite} task {index}"


def test_unmet_names_what_does_not_hold(libero_world: LiberoWorld) -> None:
    libero_world.reset(seed=0)
    both = script(
        "grasp milk_1", "release basket_1:contain_region",
        "grasp butter_1", "release basket_1:contain_region",
    )  # fmt: skip
    place = "basket_1_contain_region"
    assert libero_world.unmet(both) == [("in", "milk_1", place), ("in", "butter_1", place)]
    assert not libero_world.script_success(both)
    basket, _ = libero_world.object_pose("basket_1")
    libero_world.place_object("milk_1", basket[:2])
    for _ in range(30):
        libero_world.step([0, 0, 0, 0, 0, 0, -1])
    assert libero_world.unmet(both) == [("in", "butter_1", place)]
    only_milk = script("grasp milk_1", "release basket_1:contain_region")
    assert libero_world.script_success(only_milk)
