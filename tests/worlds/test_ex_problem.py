"""LIBERO's scene files read and written: LIBERO's own reader finds the same in both."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import pytest
from worlds_helpers import scene_file

from rain.types import RainError
from rain.worlds.libero import SUITES, find_task, suite_tasks
from rain.worlds.libero.ex.problem import parse_problem, write_problem

pytest.importorskip("libero", reason="the simulator is not installed")

SCENE = """
(define (problem LIBERO_Floor_Manipulation) ; a comment (with a parenthesis
  (:domain robosuite)
  (:language Pick the milk)
  (:regions
    (bin_region (:target floor) (:ranges ((-0.01 0.25 0.01 0.27))) (:yaw_rotation ((0 3.5))))
    (contain_region (:target basket_1)))
  (:fixtures floor - floor)
  (:objects milk_1 milk_2 - milk basket_1 - basket)
  (:obj_of_interest milk_1)
  (:init (On basket_1 floor_bin_region) (In milk_1 basket_1_contain_region) (On milk_2 basket_1))
  (:goal (And (TurnOn milk_1) (On milk_1 milk_2))))
"""


def read_by_libero(text: str, folder: Path) -> dict[str, Any]:
    """What LIBERO's own reader makes of a scene's text."""
    with contextlib.redirect_stdout(io.StringIO()):
        from libero.libero.envs import bddl_utils
    path = folder / "scene.bddl"
    path.write_text(text, "utf-8")
    return bddl_utils.robosuite_parse_problem(str(path))


@pytest.mark.parametrize("suite", SUITES)
def test_libero_reads_what_is_written_as_it_reads_the_original(suite: str, tmp_path: Path) -> None:
    for index in suite_tasks(suite):
        problem = parse_problem(find_task(suite, index).bddl.read_text("utf-8"))
        again = read_by_libero(write_problem(problem), tmp_path)
        original = scene_file(suite, index)
        assert again.pop("language_instruction") == original.pop("language_instruction")
        assert again == original


def test_what_a_scene_says() -> None:
    scene = parse_problem(SCENE)
    assert scene.kind == "LIBERO_Floor_Manipulation"
    assert scene.objects == {"milk_1": "milk", "milk_2": "milk", "basket_1": "basket"}
    assert scene.goal == (("turnon", "milk_1"), ("on", "milk_1", "milk_2"))
    assert scene.place_of("milk_1") == "basket_1_contain_region"
    region = scene.region("floor_bin_region")
    assert region is not None
    assert (region.centre, region.yaw) == ((0.0, 0.26), (0.0, 3.5))
    assert scene.region("basket_1") is None
    with pytest.raises(RainError, match="butter_1"):
        scene.place_of("butter_1")


def test_two_objects_of_one_category_that_are_apart_are_written_together(tmp_path: Path) -> None:
    """Of two lines of one category LIBERO's reader would forget the first."""
    text = SCENE.replace("milk_1 milk_2 - milk basket_1 - basket", "milk_1 - milk basket_1 - basket"
                         " milk_2 - milk")  # fmt: skip
    found = read_by_libero(write_problem(parse_problem(text)), tmp_path)
    assert found["objects"] == {"milk": ["milk_1", "milk_2"], "basket": ["basket_1"]}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (SCENE, ""),
        ("(:domain", "((:domain"),
        ("(:goal", "(:aim"),
        (" - basket)", ")"),
        ("-0.01 0.25", "0.25"),
        ("-0.01 0.25", "left 0.25"),
    ],
)
def test_other_text_is_one_line_of_error(old: str, new: str) -> None:
    with pytest.raises(RainError, match="not a scene file"):
        parse_problem(SCENE.replace(old, new))
