"""What the named edits make of a small scene."""

from __future__ import annotations

from typing import Any

import pytest

from rain.types import RainError
from rain.worlds.libero.ex.edits import edit_from, edited
from rain.worlds.libero.ex.problem import Problem, parse_problem

SCENE = parse_problem("""
(define (problem LIBERO_Kitchen_Tabletop_Manipulation)
  (:language Put the bowl in the drawer)
  (:regions
    (bowl_init (:target kitchen_table) (:ranges ((-0.02 -0.02 0.02 0.02))))
    (bottle_init (:target kitchen_table) (:ranges ((0.10 0.10 0.20 0.20))))
    (cabinet_init (:target kitchen_table) (:ranges ((-0.01 0.29 0.01 0.31)))
      (:yaw_rotation ((0 0))))
    (rack_init (:target kitchen_table) (:ranges ((-0.01 -0.31 0.01 -0.29)))
      (:yaw_rotation ((3 3))))
    (top_region (:target white_cabinet_1))
    (bottom_region (:target white_cabinet_1))
    (top_region (:target wine_rack_1)))
  (:fixtures kitchen_table - kitchen_table white_cabinet_1 - white_cabinet wine_rack_1 - wine_rack)
  (:objects bowl_1 - bowl wine_bottle_1 - wine_bottle)
  (:obj_of_interest bowl_1)
  (:init (On bowl_1 kitchen_table_bowl_init) (On wine_bottle_1 kitchen_table_bottle_init)
    (On white_cabinet_1 kitchen_table_cabinet_init) (On wine_rack_1 kitchen_table_rack_init)
    (Open white_cabinet_1_bottom_region))
  (:goal (And (In bowl_1 white_cabinet_1_bottom_region))))
""")


def after(*edits: dict[str, Any]) -> Problem:
    return edited(SCENE, [edit_from(edit) for edit in edits])


def where(scene: Problem, name: str) -> tuple[float, float] | None:
    region = scene.region(scene.place_of(name))
    return region.centre if region else None


def test_no_edit_leaves_the_scene() -> None:
    assert after() == SCENE


def test_replace_takes_the_place_over() -> None:
    scene = after({"replace": "bowl_1", "by": "red_mug_2"})
    assert scene.objects == {"wine_bottle_1": "wine_bottle", "red_mug_2": "red_mug"}
    assert scene.place_of("red_mug_2") == "kitchen_table_bowl_init"
    assert scene.interest == ("red_mug_2",)
    with pytest.raises(RainError):
        scene.place_of("bowl_1")


def test_replaced_fixtures_stay_fixtures_and_lose_their_parts() -> None:
    scene = after({"replace": "wine_rack_1", "by": "wooden_cabinet_1"})
    assert scene.fixtures["wooden_cabinet_1"] == "wooden_cabinet"
    assert "wine_rack_1" not in scene.fixtures
    assert scene.region("wine_rack_1_top_region") is None
    assert scene.region("white_cabinet_1_top_region") is not None


def test_move_keeps_the_size_of_the_region() -> None:
    scene = after({"move": "wine_bottle_1", "to": [-0.2, 0.05]})
    region = scene.region(scene.place_of("wine_bottle_1"))
    assert region is not None
    assert region.box == pytest.approx((-0.25, 0.0, -0.15, 0.1))
    assert region.yaw is None
    assert scene.region("kitchen_table_bottle_init") is not None


def test_move_turns_fixtures() -> None:
    scene = after({"move": "white_cabinet_1", "to": [0.0, -0.3], "yaw": 3.14})
    region = scene.region(scene.place_of("white_cabinet_1"))
    assert region is not None
    assert (region.centre, region.yaw) == ((0.0, -0.3), (3.14, 3.14))


def test_move_into_a_place() -> None:
    scene = after({"move": "bowl_1", "into": "white_cabinet_1:top_drawer"})
    assert ("in", "bowl_1", "white_cabinet_1_top_region") in scene.start
    assert where(scene, "bowl_1") is None


def test_swap_exchanges_two_and_turns_rings() -> None:
    two = after({"swap": ["bowl_1", "wine_bottle_1"]})
    assert (where(two, "bowl_1"), where(two, "wine_bottle_1")) == ((0.15, 0.15), (0.0, 0.0))
    ring = after({"add": "cup_1", "at": [-0.1, 0.2]},
                 {"swap": ["bowl_1", "wine_bottle_1", "cup_1"]})  # fmt: skip
    assert where(ring, "bowl_1") == where(SCENE, "wine_bottle_1")
    assert where(ring, "wine_bottle_1") == (-0.1, 0.2)
    assert where(ring, "cup_1") == where(SCENE, "bowl_1")


def test_add_is_as_wide_as_the_widest() -> None:
    scene = after({"add": "butter_1", "at": [0.0, -0.1]})
    region = scene.region(scene.place_of("butter_1"))
    assert region is not None
    assert region.box == pytest.approx((-0.05, -0.15, 0.05, -0.05))
    assert scene.objects["butter_1"] == "butter"


def test_set_joint_replaces_what_its_fixture_had_open() -> None:
    scene = after({"set_joint": "white_cabinet_1:top_drawer", "state": "open"})
    assert scene.opened == {"white_cabinet_1_top_region"}


def test_edits_come_one_after_another() -> None:
    scene = after({"swap": ["bowl_1", "wine_bottle_1"]}, {"move": "bowl_1", "to": [0.3, 0.0]})
    assert where(scene, "bowl_1") == (0.3, 0.0)
    region = scene.region(scene.place_of("bowl_1"))
    assert region is not None
    assert region.box == pytest.approx((0.25, -0.05, 0.35, 0.05)), "as wide as the bottle's place"


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        ({"replace": "milk_1", "by": "cup_1"}, "milk_1"),
        ({"replace": "bowl_1", "by": "wine_bottle_1"}, "in the scene already"),
        ({"add": "bowl_1", "at": [0.0, 0.0]}, "in the scene already"),
        ({"move": "milk_1", "to": [0.0, 0.0]}, "milk_1"),
        ({"move": "white_cabinet_1", "to": [0.0, 0.0]}, "needs a yaw"),
        ({"move": "bowl_1", "to": [0.0, 0.0], "yaw": 1.0}, "needs a yaw"),
        ({"move": "bowl_1"}, "give to"),
        ({"swap": ["bowl_1", "bowl_1"]}, "at least two"),
        ({"set_joint": "bowl_1:top_drawer", "state": "open"}, "cannot be set"),
        ({"set_joint": "white_cabinet_1:top_drawer", "state": "ajar"}, "cannot be set"),
        ({"paint": "bowl_1"}, "unknown"),
        ({"add": "cup_1", "to": [0.0, 0.0]}, "unexpected"),
    ],
)
def test_what_cannot_be_done_is_one_line(edit: dict[str, Any], words: str) -> None:
    with pytest.raises(RainError, match=words) as caught:
        after(edit)
    assert "\n" not in str(caught.value)
