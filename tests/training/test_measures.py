from __future__ import annotations

import itertools

import numpy as np
import pytest

from rain.training.measures import area_under_roc, transitions


@pytest.mark.parametrize("levels", [2, 5, 1000])
def test_area_under_roc_counts_pairs(levels):
    rng = np.random.default_rng(levels)
    scores, positive = rng.integers(0, levels, 120) / levels, rng.random(120) < 0.3
    pairs = list(itertools.product(scores[positive], scores[~positive]))
    wins = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a, b in pairs)
    assert area_under_roc(scores, positive) == pytest.approx(wins / len(pairs))


def test_area_under_roc_of_known_cases():
    positive = np.array([False, False, True, True])
    assert area_under_roc(np.array([0.1, 0.2, 0.3, 0.4]), positive) == 1.0
    assert area_under_roc(np.array([0.4, 0.3, 0.2, 0.1]), positive) == 0.0
    assert area_under_roc(np.full(4, 0.7), positive) == 0.5
    assert area_under_roc(np.arange(4.0), np.zeros(4, bool)) is None
    assert area_under_roc(np.arange(4.0), np.ones(4, bool)) is None


def spans(*parts):
    """(first step, step of completion, steps at which the head says so) at every second step."""
    rows = []
    for number, (first, complete, says) in enumerate(parts):
        steps = range(first, first + 20, 2)
        rows += [(number, s, s >= complete, s in says) for s in steps]
    span, step, completed, said = map(np.array, zip(*rows, strict=True))
    return span, step, completed.astype(bool), said.astype(bool)


def test_delays_by_subtask():
    found = transitions(
        *spans(
            (0, 10, {10, 12}),  # at once
            (100, 110, {116}),  # three kept frames later
            (200, 211, {204, 212}),  # too early; complete at the kept frame 212
            (300, 310, set()),  # never
            (400, 500, {404}),  # complete at no kept frame: not counted
        )
    )
    assert found.count == 4
    np.testing.assert_array_equal(found.delay, [0, 6, -8])
    assert found.metrics() == {
        "transitions": 4,
        "transition_early": 0.25,
        "transition_missed": 0.25,
        "transition_steps": 0.0,
    }


def test_delays_agree_with_a_plain_loop():
    rng = np.random.default_rng(0)
    # Numbers of subtasks need not follow one another.
    span = np.repeat([7, 3, 12, 5, 9], [6, 11, 4, 8, 9])
    step = np.cumsum(rng.integers(1, 5, len(span)))
    complete = {s: rng.integers(2, 6) for s in set(span.tolist())}
    completed, said, wanted = np.zeros(len(span), bool), rng.random(len(span)) < 0.25, []
    for number in (7, 3, 12, 5, 9):
        frames = [i for i in range(len(span)) if span[i] == number]
        completed[frames[-complete[number] :]] = True
        end = next(step[i] for i in frames if completed[i])
        wanted += [step[i] - end for i in frames if said[i]][:1]
    found = transitions(span, step, completed, said)
    assert found.count == 5
    np.testing.assert_array_equal(found.delay, wanted)


def test_where_nothing_can_be_said():
    assert transitions(*(np.zeros(0, int),) * 2, *(np.zeros(0, bool),) * 2).metrics() == {}
    silent = transitions(*spans((0, 10, set()))).metrics()
    assert silent == {"transitions": 1, "transition_early": 0.0, "transition_missed": 1.0}
