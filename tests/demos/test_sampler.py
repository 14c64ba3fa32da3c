from __future__ import annotations

import dataclasses

import demos_helpers as helpers
import numpy as np
import pytest

from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels, pack
from rain.demos.sampler import (
    Sampler,
    SamplerOptions,
    check_batch,
    gather,
    imitation_weights,
    progress_weights,
)
from rain.demos.samples import SampleOptions, dataset_samples
from rain.types import RainError


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    found = Dataset.open(helpers.dataset(folder / "d", 5))
    pack(found, folder)
    return found, PackedPixels.open(found, folder)


@pytest.fixture(scope="module")
def samples(data):
    return dataset_samples(data[0], SampleOptions(drop_stationary=False))


DEFAULT = SamplerOptions()


def sampler(samples, batch=16, options=DEFAULT, seed=0, weights=None):
    weights = np.ones(len(samples)) if weights is None else weights
    return Sampler(samples, weights, batch, options, seed)


def test_a_batch_is_a_function_of_seed_and_step(samples):
    first, again, other = sampler(samples), sampler(samples), sampler(samples, seed=1)
    later = first.indices(7)
    for step in (3, 99):
        first.indices(step)
    np.testing.assert_array_equal(first.indices(7), later)
    np.testing.assert_array_equal(again.indices(7), later)
    assert (other.indices(7) != later).any()
    assert (first.indices(8) != later).any()


@pytest.mark.parametrize("count", [1, 2, 4])
def test_parts_make_up_the_global_batch(samples, count):
    whole = sampler(samples).indices(5)
    parts = [sampler(samples).indices(5, (number, count)) for number in range(count)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("group", [1, 2, 4])
def test_groups_are_frames_of_one_subtask_in_time_order(samples, group):
    drawn = sampler(samples, 32, SamplerOptions(group=group)).indices(0).reshape(-1, group)
    assert (samples.span[drawn] == samples.span[drawn[:, :1]]).all()
    assert (np.diff(samples.step[drawn], axis=1) >= 0).all()


def test_weights_decide_how_often_a_sample_comes(samples):
    weights = np.random.default_rng(0).random(len(samples)) * (np.arange(len(samples)) % 3 > 0)
    source = sampler(samples, 400, SamplerOptions(balance=0.0), weights=weights)
    drawn = np.concatenate([source.indices(step) for step in range(500)])
    counts = np.bincount(drawn, minlength=len(samples))
    assert (counts[weights == 0] == 0).all()
    expected = len(drawn) * weights / weights.sum()
    # Frames of a group come from strata, so counts vary less than independent draws would.
    assert (np.abs(counts - expected) < 6 * np.sqrt(expected) + 6).all()


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
def test_rare_action_types_can_be_drawn_more_often(samples, balance):
    rare = (samples.action_type == 0) & (samples.episode > 0)
    few = samples.take(~rare)
    source = sampler(few, 400, SamplerOptions(balance=balance))
    drawn = np.concatenate([source.indices(step) for step in range(50)])
    ratio = (few.action_type == 0).sum() / (few.action_type == 1).sum()
    found = (few.action_type[drawn] == 0).sum() / (few.action_type[drawn] == 1).sum()
    assert found == pytest.approx(ratio ** (1 - balance), rel=0.1)


@pytest.mark.parametrize("balance", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("group", [1, 4])
def test_shares_of_all_six_action_types(samples, balance, group):
    """n_k ** (1 - balance) of each type, where n_k is its weight; also with groups of K."""
    counts = np.array([3000, 2500, 200, 160, 80, 20])
    kinds = np.repeat(np.arange(6), counts)
    many = samples.take(np.arange(len(kinds)) % len(samples))
    many = dataclasses.replace(
        many, action_type=kinds, span=(np.arange(len(kinds)) // 20).astype(np.int32)
    )
    weights = np.where(kinds == 1, 0.5, 1.0)
    source = sampler(many, 480, SamplerOptions(group=group, balance=balance), weights=weights)
    drawn = kinds[np.concatenate([source.indices(step) for step in range(300)])]
    shares = np.bincount(drawn, minlength=6) / len(drawn)
    expected = np.bincount(kinds, weights) ** (1 - balance)
    expected /= expected.sum()
    spread = np.sqrt(expected * (1 - expected) * group / len(drawn))
    assert (np.abs(shares - expected) < 5 * spread).all()


def test_an_action_type_that_is_absent_takes_no_share(samples):
    only = samples.take(samples.action_type == 1)
    drawn = sampler(only, options=SamplerOptions(balance=1.0)).indices(0)
    assert (only.action_type[drawn] == 1).all()


def test_imitation_leaves_out_disturbances_and_thins_out_completion(samples):
    samples = dataclasses.replace(samples, imitate=samples.step % 4 > 0)
    weights = imitation_weights(samples, SamplerOptions(completed_weight=0.25))
    assert (weights[~samples.imitate] == 0).all()
    assert (weights[samples.imitate & samples.completed] == 0.25).all()
    assert (weights[samples.imitate & ~samples.completed] == 1).all()


def test_progress_sees_completion_at_its_share_for_each_type(samples):
    options = SamplerOptions(positive_share=0.35)
    weights = progress_weights(samples, options)
    for kind in (0, 1):
        of_kind = samples.action_type == kind
        share = weights[of_kind & samples.completed].sum() / weights[of_kind].sum()
        assert share == pytest.approx(0.35)


@pytest.mark.parametrize(("batch", "world"), [(10, 1), (0, 1), (12, 2)])
def test_batch_that_cannot_be_shared_is_an_error(batch, world):
    with pytest.raises(RainError, match=f"batch {batch}"):
        check_batch(batch, DEFAULT.group, world)


def test_nothing_to_draw_is_an_error(samples):
    with pytest.raises(RainError, match="weight zero"):
        sampler(samples, weights=np.zeros(len(samples)))


def test_gather_takes_each_sample_with_its_own_pixels(data, samples):
    dataset, pixels = data
    index = np.array([0, 70, 33, 120])
    batch = gather(samples, index, pixels)
    assert batch.features is None
    for i, n in enumerate(index):
        episode = dataset.episode(samples.episode[n])
        target = helpers.TARGETS[samples.target[n]]
        np.testing.assert_array_equal(batch.images[i], episode.images[samples.frame[n]])
        np.testing.assert_array_equal(batch.regions[i], episode.region(samples.frame[n], target))
        np.testing.assert_array_equal(batch.state[i], episode.states[samples.step[n]])
    assert batch.regions.dtype == np.float32
