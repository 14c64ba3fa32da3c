"""Junction score and Hermite approach against slow, independent formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rain.retarget import (
    FIRST_POSE,
    PAPER,
    RELAXED,
    Reference,
    References,
    RetargetOptions,
    find_junctions,
    hermite,
)
from rain.retarget.hermite import arc_length, chain, even_points, speeds, top_speed
from rain.retarget.junction import paper_score, score_terms
from rain.retarget.rotations import between, turn
from rain.types import RainError


def reference(positions: np.ndarray, interaction: int | None = None) -> Reference:
    count = len(positions)
    at = count - 1 if interaction is None else interaction
    rotations = np.tile(np.eye(3), (count, 1, 1))
    return Reference(positions, rotations, np.zeros((count, 7)), at, positions[-1], np.eye(3))


def rotation(rng: np.random.Generator) -> np.ndarray:
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def slow_score(r: np.ndarray, x: np.ndarray, d_max: float) -> dict[int, float]:
    """Eq. 7 as it is written."""
    scores = {}
    for k in range(1, len(r) - 1):
        chord = [r[k + 1][i] - r[k - 1][i] for i in range(3)]
        tangent = [c / math.hypot(*chord) for c in chord]
        away = [r[k][i] - x[i] for i in range(3)]
        d = math.hypot(*away)
        cosine = sum(a / d * t for a, t in zip(away, tangent, strict=True))
        scores[k] = cosine * (1 - d / d_max) * (1 - k / len(r))
    return scores


def test_score_and_arg_max_are_those_of_equation_7():
    rng = np.random.default_rng(0)
    paths = [rng.normal(0, 0.02, (n, 3)).cumsum(0).astype(np.float32) for n in (3, 9, 30)]
    references = References.pack([reference(p) for p in paths])
    which = rng.integers(0, 3, 60)
    starts = rng.normal(0, 0.1, (60, 3))
    options = RetargetOptions(max_distance=9, min_alignment=-1, margin=0, d_max=2.0)
    scores = paper_score(score_terms(starts, references, which), 2.0)
    found = find_junctions(starts, references, which, options)
    for b, number in enumerate(which):
        expected = slow_score(paths[number].astype(float), starts[b], 2.0)
        for k, value in expected.items():
            assert scores[b, k] == pytest.approx(value, abs=1e-12)
        assert found.index[b] == max(expected, key=expected.__getitem__)
        assert found.score[b] == pytest.approx(max(expected.values()))
    assert (found.rule == PAPER).all()


def descent(steps: int = 30) -> np.ndarray:
    path = np.zeros((steps, 3))
    path[:, 2] = np.linspace(0.3, 0.0, steps)
    return path


def test_limits_hold_where_they_can():
    rng = np.random.default_rng(1)
    references = References.pack([reference(descent())])
    starts = rng.uniform([-0.3, -0.3, 0], [0.3, 0.3, 0.6], (200, 3))
    which = np.zeros(200, int)
    options = RetargetOptions(max_distance=0.25, min_alignment=0.4, keep_distance=0.0)
    found = find_junctions(starts, references, which, options)
    terms = score_terms(starts, references, which)
    rows, paper = np.arange(200), found.rule == PAPER
    assert paper.any()
    assert (found.rule[~paper] == RELAXED).any()
    assert (terms.distance[rows, found.index][paper] <= 0.25).all()
    assert (terms.alignment[rows, found.index][paper] >= 0.4).all()
    # A relaxed junction means that no point at all meets the limits.
    met = (terms.distance <= 0.25) & (terms.alignment >= 0.4)
    assert not met[~paper][:, 1:-1].any()


def test_the_fallback_prefers_near_and_early_where_equation_7_prefers_far_and_late():
    # Beneath a descent every approach runs against the tangent and every score is negative.
    references = References.pack([reference(descent())])
    start = np.array([[0.02, 0.0, -0.05]])
    found = find_junctions(start, references, np.zeros(1, int), RetargetOptions())
    scores = paper_score(score_terms(start, references, np.zeros(1, int)), 0.6)
    assert (scores[0, 1:-1] < 0).all()
    assert found.rule[0] == RELAXED
    assert found.index[0] < scores[0, 1:-1].argmax() + 1


def test_no_junction_at_or_behind_the_interaction_unless_switched_off():
    path = np.concatenate([descent(), descent()[::-1]])
    references = References.pack([reference(path, interaction=29)])
    start = np.array([[0.0, 0.0, -0.1]])  # it points along the lift, behind the grasp
    which = np.zeros(1, int)
    assert find_junctions(start, references, which, RetargetOptions()).index[0] < 29
    assert find_junctions(start, references, which, RetargetOptions.paper()).index[0] > 29


def test_keep_distance_keeps_the_end_of_the_path():
    path = descent()
    references = References.pack([reference(path)])
    starts = np.array([[0.1, 0.0, 0.05], [0.0, 0.2, 0.1]])
    options = RetargetOptions(keep_distance=0.1)
    found = find_junctions(starts, references, np.zeros(2, int), options)
    assert (np.linalg.norm(path[found.index], axis=1) >= 0.1).all()
    # A reference that is within the ball from its first step on still has a junction.
    short = References.pack([reference(path[-5:])])
    assert (find_junctions(starts, short, np.zeros(2, int), options).index >= 1).all()


def test_nothing_before_the_interaction_leaves_the_first_pose():
    references = References.pack([reference(descent(3), interaction=1)])
    found = find_junctions(
        np.array([[0.1, 0, 0.4]]), references, np.zeros(1, int), RetargetOptions()
    )
    assert (found.index[0], found.rule[0]) == (0, FIRST_POSE)


def test_ends_and_end_tangents_of_the_spline_are_exact():
    rng = np.random.default_rng(2)
    start, end = rng.normal(size=(2, 20, 3))
    tangent = rng.normal(size=(20, 3))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    ends = hermite(start, end, tangent, np.array([0.0, 1.0]))
    assert (ends[:, 0] == start).all()
    assert (ends[:, 1] == end).all()
    h = 1e-6
    near = hermite(start, end, tangent, np.array([0, h, 1 - h, 1]))
    chord = end - start
    length = np.linalg.norm(chord, axis=1, keepdims=True)
    np.testing.assert_allclose((near[:, 1] - near[:, 0]) / h, chord, atol=1e-4)
    np.testing.assert_allclose((near[:, 3] - near[:, 2]) / h, length * tangent, atol=1e-4)


def test_lengths_speeds_and_even_steps():
    rng = np.random.default_rng(3)
    start, end, tangent = rng.normal(size=(3, 20, 3))
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    tangent[0] = (start - end)[0] / np.linalg.norm((start - end)[0])  # straight back
    fine = hermite(start, end, tangent, np.linspace(0, 1, 20001))
    steps = np.linalg.norm(np.diff(fine, axis=1), axis=2)
    speed = speeds(start, end, tangent)
    np.testing.assert_allclose(arc_length(speed), steps.sum(1), rtol=0.01)
    assert (top_speed(speed) >= steps.max(1) * 20000).all()
    assert (top_speed(speed) <= steps.max(1) * 20000 * 1.02).all()
    points, behind = chain(start, end, tangent)
    np.testing.assert_allclose(behind[:, -1], steps.sum(1), rtol=1e-3)
    even = even_points(points, behind, np.broadcast_to(np.linspace(0, 1, 21), (20, 21)))
    np.testing.assert_array_equal(even[:, [0, -1]], points[:, [0, -1]])
    step = np.linalg.norm(np.diff(even, axis=1), axis=2)
    assert (step.max(1) <= behind[:, -1] / 20 * (1 + 1e-9)).all()
    assert np.median(step.std(1) / step.mean(1)) < 0.01


def test_turns_are_the_geodesic():
    rng = np.random.default_rng(4)
    one = np.stack([rotation(rng) for _ in range(50)])
    other = np.stack([rotation(rng) for _ in range(50)])
    other[0] = one[0]
    other[1] = np.diag([1.0, -1.0, -1.0]) @ one[1]  # half a turn
    axis, angle = between(one, other)
    path = turn(one, axis, angle[:, None] * np.array([0, 0.25, 0.5, 1.0]))
    np.testing.assert_allclose(path[:, 0], one, atol=1e-12)
    np.testing.assert_allclose(path[:, -1], other, atol=1e-12)
    assert (angle[0], angle[1]) == (pytest.approx(0, abs=1e-7), pytest.approx(np.pi))
    _, quarter = between(path[:, 0], path[:, 1])
    np.testing.assert_allclose(quarter, angle / 4, atol=1e-7)
    assert np.abs(path @ np.swapaxes(path, -1, -2) - np.eye(3)).max() < 1e-12


def test_a_bad_reference_names_what_is_wrong():
    path = descent()
    with pytest.raises(RainError, match="at least 3"):
        reference(path[:2])
    with pytest.raises(RainError, match="interaction"):
        reference(path, interaction=31)
    with pytest.raises(RainError, match=r"positions.*NaN"):
        reference(np.where(path > 0.2, np.nan, path))
    with pytest.raises(RainError, match="mode"):
        RetargetOptions(mode="straight")  # type: ignore[arg-type]
