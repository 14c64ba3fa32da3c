"""Where subtasks end, from a hand's motion whose boundaries are known."""

from __future__ import annotations

import numpy as np
import pytest
from robot_motion import CLOSES, OPENS, hand_path

from rain.robot.boundaries import find_spans
from rain.types import RainError, Subtask, TaskScript

MEANING = "omy_joint_absolute"
SCRIPT = TaskScript("fetch", (Subtask("grasp", "potato"), Subtask("release", "plate")))


def spans(script=SCRIPT, marks=(), change=None):
    positions, gripper = hand_path()
    actions = np.zeros((90, 7))
    actions[:, 6] = gripper
    if change is not None:
        change(positions, actions)
    rotations = np.tile(np.eye(3), (90, 1, 1))
    found = find_spans(script, positions, rotations, actions, MEANING, marks)
    return [(span.start, span.interaction, span.end) for span in found]


def first(path, begin, reached):
    """The first step from ``begin`` on at which a height of ``path`` is reached."""
    return begin + int(np.flatnonzero(path[begin:, 2] >= reached - 1e-12)[0])


def test_a_grasp_ends_when_the_closed_hand_has_risen_a_release_when_the_open_one_is_away():
    positions, _ = hand_path()
    risen, away = first(positions, CLOSES, 0.05 + 0.04), first(positions, OPENS, 0.06 + 0.04)
    assert spans() == [(0, CLOSES, risen), (risen, OPENS, away)]


def test_a_hand_that_closed_on_nothing_tries_again():
    def tried(positions, actions):
        actions[5:9, 6] = 0.9

    assert spans(change=tried)[0][1] == CLOSES


def test_an_operators_marks_go_before_the_rule():
    assert spans(marks=(50,)) == [(0, CLOSES, 50), (50, OPENS, spans()[1][2])]
    assert spans(marks=(50, 88)) == [(0, CLOSES, 50), (50, OPENS, 88)]


def test_other_action_types_need_a_mark():
    script = TaskScript("open it", (Subtask("open", "drawer"),))
    with pytest.raises(RainError, match="open drawer: its end must be marked"):
        spans(script)
    assert spans(script, (60,)) == [(0, 59, 60)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p, a: a[:, 6].fill(0.1), "grasp potato: the hand never closed and rose"),
        (lambda p, a: p[:, 2].fill(0.05), "grasp potato: the hand never closed and rose"),
        (lambda p, a: a[70:, 6].fill(0.9), "release plate: the hand never opened and withdrew"),
    ],
)
def test_what_is_not_found_is_named(change, said):
    with pytest.raises(RainError, match=said):
        spans(change=change)


def test_marks_that_cannot_be():
    with pytest.raises(RainError, match="3 subtasks were marked"):
        spans(marks=(10, 20, 30))
    with pytest.raises(RainError, match="before it began"):
        spans(marks=(50, 40))
