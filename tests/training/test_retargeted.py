"""Retargeted samples in training: drawn with a set share, of training episodes, or not at all."""

from __future__ import annotations

import json
from dataclasses import fields, replace

import demos_many_targets as many
import numpy as np
import pytest
import torch
from demos_helpers import tiny_network
from training_helpers import killed_at, small

import rain.training.loop as loop
from rain.cli.train import parse
from rain.demos.augment import AugmentOptions, augment
from rain.demos.dataset import Dataset
from rain.demos.sampler import Sampler, gather, imitation_weights, progress_weights
from rain.demos.samples import dataset_samples
from rain.model.backbones import Frozen
from rain.model.checkpoint import load_checkpoint
from rain.model.net import RainNet
from rain.retarget import RetargetOptions
from rain.training.config import RetargetConfig
from rain.training.data import load_data
from rain.training.loop import train
from rain.training.recipes import recipe
from rain.types import RainError

HALF = RetargetConfig(share=0.5)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Five episodes of five subtasks each."""
    folder = tmp_path_factory.mktemp("retargeted")
    return many.write(folder / "data", *(many.episode(seed, size=32) for seed in range(5)))


def load(data, net=None, **changes):
    config = small(data, data.parent / "out", held_out=0.2, **changes)
    dataset = Dataset.open(data)
    net = net or RainNet(config.model)
    return config, load_data(
        config, dataset, net, None, (0, 1), lambda: None, lambda name: lambda *at: None
    )


@pytest.fixture(scope="module")
def without(data):
    return load(data)[1]


def assert_equal_batches(mine, theirs):
    for field in fields(mine):
        a, b = getattr(mine, field.name), getattr(theirs, field.name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype, field.name
            assert a.tobytes() == b.tobytes(), field.name
        else:
            assert a == b, field.name


OFF = [RetargetConfig(), RetargetConfig(0.5, RetargetOptions(mode="none"))]


@pytest.mark.parametrize("off", OFF, ids=["share 0", "mode none"])
@pytest.mark.parametrize("stage", [1, 2])
def test_switched_off_the_batches_are_those_of_recorded_samples_alone(
    data, monkeypatch, off, stage
):
    def never(*args):
        raise AssertionError("something was retargeted")

    monkeypatch.setattr("rain.training.data.retarget_samples", never)
    config, loaded = load(data, retarget=off)
    recorded = dataset_samples(Dataset.open(data), config.samples)
    assert len(loaded.samples) == len(recorded)
    samples = loaded.scaled.take(loaded.train)
    weights = (imitation_weights if stage == 1 else progress_weights)(samples, config.sampler)
    seed = int(np.random.SeedSequence([config.seed, stage]).generate_state(1)[0])
    sampler = Sampler(samples, weights, 8, config.sampler, seed)
    make = loaded.batches(config, stage)
    for step in (0, 5):
        plain = gather(samples, sampler.indices(step), loaded.pixels, None, sampler.group)
        assert_equal_batches(make(step), augment(plain, config.augment, seed, step))


def test_only_training_episodes_are_retargeted(data, without):
    _, loaded = load(data, retarget=HALF)
    held = np.unique(without.samples.episode[without.held])
    assert len(held) == 1
    retargeted = loaded.samples.take(loaded.retargeted)
    assert len(retargeted) > 50
    assert not np.isin(retargeted.episode, held).any()
    # Validation, the units and the recorded samples are what they are without.
    np.testing.assert_array_equal(loaded.held, without.held)
    np.testing.assert_array_equal(loaded.train, without.train)
    assert loaded.normaliser == without.normaliser
    for field in fields(without.samples):
        mine = getattr(loaded.samples, field.name)[: len(without.samples)]
        if field.name != "span":
            np.testing.assert_array_equal(mine, getattr(without.samples, field.name))


def test_spans_are_numbered_through(data):
    _, loaded = load(data, retarget=HALF)
    runs = 1 + np.count_nonzero(np.diff(loaded.samples.span))
    assert len(np.unique(loaded.samples.span)) == runs


def test_plans_end_at_the_later_interaction_also_in_normalised_units(data):
    _, loaded = load(data, retarget=HALF)
    for n in loaded.retargeted[::17]:
        motion = loaded.dataset.motion(int(loaded.samples.episode[n]))
        target = motion.targets[loaded.samples.target[n]]
        point = next(s.position for s in motion.spans if s.subtask.target == target)
        plan = loaded.normaliser.undo_plan(loaded.scaled.plan[[n]])
        np.testing.assert_allclose(plan[0, -1], point, atol=1e-5)


@pytest.mark.parametrize("stage", [1, 2])
@pytest.mark.parametrize("share", [0.2, 0.7])
def test_a_sample_is_a_retargeted_one_with_the_set_probability(data, stage, share):
    config, loaded = load(data, retarget=RetargetConfig(share=share))
    make = loaded.batches(config, stage)
    drawn = np.concatenate([make(step).index for step in range(400)])
    found = (drawn >= len(loaded.train)).mean()
    groups = len(drawn) / config.sampler.group
    assert abs(found - share) < 4 * np.sqrt(share * (1 - share) / groups)
    if stage == 2:
        recorded = loaded.samples.take(loaded.train[drawn[drawn < len(loaded.train)]])
        grasps = recorded.take(recorded.action_type == 0)
        wanted = config.sampler.positive_share
        assert grasps.completed.mean() == pytest.approx(wanted, abs=0.06)


def test_processes_share_the_batches_of_one(data):
    config, loaded = load(data, retarget=HALF)
    whole = loaded.batches(config, 1)(3)
    parts = [loaded.batches(config, 1)(3, (rank, 2)) for rank in range(2)]
    for name in ("index", "images", "regions", "actions", "plan"):
        both = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(both, getattr(whole, name))
    again = load(data, retarget=HALF)[1].batches(config, 1)(3)
    assert_equal_batches(whole, again)


def test_a_bad_batch_names_the_frames_of_retargeted_samples_too(data):
    config, loaded = load(data, retarget=HALF, augment=AugmentOptions())
    batch = loaded.batches(config, 1)(0)
    assert (batch.index >= len(loaded.train)).any()
    rows = np.concatenate([loaded.train, loaded.retargeted])[batch.index]
    episode, frame = loaded.samples.episode[rows], loaded.samples.frame[rows]
    regions = loaded.pixels.regions(episode, frame, loaded.samples.target[rows])
    np.testing.assert_array_equal(batch.regions, regions)
    assert loaded.describe(batch.index) == [
        f"{loaded.dataset.name(e)} frame {f}" for e, f in zip(episode, frame, strict=True)
    ]


class Patches(Frozen):
    """A frozen backbone small enough for tests."""

    width, frozen = 3, True

    def forward(self, images, regions):
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(2).mT


def test_cached_features_are_those_of_the_frame(data):
    model = tiny_network(stem_region=False)
    net, still = RainNet(model, vision=Patches()), AugmentOptions()
    config, loaded = load(data, net, model=model, retarget=HALF, augment=still)
    batch = loaded.batches(config, 1)(1)
    assert batch.images is None
    rows = np.concatenate([loaded.train, loaded.retargeted])[batch.index]
    episode, frame = loaded.samples.episode[rows], loaded.samples.frame[rows]
    np.testing.assert_array_equal(batch.features, loaded.features.features(episode, frame))
    regions = loaded.pixels.regions(episode, frame, loaded.samples.target[rows])
    np.testing.assert_array_equal(batch.regions, regions)


def test_a_run_with_retargeting_is_saved_and_continues_bit_for_bit(data, tmp_path, monkeypatch):
    whole = small(data, tmp_path / "whole", retarget=HALF)
    assert train(whole).finished
    config = replace(whole, out=tmp_path / "run")
    with killed_at(monkeypatch, (1, 3)):
        train(config)
    assert train(config).finished
    nets = [load_checkpoint(c.out / "checkpoint").net.state_dict() for c in (whole, config)]
    assert all(torch.equal(value, nets[1][name]) for name, value in nets[0].items())
    saved = json.loads((config.out / "train.json").read_text())["config"]["retarget"]
    assert saved["share"] == 0.5
    assert saved["synthesis"]["mode"] == "rrs"
    assert load_checkpoint(config.out / "checkpoint").extra["retargeted_samples"] > 0
    linear = RetargetConfig(0.5, RetargetOptions(mode="linear"))
    with pytest.raises(RainError, match=r"retarget\.synthesis\.mode is linear here and rrs there"):
        train(replace(config, retarget=linear))


def test_actions_that_cannot_be_made_are_an_error_before_anything_is_unpacked(tmp_path):
    joints = many.write(tmp_path / "data", many.episode(size=32), action="joint_absolute")
    config = small(joints, tmp_path / "out", retarget=HALF, cache=tmp_path / "cache")
    with pytest.raises(RainError, match=r"joint_absolute.*--retarget\.share 0"):
        loop.train(config)
    assert not (tmp_path / "cache").exists()


def test_defaults_of_the_recipes():
    assert not recipe("rain-nano").retarget.on
    for name in ("rain-s", "rain-l"):
        assert recipe(name).retarget == RetargetConfig(share=0.5)
        assert recipe(name).retarget.synthesis.mode == "rrs"


def test_every_setting_is_on_the_command_line():
    config = parse(
        [
            *("--data", "a", "--out", "o", "--retarget.share", "0.3"),
            *("--retarget.synthesis.mode", "linear", "--retarget.synthesis.spacing", "arc"),
            *(
                "--retarget.candidates.max-overlap",
                "0.4",
                "--retarget.candidates.max-moved",
                "None",
            ),
        ]
    )
    assert config.retarget.share == 0.3
    assert config.retarget.synthesis.mode == "linear"
    assert config.retarget.synthesis.spacing == "arc"
    assert config.retarget.candidates.max_overlap == 0.4
    assert config.retarget.candidates.max_moved is None


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_that_is_none_is_an_error(share):
    with pytest.raises(RainError, match=r"retarget\.share"):
        RetargetConfig(share=share)
