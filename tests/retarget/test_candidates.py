"""Candidates of Appendix A: each rule rejects what it is for, and every rejection is counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from rain.retarget import (
    RULES,
    CandidateOptions,
    Frame,
    estimate_holding,
    find_candidates,
    hand_state,
)
from rain.retarget.candidates import overlap, region_valid
from rain.types import Subtask, SubtaskSpan

# White mug to the left plate, yellow mug to the right plate, then the microwave's door.
SCRIPT = (
    ("grasp", "white_mug"),
    ("release", "left_plate"),
    ("grasp", "yellow_mug"),
    ("release", "right_plate"),
    ("close", "microwave:door"),
)


def spans() -> list[SubtaskSpan]:
    made = []
    for j, (kind, target) in enumerate(SCRIPT):
        position = np.array([0.1 * j, 0.2, 0.1])
        made.append(
            SubtaskSpan(
                Subtask(kind, target), 40 * j, 40 * j + 30, 40 * j + 40, position, np.eye(3)
            )
        )
    return made


def regions() -> dict[str, np.ndarray]:
    made = {}
    for j, (_, target) in enumerate(SCRIPT):
        region = np.zeros((2, 32, 32), bool)
        region[0, 6 * j : 6 * j + 5, :10] = True
        made[target] = region
    return made


def frame(current: int, step: int, **changes) -> Frame:
    made = Frame.annotated(spans(), current, step, np.array([0.9, 0.9, 0.9]), regions())
    return replace(made, **changes)


def names(frame: Frame, **options) -> set[str]:
    return {c.target for c in find_candidates(frame, CandidateOptions(**options))[0]}


def test_an_empty_hand_grasps_or_closes_something_later():
    found, rejected = find_candidates(frame(0, 10))
    assert [(c.span, c.action_type, c.target, c.source) for c in found] == [
        (2, "grasp", "yellow_mug", None),
        (4, "close", "microwave:door", None),
    ]
    assert rejected == Counter(later=1, hand_permits=2)


def test_a_full_hand_releases_at_a_later_place_or_closes():
    found, rejected = find_candidates(frame(1, 50))
    assert [(c.action_type, c.target, c.source) for c in found] == [
        ("release", "right_plate", "white_mug"),
        ("close", "microwave:door", None),
    ]
    assert rejected == Counter(later=2, hand_permits=1)


def test_the_held_object_never_goes_to_its_own_place():
    # The tail of the grasp, the object in the hand: the release that follows is the original task.
    tail = frame(0, 41)
    assert names(tail) == {"right_plate", "microwave:door"}
    only = [r for r in RULES if r.__name__ == "not_own_place"]
    found, rejected = find_candidates(tail, rules=only)
    assert rejected == Counter(not_own_place=1)
    assert "left_plate" not in {c.target for c in found}


def test_the_same_place_again_is_the_original_task_too():
    twice = spans()
    twice[3] = replace(twice[3], subtask=Subtask("release", "left_plate"))
    made = Frame.annotated(twice, 1, 50, np.array([0.9, 0.9, 0.9]), regions())
    _, rejected = find_candidates(made, rules=[r for r in RULES if r.__name__ != "later"])
    assert rejected["not_own_place"] + rejected["not_current_target"] == 2


def test_past_the_interaction_the_next_subtask_is_the_original_task():
    # The first mug has just been let go: the demonstration goes on to the second.
    _, rejected = find_candidates(frame(1, 81))
    assert rejected["not_completion_edge"] == 1
    assert names(frame(1, 81)) == {"microwave:door"}


def test_a_hand_that_is_closing_permits_nothing():
    found, rejected = find_candidates(frame(0, 35))
    assert found == []
    assert rejected == Counter(later=1, hand_settled=4)


def test_regions_must_be_there_and_apart():
    hidden = regions()
    hidden["yellow_mug"] = np.zeros((2, 32, 32), bool)
    del hidden["microwave:door"]
    found, rejected = find_candidates(frame(0, 10, regions=hidden))
    assert found == []
    assert rejected["region_valid"] == 2
    covering = regions()
    covering["yellow_mug"] = covering["white_mug"] | covering["yellow_mug"]
    _, rejected = find_candidates(frame(0, 10, regions=covering))
    assert rejected["little_overlap"] == 1
    assert "yellow_mug" in names(frame(0, 10, regions=covering), max_overlap=1.0)


def test_overlap_is_a_share_of_the_smaller_region():
    one, other = np.zeros((2, 2, 8, 8), bool)
    one[1, :4], other[1, 3:5, :4] = True, True
    assert overlap(one, other) == pytest.approx(4 / 8)
    assert overlap(one, None) == 0.0
    assert not region_valid(frame(0, 10, regions={"yellow_mug": one[:1]}), 2, CandidateOptions())


def test_an_interaction_point_within_3_cm_is_a_copy():
    at = spans()[2].position
    _, rejected = find_candidates(frame(0, 10, position=at + [0.0, 0.029, 0.0]))
    assert rejected["far_enough"] == 1
    assert "yellow_mug" in names(frame(0, 10, position=at + [0.0, 0.031, 0.0]))


def test_a_target_that_is_yet_to_be_moved_is_not_there():
    moving = frame(0, 10, moved={2: 0.1})
    assert find_candidates(moving)[1]["target_unmoved"] == 1
    assert "yellow_mug" in names(moving, max_moved=None)


@pytest.mark.parametrize("kind", ["open", "turn_on", "push"])
def test_an_empty_hand_may_do_more_than_the_paper_lists(kind):
    other = spans()
    other[4] = replace(other[4], subtask=Subtask(kind, "microwave:door"))
    made = Frame.annotated(other, 0, 10, np.array([0.9, 0.9, 0.9]), regions())
    assert "microwave:door" in names(made)
    assert "microwave:door" not in names(made, more_types=False)
    holding = Frame.annotated(other, 1, 50, np.array([0.9, 0.9, 0.9]), regions())
    assert "microwave:door" not in names(holding)


@pytest.mark.parametrize(("current", "step"), [(0, 0), (0, 35), (1, 60), (2, 100), (4, 190)])
def test_candidates_and_rejections_are_all_subtasks(current, step):
    found, rejected = find_candidates(frame(current, step))
    assert len(found) + rejected.total() == len(SCRIPT)
    assert all(rule.__doc__ for rule in RULES)
    assert set(rejected) <= {rule.__name__ for rule in RULES}


def test_the_hand_by_annotation_and_by_gripper():
    expected = {0: False, 29: False, 30: None, 40: True, 69: True, 70: None, 80: False, 190: False}
    assert {step: hand_state(spans(), step) for step in expected} == expected
    assert estimate_holding(0.03, 0.03, closing=True) is True
    assert estimate_holding(0.001, 0.001, closing=True) is False
    assert estimate_holding(0.08, 0.08, closing=False) is False
    assert estimate_holding(0.03, 0.06, closing=True) is None
