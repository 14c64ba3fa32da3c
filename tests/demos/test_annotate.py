"""Subtask boundaries from made-up traces, of which the right answer is known."""

from __future__ import annotations

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
