from __future__ import annotations

import dataclasses
import itertools

import demos_helpers as helpers
import numpy as np
import pytest

from rain.demos.dataset import Dataset
from rain.demos.samples import (
    SampleOptions,
    action_chunks,
    dataset_samples,
    episode_samples,
    plans,
    progress_targets,
)
from rain.types import ACTION_TYPES, Subtask, SubtaskSpan

ALL = SampleOptions(drop_stationary=False)
ALPHA = 5.0


def make(episode, options=ALL, **conventions):
    meaning = dataclasses.replace(helpers.conventions(), **conventions)
    return episode_samples(episode, options, meaning, ALPHA)


def test_frames_around_a_boundary_belong_to_both_subtasks():
    samples = make(
        helpers.episode(stride=2), dataclasses.replace(ALL, tail_frames=3, complete_early=0)
    )
    grasp, release = samples.span == 0, samples.span == 1
    assert samples.step[grasp].tolist() == [*range(0, 40, 2), 40, 42, 44]
    # The last subtask keeps all that remains.
    assert samples.step[release].tolist() == list(range(40, 100, 2))
    assert samples.completed[grasp].tolist() == [False] * 20 + [True] * 3
    assert samples.completed[release].tolist() == [False] * 20 + [True] * 10
    assert set(samples.action_type[release]) == {ACTION_TYPES.index("release")}
    assert set(samples.target[grasp]) == {0}
    np.testing.assert_array_equal(samples.frame, samples.step // 2)


def test_completion_begins_before_the_chunk_ends_but_never_before_the_interaction():
    early = make(helpers.episode(stride=1), dataclasses.replace(ALL, complete_early=4))
    grasp = early.span == 0
    assert early.step[grasp & early.completed].min() == 36
    # At that step the chunk still moves on to the end, so that the arm comes to rest inside.
    at = np.flatnonzero(grasp & (early.step == 36))[0]
    np.testing.assert_array_equal(early.actions[at, :4], helpers.episode(stride=1).actions[36:40])
    assert not early.actions[at, 4:, :6].any()
    far = make(helpers.episode(stride=1), dataclasses.replace(ALL, complete_early=100))
    assert far.step[(far.span == 0) & far.completed].min() == 31


def test_chunk_is_the_recording_and_then_rest():
    actions = np.arange(30 * 7, dtype=np.float32).reshape(30, 7)
    chunks = action_chunks(actions, np.array([0, 10, 25]), end=20)
    np.testing.assert_array_equal(chunks[0], actions[:16])
    np.testing.assert_array_equal(chunks[1, :10], actions[10:20])
    # Past the end: no motion, and the gripper command of the last step before it.
    assert (chunks[1, 10:, :6] == 0).all()
    assert (chunks[1, 10:, 6] == actions[19, 6]).all()
    assert (chunks[2, :, :6] == 0).all()
    assert (chunks[2, :, 6] == actions[19, 6]).all()


def test_chunk_of_absolute_commands_holds_the_last_one():
    actions = np.arange(30 * 7, dtype=np.float32).reshape(30, 7)
    chunk = action_chunks(actions, np.array([15]), end=20, padding="hold")[0]
    np.testing.assert_array_equal(chunk[:5], actions[15:20])
    np.testing.assert_array_equal(chunk[5:], np.tile(actions[19], (11, 1)))
    held = make(helpers.episode(), action="joint_absolute").actions
    assert np.abs(held[:, -1, :6]).sum() > np.abs(make(helpers.episode()).actions[:, -1, :6]).sum()


def test_chunk_ends_with_the_recording():
    actions = np.ones((18, 7), np.float32)
    chunk = action_chunks(actions, np.array([10]), end=40)[0]
    assert chunk[:8].all()
    assert not chunk[8:, :6].any()


def arc_length_by_small_steps(path, count=8):
    """Walk the path in tiny steps and note every eighth of the way."""
    fine = np.concatenate(
        [np.linspace(a, b, 2000, endpoint=False) for a, b in itertools.pairwise(path)] + [path[-1:]]
    )
    walked = np.r_[0, np.cumsum(np.linalg.norm(np.diff(fine, axis=0), axis=1))]
    goals = walked[-1] * np.arange(1, count + 1) / count
    return fine[[np.abs(walked - goal).argmin() for goal in goals]]


def test_plan_is_the_rest_of_the_path_by_arc_length():
    rng = np.random.default_rng(0)
    positions = np.cumsum(rng.normal(size=(40, 3)), axis=0).astype(np.float32) * 0.01
    positions[12:15] = positions[12]  # a pause must not break anything
    point = positions[30] + np.float32(0.003)
    found = plans(positions, np.array([0, 13, 29, 30, 35]), 30, point)
    for i, step in enumerate((0, 13, 29)):
        path = np.concatenate([positions[step:30], point[None]])
        np.testing.assert_allclose(found[i], arc_length_by_small_steps(path), atol=2e-5)
    np.testing.assert_array_equal(found[:, -1], np.tile(point, (5, 1)))
    # From the interaction on the plan stays there.
    np.testing.assert_array_equal(found[3:], np.broadcast_to(point, (2, 8, 3)))


def test_plan_of_a_standing_arm_is_finite():
    positions = np.ones((10, 3), np.float32)
    np.testing.assert_array_equal(plans(positions, np.arange(10), 9, positions[0]), 1.0)


def test_progress_targets_follow_equation_5():
    rng = np.random.default_rng(1)
    positions = rng.normal(size=(20, 3)).astype(np.float32)
    angles = rng.uniform(0, np.pi, 20)
    turns = np.zeros((20, 3, 3), np.float32)
    for i, a in enumerate(angles):
        turns[i] = [[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]]
    goal = np.array([0.1, 0.2, 0.3], np.float32)
    span = SubtaskSpan(Subtask("grasp", "x"), 0, 5, 10, goal, np.eye(3))
    found = progress_targets(positions, turns, np.arange(20), span, alpha=2.0)
    np.testing.assert_array_equal(found[:, 0], np.arange(20) >= 10)
    far = np.sqrt(((positions - goal) ** 2).sum(1))
    np.testing.assert_allclose(found[:, 1], np.exp(-2.0 * far), rtol=1e-5)
    # For a turn by a, eq. 5 is (1 + cos a) / 2.
    np.testing.assert_allclose(found[:, 2], (1 + np.cos(angles)) / 2, atol=1e-6)


def test_disturbances_are_not_imitated():
    options = SampleOptions(complete_early=0)
    samples = make(helpers.episode(stride=1, disturbed=(38, 42)), options)
    steps, grasp = samples.step, samples.span == 0
    # Step 38 is in the chunks from 23 on; step 42 lies past the grasp's end and is padded there.
    assert steps[grasp & ~samples.imitate].tolist() == list(range(23, 39))
    # The release's chunks from 40 to 42 would copy step 42.
    assert steps[~grasp & ~samples.imitate].tolist() == [40, 41, 42]
    assert samples.imitate[samples.completed].all()


def test_standing_still_is_dropped_but_not_at_an_interaction():
    episode = helpers.episode(stride=1)
    states = episode.states.copy()
    states[10:20, :3] = states[10, :3]
    paused = dataclasses.replace(episode, states=states)
    options = SampleOptions(speed_window=2, interaction_margin=4, complete_early=0)
    kept = make(paused, options)
    steps = set(kept.step[(kept.span == 0) & ~kept.completed].tolist())
    assert steps.isdisjoint(range(10, 18))
    assert steps >= {0, 9, 18, 19, 25}
    # The gripper closes at 30 while the arm stands; that is what a grasp looks like.
    assert steps >= set(range(26, 40))
    # Turning on the spot is motion too.
    turning = np.tile(np.eye(3, dtype=np.float32), (100, 1, 1))
    for i in range(100):
        c, s = np.cos(0.1 * i), np.sin(0.1 * i)
        turning[i, :2, :2] = [[c, -s], [s, c]]
    turned = make(dataclasses.replace(paused, ee_rotation=turning), options)
    assert set(turned.step[turned.span == 0].tolist()) >= set(range(40))


def test_dataset_samples_number_spans_through(tmp_path):
    data = Dataset.open(helpers.dataset(tmp_path, 3))
    calls = []
    samples = dataset_samples(data, ALL, lambda done, total: calls.append((done, total)))
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert np.unique(samples.span).tolist() == list(range(6))
    assert (np.diff(samples.span) >= 0).all()
    assert (samples.episode == samples.span // 2).all()
    for span in range(6):
        assert (np.diff(samples.step[samples.span == span]) > 0).all()


@pytest.mark.parametrize("field", ["state", "actions", "plan", "progress"])
def test_samples_are_finite_float32(field):
    value = getattr(make(helpers.episode()), field)
    assert value.dtype == np.float32
    assert np.isfinite(value).all()
