"""Subtask boundaries from made-up traces, of which the right answer is known."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rain.demos.annotate import HELD_STILL, WITHDRAWN, Trace, annotate
from rain.types import RainError, Subtask, TaskScript

STEPS, ARRIVES, MOVES, DONE, LEAVES = 100, 20, 40, 60, 70


def made_up(closes: int, placed: bool = True) -> tuple[Trace, np.ndarray]:
    """A hand that comes, moves a part from MOVES to DONE, and leaves 1 cm a step after LEAVES."""
    x = np.zeros(STEPS)
    x[:ARRIVES] = np.linspace(0.4, 0, ARRIVES)
    x[LEAVES:] = 0.01 * np.arange(1, STEPS - LEAVES + 1)
    states = np.zeros((STEPS, 7), dtype=np.float32)
    states[:, 0] = x
    moved = np.clip((np.arange(STEPS) - MOVES) / (DONE - MOVES), 0, 1)[:, None] * 0.16
    there = (np.arange(STEPS) >= DONE)[:, None] & placed
    actions = np.zeros((STEPS, 7))
    actions[:, 6] = np.where(np.arange(STEPS) >= closes, 1.0, -1.0)
    turn = np.tile(np.eye(3), (STEPS, 1, 1))
    return Trace(states, turn, {}, (frozenset(),) * STEPS, there, moved), actions


def script(action_type: str) -> TaskScript:
    return TaskScript("move it", (Subtask(action_type, "wooden_cabinet_1:top_drawer"),))


@pytest.mark.parametrize("action_type", ["open", "close", "turn_on"])
def test_a_part_that_was_taken_hold_of(action_type: str) -> None:
    seen, actions = made_up(closes=30)
    (span,) = annotate(script(action_type), seen, actions)
    assert (span.start, span.interaction) == (0, 30)
    # 1 cm a step: the hand is 4 cm away four steps later.
    assert span.end == LEAVES - 1 + round(WITHDRAWN / 0.01)


def test_a_part_that_was_only_pushed() -> None:
    seen, actions = made_up(closes=2)  # a fist from the start
    assert abs(seen.states[2, 0] - seen.states[MOVES, 0]) > HELD_STILL
    (span,) = annotate(script("close"), seen, actions)
    assert MOVES < span.interaction <= MOVES + 2


def test_a_recording_that_ends_with_the_success() -> None:
    seen, actions = made_up(closes=30)
    cut = Trace(
        seen.states[: DONE + 2], seen.rotation[: DONE + 2], {}, seen.held[: DONE + 2],
        seen.placed[: DONE + 2], seen.moved[: DONE + 2],
    )  # fmt: skip
    (span,) = annotate(script("open"), cut, actions[: DONE + 2])
    assert span.end == DONE


def test_a_part_that_never_arrives_is_an_error() -> None:
    seen, actions = made_up(closes=30, placed=False)
    with pytest.raises(RainError, match="wooden_cabinet_1:top_drawer"):
        annotate(script("open"), seen, actions)


def test_a_knob_that_turns_on_by_itself_is_left_when_the_hand_opens() -> None:
    seen, actions = made_up(closes=30)
    actions[LEAVES - 4 :, 6] = -1.0
    coasting = np.maximum(seen.moved, (np.arange(STEPS) - MOVES)[:, None] * 0.004)
    seen = dataclasses.replace(seen, moved=coasting)
    (span,) = annotate(script("turn_on"), seen, actions)
    assert span.end == LEAVES - 1 + round(WITHDRAWN / 0.01)


def test_a_hand_that_pulls_on_has_not_withdrawn() -> None:
    """A drawer counts as open 20 steps before it comes to rest, 20 cm further."""
    seen, actions = made_up(closes=30)
    states = seen.states.copy()
    states[DONE - 20 : DONE, 0] = np.linspace(0, 0.2, 20)
    states[DONE:, 0] = 0.2
    states[LEAVES:, 0] += 0.01 * np.arange(1, STEPS - LEAVES + 1)
    placed = (np.arange(STEPS) >= DONE - 20)[:, None]
    seen = dataclasses.replace(seen, states=states, placed=placed)
    (span,) = annotate(script("open"), seen, actions)
    assert span.end == LEAVES - 1 + round(WITHDRAWN / 0.01)


PICK = TaskScript("put it there", (Subtask("grasp", "can_1"), Subtask("release", "bowl_1")))


def carried() -> tuple[Trace, np.ndarray]:
    """A can falls 5 cm at first, is taken at 20, lifted from 25, let go of at 60, left from 66."""
    t = np.arange(STEPS)
    height = np.where(t < 5, 0.05, np.clip((t - 25) * 0.01, 0, 0.2))
    states = np.zeros((STEPS, 7), np.float32)
    states[:, 2] = np.maximum(t - 66, 0) * 0.01
    actions = np.zeros((STEPS, 7))
    actions[:, 6] = np.where((t >= 20) & (t < 60), 1.0, -1.0)
    held = tuple(frozenset({"can_1"} if 22 <= i < 63 else ()) for i in t)
    placed = np.stack([np.zeros(STEPS, bool), t >= 62], axis=1)
    turn = np.tile(np.eye(3), (STEPS, 1, 1))
    return Trace(states, turn, {"can_1": height}, held, placed, np.zeros((STEPS, 2))), actions


def test_an_object_that_falls_at_first_is_lifted_from_where_it_came_to_lie() -> None:
    grasp, release = annotate(PICK, *carried())
    assert (grasp.interaction, grasp.end) == (20, 29)
    assert (release.interaction, release.end) == (60, 70)


def test_fingers_inside_a_bowl_still_let_go_of_what_lies_in_it() -> None:
    seen, actions = carried()
    held = tuple(names | {"bowl_1"} if t > 60 else names for t, names in enumerate(seen.held))
    _, release = annotate(PICK, dataclasses.replace(seen, held=held), actions)
    assert release.end == 70


def test_a_slip_on_the_way_through_the_place_is_no_release() -> None:
    seen, actions = carried()
    held = tuple(frozenset() if t == 45 else names for t, names in enumerate(seen.held))
    placed = seen.placed.copy()
    placed[44:47, 1] = True
    _, release = annotate(PICK, dataclasses.replace(seen, held=held, placed=placed), actions)
    assert (release.interaction, release.end) == (60, 70)


def test_an_object_that_never_rests_at_its_place_is_an_error() -> None:
    seen, actions = carried()
    nowhere = dataclasses.replace(seen, placed=np.zeros_like(seen.placed))
    with pytest.raises(RainError, match="release bowl_1"):
        annotate(PICK, nowhere, actions)
