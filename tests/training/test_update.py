from __future__ import annotations

import json

import pytest
import torch
from training_helpers import small, weights

import rain.training.losses as losses
from rain.training.config import StageConfig
from rain.training.loop import train
from rain.training.update import micro_batches
from rain.types import RainError


@pytest.mark.parametrize(
    ("share", "group", "most", "parts"),
    [(1024, 4, None, 1), (1024, 4, 64, 16), (1024, 4, 100, 16), (12, 2, 6, 2), (12, 4, 5, 3)],
)
def test_micro_batches_are_few_equal_and_of_whole_groups(share, group, most, parts):
    assert micro_batches(share, group, most) == parts
    size = share // parts
    assert size * parts == share
    assert size % group == 0
    assert most is None or size <= most


def test_a_micro_batch_smaller_than_a_group_is_an_error(data, tmp_path):
    with pytest.raises(RainError, match=r"at least one group of 2 samples.*got 1"):
        small(data, tmp_path / "run", micro_batch=1)


def explode(monkeypatch, at: int, factor: float):
    original, calls = losses.Imitation.forward, []

    def forward(self, **inputs):
        calls.append(0)
        found = original(self, **inputs)
        if len(calls) == at:
            found["loss"] = found["loss"] * factor
        return found

    monkeypatch.setattr(losses.Imitation, "forward", forward)


def long(data, out, **changes):
    stages = {"stage1": StageConfig(60, 8, 1e-4, 2), "stage2": StageConfig(0, 8, 1e-4, 2)}
    return small(data, out, validate_every=100, checkpoint_every=20, **stages, **changes)


def test_an_exploding_loss_stops_the_run_and_names_the_batch(data, tmp_path, monkeypatch):
    config = long(data, tmp_path / "run")
    with monkeypatch.context() as patch:
        explode(patch, 56, 100.0)
        message = r"stage 1 step 55: the loss is .*more than --explosion 20 times its running mean"
        with pytest.raises(RainError, match=message):
            train(config)
    told = json.loads((config.out / "bad_batch.json").read_text())
    assert len(told["frames"]) == 8
    assert told["step"] == 55
    # What was saved is from before it, and goes on.
    assert [p.name[-2:] for p in sorted((config.out / "state").iterdir())] == ["20", "40"]
    assert train(config).finished


@pytest.mark.parametrize(("factor", "explosion"), [(10.0, 20.0), (100.0, 0.0)])
def test_a_smaller_jump_or_no_limit_does_not_stop_it(
    data, tmp_path, monkeypatch, factor, explosion
):
    explode(monkeypatch, 56, factor)
    assert train(long(data, tmp_path / "run", explosion=explosion)).finished


def test_compiled_steps_learn_the_same(data, tmp_path, monkeypatch):
    """Traced as for the compiler, but not compiled: that alone would take a minute."""
    original = torch.compile
    monkeypatch.setattr(torch, "compile", lambda f, **kw: original(f, **{**kw, "backend": "eager"}))
    stages = {"stage1": StageConfig(2, 8, 1e-3, 1), "stage2": StageConfig(0, 8, 1e-3, 1)}
    plain = small(data, tmp_path / "plain", precision="fp32", **stages)
    compiled = small(data, tmp_path / "compiled", precision="fp32", compile=True, **stages)
    for config in (plain, compiled):
        train(config)
    mine, theirs = weights(plain), weights(compiled)
    for name in mine:
        torch.testing.assert_close(theirs[name], mine[name], atol=2e-3, rtol=1e-2)
