from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import threading
from dataclasses import replace

import demos_helpers
import numpy as np
import pytest
import torch
from training_helpers import assert_equal_runs, killed_at, small, weights

import rain.training.loop as loop
import rain.training.trainer as trainer
from rain.demos.augment import AugmentOptions
from rain.demos.region_noise import TRACKER
from rain.model.backbones import Frozen
from rain.model.checkpoint import load_checkpoint
from rain.training.config import LossWeights, StageConfig
from rain.training.logs import read_rows
from rain.training.loop import train
from rain.training.recipes import RECIPES, recipe
from rain.types import ConventionError, RainError


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """A finished run; tests must not change it."""
    config = small(data, tmp_path_factory.mktemp("runs") / "undisturbed")
    result = train(config)
    assert result.finished
    return config


def test_a_run_leaves_a_checkpoint_logs_and_curves(undisturbed):
    out = undisturbed.out
    checkpoint = load_checkpoint(out / "checkpoint")
    assert checkpoint.conventions == demos_helpers.conventions()
    assert checkpoint.net.config == undisturbed.model
    assert checkpoint.extra["tracks"] == ["open"]
    assert checkpoint.extra["suites"] == ["synthetic"]
    assert checkpoint.extra["finished"] is True
    rows = read_rows(out / "log.csv")
    assert [(r["stage"], r["step"]) for r in rows] == [
        *(("1", s) for s in "246"),
        *(("2", s) for s in "24"),
    ]
    assert all(float(r["loss"]) > 0 and float(r["grad_norm"]) > 0 for r in rows)
    held = read_rows(out / "validation.csv")
    assert [(r["stage"], r["step"]) for r in held] == [
        ("1", "3"),
        ("1", "6"),
        ("2", "3"),
        ("2", "4"),
    ]
    assert all(float(r["final_mm"]) > 0 for r in held)
    assert all(float(r["action_error_drz"]) > 0 for r in held)
    assert all(0 <= float(held[-1][name]) <= 1 for name in ("progress_accuracy", "progress_auc"))
    # A subtask has some forty samples: not one fits among 16, and one at least is looked at.
    assert [r["transitions"] for r in held] == ["", "", "1", "1"]
    assert (out / "curves.png").exists()
    # Only the latest two states are kept, and nothing half written.
    assert sorted(p.name for p in (out / "state").iterdir()) == ["2-00000002", "2-00000004"]


def test_the_same_seed_gives_the_same_run_and_another_does_not(undisturbed, data, tmp_path):
    again, other = (small(data, tmp_path / str(seed), seed=seed) for seed in (0, 1))
    train(again)
    assert_equal_runs(undisturbed, again)
    train(other)
    assert not torch.equal(
        *(next(v for k, v in weights(c).items() if "plandit" in k) for c in (again, other))
    )


@pytest.mark.parametrize("step", [(1, 0), (1, 1), (1, 5), (2, 0), (2, 3)])
def test_a_killed_run_continues_bit_for_bit(undisturbed, data, tmp_path, monkeypatch, step):
    """Killed between saved states: some steps and log rows are done a second time."""
    config = small(data, tmp_path / "run")
    with killed_at(monkeypatch, step):
        train(config)
    assert train(config).finished
    assert_equal_runs(undisturbed, config)


def test_stopping_by_time_saves_and_continues_bit_for_bit(undisturbed, data, tmp_path):
    config = small(data, tmp_path / "run")
    sittings = 0
    while True:
        sittings += 1
        result = train(replace(config, stop_after_minutes=0.0))
        if result.finished:
            break
        assert load_checkpoint(result.checkpoint).extra["finished"] is False
    assert sittings >= 5
    assert_equal_runs(undisturbed, config)


def test_ctrl_c_finishes_the_step_and_saves(undisturbed, data, tmp_path, monkeypatch):
    config = small(data, tmp_path / "run", checkpoint_every=100)
    original = trainer.Trainer._step

    def interrupted(self, stage, number, *rest):
        if (stage, number) == (1, 2):
            # torchrun passes a terminal's Ctrl-C on a second time.
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, stage, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_step", interrupted)
        result = train(config)
    assert (result.finished, result.stage, result.step) == (False, 1, 3)
    assert train(config).finished
    assert_equal_runs(undisturbed, config)


def test_a_finished_run_is_left_as_it_is(undisturbed, data, tmp_path):
    shutil.copytree(undisturbed.out, tmp_path / "run")
    config = replace(undisturbed, out=tmp_path / "run")
    assert train(config).finished
    assert_equal_runs(undisturbed, config)


def test_stage_2_leaves_all_but_the_head_untouched(data, tmp_path):
    config = small(data, tmp_path / "run", stage2=StageConfig(0, 8, 1e-3, 1))
    train(config)
    before = weights(config)
    later = small(
        data,
        tmp_path / "later",
        init=config.out / "checkpoint",
        stage1=StageConfig(0, 8, 1e-3, 1),
    )
    train(later)
    changed = {n for n, v in weights(later).items() if not torch.equal(v, before[n])}
    assert changed
    assert all(name.startswith("progress_head.") for name in changed)


def test_stage_1_leaves_the_head_untouched(undisturbed, data, tmp_path):
    config = small(data, tmp_path / "run", stage2=StageConfig(0, 8, 1e-3, 1))
    train(config)
    torch.manual_seed(config.seed)
    fresh = loop.RainNet(config.model).state_dict()
    for name, value in weights(config).items():
        assert torch.equal(value, fresh[name]) == name.startswith("progress_head."), name


def test_init_keeps_the_normalisation_it_was_trained_with(undisturbed, tmp_path):
    other = demos_helpers.dataset(tmp_path / "data", 3, stride=3)
    config = small(other, tmp_path / "run", init=undisturbed.out / "checkpoint")
    train(config)
    assert (
        load_checkpoint(config.out / "checkpoint").normaliser
        == load_checkpoint(undisturbed.out / "checkpoint").normaliser
    )


def test_init_of_another_network_is_refused(undisturbed, data, tmp_path):
    config = small(
        data,
        tmp_path / "run",
        init=undisturbed.out / "checkpoint",
        model=demos_helpers.tiny_network(dit_width=32),
    )
    with pytest.raises(RainError, match=r"model\.dit_width is 32 here and 16 there"):
        train(config)


def test_learning_lowers_the_held_out_error(data, tmp_path):
    config = small(
        data,
        tmp_path / "run",
        model=demos_helpers.tiny_network(encoder_width=32, dit_width=32),
        stage1=StageConfig(steps=60, batch=32, lr=3e-3, warmup=5),
        stage2=StageConfig(steps=0, batch=32, lr=3e-3, warmup=5),
        validate_every=10,
        checkpoint_every=100,
        ema=0.8,
    )
    train(config)
    losses = [float(row["flow"]) for row in read_rows(config.out / "log.csv")]
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:3])
    errors = [float(row["action_error"]) for row in read_rows(config.out / "validation.csv")]
    assert errors[-1] < 0.9 * errors[0]


def test_averaging_and_losses_can_be_switched_off(data, tmp_path):
    config = small(
        data, tmp_path / "run", ema=0.0, weights=LossWeights(cons=0.0, dist=0.0, align=0.0)
    )
    train(config)
    rows = read_rows(config.out / "log.csv")
    assert rows[0]["consistency"] == ""
    assert float(rows[-1]["loss"]) == pytest.approx(1.2 * float(rows[-1]["completion"]), rel=1e-4)


def test_bf16_learns(data, tmp_path):
    config = small(data, tmp_path / "run", precision="bf16")
    assert train(config).finished
    assert weights(config)["progress_head.query.weight"].dtype == torch.float32


def test_a_loss_that_is_not_finite_stops_the_run_and_names_the_batch(data, tmp_path):
    config = small(data, tmp_path / "run", weights=LossWeights(fm=float("inf")))
    with pytest.raises(RainError, match=r"stage 1 step 0: the loss is inf.*episode \d"):
        train(config)
    told = json.loads((config.out / "bad_batch.json").read_text())
    assert len(told["frames"]) == 8
    assert not (config.out / "checkpoint").exists()


class Patches(Frozen):
    """A frozen backbone small enough for tests: mean colours of 2 × 2 patches."""

    width, frozen = 3, True

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def forward(self, images, regions):
        self.calls += len(images)
        return torch.nn.functional.adaptive_avg_pool2d(images, 2).flatten(2).mT


@pytest.fixture
def backbones(monkeypatch):
    """Runs get a frozen backbone; each that was made is appended here."""
    made, real = [], loop.RainNet

    def network(config):
        made.append(Patches())
        return real(config, vision=made[-1])

    monkeypatch.setattr(loop, "RainNet", network)
    return made


def frozen(data, out, **changes):
    return small(data, out, model=demos_helpers.tiny_network(stem_region=False), **changes)


def test_frozen_features_are_computed_once(data, tmp_path, backbones):
    config = frozen(data, tmp_path / "run", augment=AugmentOptions(region=TRACKER))
    train(config)
    assert backbones[0].calls == 6 * 50 * 2  # episodes, frames, views
    train(replace(config, out=tmp_path / "again", seed=1))
    assert backbones[1].calls == 0


def test_images_that_are_varied_go_through_a_frozen_backbone_at_every_step(
    data, tmp_path, backbones
):
    config = frozen(data, tmp_path / "run", held_out=0.0, cache=tmp_path / "cache")
    train(replace(config, augment=AugmentOptions(shift=0.1)))
    assert backbones[0].calls == (6 + 4) * 8 * 2  # steps of both stages, batch, views
    assert not (tmp_path / "cache" / "features").exists()


def test_features_and_decoded_images_are_one_data_path(data, tmp_path, backbones):
    """A variation that changes no pixel: the same run, up to the half floats of the cache."""
    still = AugmentOptions(shift=1.0, shift_by=0.0)
    runs = [
        frozen(data, tmp_path / name, augment=options)
        for name, options in (("cached", AugmentOptions()), ("decoded", still))
    ]
    for config in runs:
        train(config)
    losses = [[float(row["loss"]) for row in read_rows(c.out / "log.csv")] for c in runs]
    np.testing.assert_allclose(losses[0], losses[1], rtol=2e-3)


def error_of(config) -> str:
    with pytest.raises(RainError) as error:
        train(config)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_bad_input_is_one_line_and_writes_nothing(undisturbed, data, tmp_path):
    out = tmp_path / "run"
    assert "no dataset there" in error_of(small(tmp_path / "nowhere", out))
    assert "--data" in error_of(replace(small(data, out), data=()))
    views = demos_helpers.tiny_network(views=("third", "wrist"))
    assert "('agentview', 'wrist')" in error_of(small(data, out, model=views))
    size = demos_helpers.tiny_network(image_size=48, grid=3)
    with pytest.raises(ConventionError, match=r"rain-nano has 48, the dataset has 32"):
        train(small(data, out, model=size))
    batch = replace(small(data, out), stage1=StageConfig(4, 11, 1e-3, 1))
    assert "batch 11" in error_of(batch)
    assert not out.exists()


def test_a_folder_of_another_run_is_refused(undisturbed, tmp_path):
    other = replace(undisturbed, draws=3, stage1=replace(undisturbed.stage1, lr=5.0))
    message = error_of(other)
    assert "draws is 3 here and 2 there" in message
    assert "stage1.lr is 5.0 here and 0.001 there" in message
    grown = demos_helpers.dataset(tmp_path / "grown", 7)
    assert "dataset changed" in error_of(replace(undisturbed, data=(grown,)))
    # How long and how often may change, and where the same data lies.
    moved = tmp_path / "moved"
    shutil.copytree(undisturbed.data[0], moved)
    assert train(replace(undisturbed, data=(moved,), keep=3, checkpoint_every=50)).finished


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_every_recipe_is_one_of_a_preset(name):
    config = recipe(name)
    assert config.preset == name
    assert dataclasses.asdict(config.weights) == {
        "fm": 1.0,
        "cons": 0.1,
        "dist": 0.3,
        "align": 0.3,
        "comp": 1.2,
    }
    assert config.clip == 1.0


def test_unknown_recipe_is_an_error():
    with pytest.raises(RainError, match="rain-nano"):
        recipe("rain-xl")


def test_training_works_outside_the_main_thread(data, tmp_path):
    results = []
    config = small(data, tmp_path / "run", stage2=StageConfig(0, 8, 1e-3, 1))
    thread = threading.Thread(target=lambda: results.append(train(config)))
    thread.start()
    thread.join(timeout=60)
    assert results
    assert results[0].finished
