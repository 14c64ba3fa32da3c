"""Retargeted samples: rows of a later target at a recorded frame, and why there are not more."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import demos_helpers as helpers
import demos_many_targets as many
import numpy as np
import pytest

import rain.demos.retargeting as retargeting
from rain.demos.candidates import (
    EpisodeRegions,
    Extents,
    by_suite,
    count_candidates,
    possible_starts,
)
from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels, pack
from rain.demos.retargeting import retarget_samples
from rain.demos.sampler import Sampler, SamplerOptions, gather, imitation_weights
from rain.demos.samples import SampleOptions, Samples, dataset_samples
from rain.demos.supervision import spans_of
from rain.retarget import (
    RULES,
    CandidateOptions,
    Reference,
    References,
    RetargetOptions,
    synthesise,
)
from rain.types import ACTION_TYPES, RainError, Subtask, SubtaskSpan


def prepare(folder, *episodes, **settings):
    """A dataset of these episodes with all that retargeting takes."""
    dataset = Dataset.open(many.write(folder / "d", *episodes, **settings))
    pack(dataset, folder)
    samples = dataset_samples(dataset, SampleOptions())
    return SimpleNamespace(
        dataset=dataset, samples=samples, pixels=PackedPixels.open(dataset, folder)
    )


def retarget(data, **settings):
    return retarget_samples(data.dataset, data.samples, data.pixels, **settings)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return prepare(tmp_path_factory.mktemp("many"), *(many.episode(seed) for seed in range(3)))


@pytest.fixture(scope="module")
def made(data):
    return retarget(data)


def asked(motion, samples):
    """(current, later) number of the spans of retargeted samples of one episode."""
    later = [
        next(
            j
            for j, s in enumerate(motion.spans)
            if s.subtask.target == motion.targets[k] and s.subtask.action_type == ACTION_TYPES[kind]
        )
        for k, kind in zip(samples.target, samples.action_type, strict=True)
    ]
    return spans_of(samples.step, motion.spans), np.array(later)


def pairs(data, samples, episode=0):
    motion = data.dataset.motion(episode)
    current, later = asked(motion, samples.take(samples.episode == episode))
    return set(zip(current.tolist(), later.tolist(), strict=True))


def test_which_subtasks_are_joined(data, made):
    """Empty hand: grasp or close; full hand: release at another place, or close."""
    assert pairs(data, made.samples) == {(0, 2), (0, 4), (1, 3), (1, 4), (2, 4), (3, 4)}


def test_a_row_is_the_image_of_now_with_the_region_of_a_later_target(data, made):
    rows = np.arange(0, len(made.samples), 7)
    batch = gather(made.samples, rows, data.pixels)
    recorded = data.samples.take(possible_starts(data.samples))
    for i, n in enumerate(rows):
        row = made.samples.take([n])
        episode = data.dataset.episode(int(row.episode[0]))
        frame, step = int(row.frame[0]), int(row.step[0])
        assert ((recorded.episode == row.episode) & (recorded.frame == frame)).sum() == 1
        assert episode.frames[frame] == step
        np.testing.assert_array_equal(batch.images[i], episode.images[frame])
        np.testing.assert_array_equal(batch.state[i], episode.states[step])
        (current,), (later,) = asked(episode, row)
        target = episode.spans[later].subtask.target
        assert later > current
        np.testing.assert_array_equal(batch.regions[i], episode.region(frame, target))
    assert made.samples.imitate.all()
    assert not made.samples.completed.any()


def test_plan_and_progress_are_those_of_the_later_interaction(data, made):
    alpha = data.dataset.progress_alpha
    for n in range(0, len(made.samples), 11):
        row = made.samples.take([n])
        motion = data.dataset.motion(int(row.episode[0]))
        _, (later,) = asked(motion, row)
        point = motion.spans[later].position
        np.testing.assert_allclose(row.plan[0, -1], point, atol=1e-6)
        away = np.linalg.norm(row.state[0, :3] - point)
        assert away >= 0.03
        assert row.progress[0, 1] == pytest.approx(np.exp(-alpha * away), rel=1e-4)
        assert row.progress[0, 2] == pytest.approx(1.0)


@pytest.mark.parametrize("mode", ["rrs", "linear"])
def test_a_chunk_is_what_is_synthesised_for_that_start(data, mode):
    """Also from the hand's own velocity, and the same one by one as together."""
    options = RetargetOptions(mode=mode)
    made = retarget(data, synthesis=options).samples
    for n in range(0, len(made), 13):
        row = made.take([n])
        motion = data.dataset.motion(int(row.episode[0]))
        _, (later,) = asked(motion, row)
        at = motion.positions, motion.ee_rotation, motion.actions
        reference = References.pack([Reference.from_span(*at, motion.spans[later])])
        step = int(row.step[0])
        velocity = motion.positions[step] - motion.positions[max(step - 1, 0)]
        alone = synthesise(
            motion.positions[[step]], motion.ee_rotation[[step]], reference, [0], options,
            velocity=velocity[None],
        )  # fmt: skip
        np.testing.assert_allclose(row.actions, alone.chunks("zero"), atol=1e-6)
        np.testing.assert_allclose(row.plan, alone.plans(), atol=1e-6)


def test_the_modes_of_the_ablation(data, made):
    linear = retarget(data, synthesis=RetargetOptions(mode="linear")).samples
    assert (linear.step == made.samples.step).all()
    assert (linear.target == made.samples.target).all()
    assert np.abs(linear.actions - made.samples.actions).max() > 0.1
    none = retarget(data, synthesis=RetargetOptions(mode="none"))
    assert len(none.samples) == 0
    assert none.counts == {}


def test_memory_in_batches_changes_nothing(data, made, monkeypatch):
    monkeypatch.setattr(retargeting, "BATCH", 5)
    again = retarget(data).samples
    for field in dataclasses.fields(Samples):
        mine, theirs = (getattr(s, field.name) for s in (made.samples, again))
        assert mine.dtype == theirs.dtype
        np.testing.assert_allclose(mine, theirs, atol=1e-6)


def test_spans_are_pairs_of_subtasks_in_time_order(data, made):
    samples = made.samples
    starts = np.flatnonzero(np.r_[True, np.diff(samples.span) != 0])
    assert len(np.unique(samples.span)) == len(starts)
    for part in np.split(np.arange(len(samples)), starts[1:]):
        some = samples.take(part)
        assert len(np.unique(some.episode)) == 1
        assert (np.diff(some.step) > 0).all()
        current, later = asked(data.dataset.motion(int(some.episode[0])), some)
        assert len(set(current)) == len(set(later)) == 1


def test_groups_never_mix_targets_and_have_their_share(data, made):
    later = dataclasses.replace(made.samples, span=made.samples.span + data.samples.span.max() + 1)
    both = Samples.concatenate([data.samples, later])
    retargeted = np.arange(len(both)) >= len(data.samples)
    options = SamplerOptions(group=4)
    weights = imitation_weights(both, options)
    sampler = Sampler(both, weights, 400, options, 0, retargeted, 0.3)
    drawn = np.concatenate([sampler.indices(step) for step in range(100)])
    groups = drawn.reshape(-1, 4)
    for values in (both.episode, both.span, both.target, both.action_type, retargeted):
        assert (values[groups] == values[groups[:, :1]]).all()
    assert (np.diff(both.step[groups], axis=1) >= 0).all()
    spread = np.sqrt(0.3 * 0.7 / len(groups))
    assert abs(retargeted[drawn].mean() - 0.3) < 4 * spread
    # Among the recorded ones nothing changes: the same action types as without the others.
    alone = Sampler(data.samples, weights[~retargeted], 400, options, 0)
    kinds = [
        np.bincount(both.action_type[some[~retargeted[some]]], minlength=6)
        / (~retargeted[some]).sum()
        for some in (drawn, np.concatenate([alone.indices(step) for step in range(100)]))
    ]
    np.testing.assert_allclose(*kinds, atol=0.03)


def test_candidates_and_rejections_add_up(data, made):
    counts = made.counts["many", 3]
    starts = possible_starts(data.samples)
    assert counts.frames == len(starts)
    assert counts.pairs == len(starts) * len(many.TWO_MUGS)
    assert counts.candidates + counts.rejected.total() == counts.pairs
    assert counts.candidates == len(made.samples) + made.dropped.total()
    assert set(counts.rejected) <= {rule.__name__ for rule in RULES}
    assert counts.rejected["hand_permits"] > 0
    frames = {(e, f) for e, f in zip(made.samples.episode, made.samples.frame, strict=True)}
    assert counts.with_candidate == len(frames)
    assert counts.share == len(frames) / len(starts)


def test_frames_that_are_not_imitated_are_not_retargeted_either(data):
    samples = dataclasses.replace(data.samples, imitate=data.samples.step % 8 > 0)
    starts = possible_starts(samples)
    assert samples.imitate[starts].all()
    made = retarget_samples(data.dataset, samples, data.pixels).samples
    assert len(made)
    assert (made.step % 8 > 0).all()


def test_counting_alone_finds_the_same(data, made):
    calls = []
    counts = count_candidates(
        data.dataset, data.samples, data.pixels, advance=lambda *at: calls.append(at)
    )
    assert counts == made.counts
    assert calls == [(1, 3), (2, 3), (3, 3)]
    assert by_suite(counts) == {"many": counts["many", 3]}


def test_limits_of_the_rules_reach_them(data):
    far = retarget(data, candidates=CandidateOptions(min_distance=5.0))
    assert len(far.samples) == 0
    assert far.counts["many", 3].rejected["far_enough"] > 0


def test_one_object_and_one_place_give_nothing_and_say_so(tmp_path, caplog):
    dataset = Dataset.open(helpers.dataset(tmp_path / "d", 2))
    pack(dataset, tmp_path)
    samples = dataset_samples(dataset, SampleOptions())
    made = retarget_samples(dataset, samples, PackedPixels.open(dataset, tmp_path))
    assert len(made.samples) == 0
    assert made.samples.plan.shape == (0, 8, 3)
    assert made.counts["synthetic", 0].rejected["hand_permits"] > 0
    assert "no frame" in caplog.text


def test_a_target_that_is_yet_to_be_displaced_is_no_candidate(tmp_path):
    """Something shoves the second mug at step 20; what was recorded is true only from then on."""
    slid = prepare(tmp_path, many.episode(slides={"mug_2": (20, (0.0, -0.1))}))
    made = retarget(slid)
    current, later = asked(slid.dataset.motion(0), made.samples)
    steps = made.samples.step[(current == 0) & (later == 2)]
    assert len(steps)
    assert (steps >= 20).all()
    assert made.counts["many", 3].rejected["target_unmoved"] > 0
    careless = retarget(slid, candidates=CandidateOptions(max_moved=None))
    current, later = asked(slid.dataset.motion(0), careless.samples)
    assert made.samples.step.min() == 0
    assert (careless.samples.step[(current == 0) & (later == 2)] < 20).any()


def test_what_a_subtask_in_between_moves_is_not_there_yet(tmp_path):
    """A drawer that is opened before it is closed: closing it is nothing to do while it is shut.

    Opening it is; both are the same target, so that only the span tells them apart.
    """
    script = (("grasp", "mug_1"), ("release", "plate_1"), ("open", "drawer"), ("close", "drawer"))
    data = prepare(tmp_path, many.episode(script=script))
    made = retarget(data)
    assert pairs(data, made.samples) == {(0, 2)}
    assert made.counts["many", 3].rejected["target_unmoved"] > 0


def test_a_drawer_that_is_just_being_opened_is_not_there_yet(tmp_path):
    """Its own interaction is when it begins to move; it is there when the subtask is over."""
    script = (("open", "drawer"), ("grasp", "mug_2"), ("release", "plate_2"), ("close", "drawer"))
    data = prepare(tmp_path, many.episode(script=script))
    assert pairs(data, retarget(data).samples) == {(0, 1), (1, 3), (2, 3)}


def test_where_a_target_is_hidden_in_part_its_place_is_taken_from_other_frames(tmp_path):
    """Now its right third is hidden; towards its own interaction the arm hides the left half."""
    episode = many.episode()
    labels, bit = episode.labels.copy(), 1 << episode.targets.index("mug_2")
    left = int(np.flatnonzero((labels[0, 0] & bit).any(axis=0))[0])
    labels[:20, ..., left + 6 : left + 9] &= 255 - bit
    labels[22:27, ..., left : left + 5] &= 255 - bit
    made = retarget(prepare(tmp_path, dataclasses.replace(episode, labels=labels)))
    assert made.counts["many", 3].rejected["target_unmoved"] == 0


def test_hidden_in_part_is_not_moved():
    whole = np.zeros((1, 20, 20), bool)
    whole[0, 4:12, 4:12] = True
    hidden, moved = whole.copy(), np.roll(whole, 3, axis=2)
    hidden[0, :, 8:] = False
    assert Extents.of(hidden).shift(Extents.of(whole)) == 0
    assert Extents.of(whole).shift(Extents.of(hidden)) == 0
    assert Extents.of(moved).shift(Extents.of(whole)) == 3
    assert Extents.of(moved & (np.arange(20) < 13)).shift(Extents.of(whole)) == 1


def test_a_target_that_no_fixed_view_shows_counts_as_moved(data):
    motion = data.dataset.motion(0)
    for views, expected in (("wrist", np.inf), ("agentview", 0.0)):
        seen = EpisodeRegions(motion, data.pixels, 0, (views, "wrist"))
        assert seen.moved(0, seen.regions(0))[2] == expected


def test_a_chunk_never_copies_a_disturbance(tmp_path):
    episode = many.episode()
    disturbed = episode.disturbed.copy()
    disturbed[160:] = True
    data = prepare(tmp_path, dataclasses.replace(episode, disturbed=disturbed))
    whole = prepare(tmp_path / "whole", many.episode())
    made, all_of_them = retarget(data), retarget(whole)
    assert made.dropped["disturbed"] > 0
    assert len(made.samples) + made.dropped["disturbed"] == len(all_of_them.samples)
    # A chunk of 16 actions that ends before the junction copies nothing: those stay.
    current, later = asked(data.dataset.motion(0), made.samples)
    assert ((current == 0) & (later == 4)).any()


def test_a_chunk_that_runs_past_the_subtask_comes_to_rest_as_recorded_ones_do(tmp_path):
    episode = many.episode(last=10)
    moving = dataclasses.replace(episode, actions=episode.actions + np.float32(0.1))
    data = prepare(tmp_path, moving)
    quick = RetargetOptions(speed=1.0, max_step=1.0, max_turn=0.0)
    made = retarget(data, synthesis=quick).samples
    closing = made.take(made.action_type == ACTION_TYPES.index("close"))
    assert (closing.actions[:, 2:5, :6] != 0).any(axis=(1, 2)).all()
    assert (closing.actions[:, -1, :6] == 0).all()
    assert (closing.actions[:, -1, 6] == moving.actions[-1, 6]).all()


def test_a_subtask_too_short_to_be_a_reference_is_counted(tmp_path):
    made = retarget(prepare(tmp_path, many.episode(last=2)))
    assert made.dropped["short"] > 0
    counts = made.counts["many", 3]
    assert counts.candidates == len(made.samples) + made.dropped.total()


def test_junctions_beyond_the_limits_are_dropped_where_the_fallback_is_off(data):
    strict = retarget(data, synthesis=RetargetOptions(fallback=False, max_distance=0.05))
    assert strict.dropped["junction"] > 0
    assert strict.counts["many", 3].candidates == len(strict.samples) + strict.dropped.total()


def test_actions_of_an_unknown_controller_are_refused(tmp_path):
    data = prepare(tmp_path, many.episode(), action="joint_absolute")
    with pytest.raises(RainError, match=r"joint_absolute.*--retarget\.share 0"):
        retarget(data)


def test_a_span_may_have_no_frame_before_its_interaction(tmp_path):
    """Its target's place is then looked up in the frame after."""
    episode = many.episode()
    last = episode.spans[-1]
    at_once = SubtaskSpan(
        Subtask("close", "door"), last.start, last.start, last.end, last.position, last.rotation
    )
    data = prepare(tmp_path, dataclasses.replace(episode, spans=(*episode.spans[:-1], at_once)))
    assert (0, 4) in pairs(data, retarget(data).samples)
