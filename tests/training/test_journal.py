from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest
from training_helpers import killed_at, small

from rain.model.checkpoint import load_checkpoint
from rain.training.logs import read_rows
from rain.training.loop import train
from rain.types import RainError


def curves(folder):
    """Every point that TensorBoard would show: tag -> [(step, value)]."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: [(e.step, e.value) for e in events.Scalars(tag)] for tag in events.Tags()["scalars"]
    }


def test_tensorboard_holds_what_the_logs_hold_also_after_a_kill(data, tmp_path, monkeypatch):
    config = small(data, tmp_path / "run", tensorboard=True)
    with killed_at(monkeypatch, (2, 3)):
        train(config)
    train(config)
    found = curves(config.out / "tensorboard")
    rows = read_rows(config.out / "log.csv")
    wanted = [(int(r["step"]) + 6 * (r["stage"] == "2"), float(r["loss"])) for r in rows]
    assert [step for step, _ in found["train/loss"]] == [2, 4, 6, 8, 10]
    assert found["train/loss"] == [(step, pytest.approx(loss, rel=1e-5)) for step, loss in wanted]
    assert [step for step, _ in found["train/completion"]] == [8, 10]
    assert [step for step, _ in found["validation/final_mm"]] == [3, 6, 9, 10]
    assert found["train/memory_mb"][0][1] > 50


class FakeRun:
    """Stands for a run at wandb, which refuses steps that go back."""

    def __init__(self, store):
        self.store, self.step = store, max([0, *store])

    def log(self, values, step):
        assert step >= self.step
        self.store.setdefault(step, {}).update(values)
        self.step = step

    def finish(self):
        self.store["finished"] = True


def test_wandb_gets_every_row_once_and_the_same_run_when_it_goes_on(data, tmp_path, monkeypatch):
    runs = {}

    def init(project, id, resume, config, **_):
        assert (project, resume) == ("rain", "allow")
        assert config["stage1"]["steps"] == 6
        store = runs.setdefault(id, {})
        store.pop("finished", None)
        return FakeRun(store)

    fake = SimpleNamespace(init=init, __spec__=SimpleNamespace())
    monkeypatch.setitem(sys.modules, "wandb", fake)
    config = small(data, tmp_path / "run", wandb="rain")
    with killed_at(monkeypatch, (1, 5)):
        train(config)
    train(config)
    (store,) = runs.values()
    assert store.pop("finished") is True
    rows = read_rows(config.out / "log.csv")
    assert [s for s, row in store.items() if "train/loss" in row] == [2, 4, 6, 8, 10]
    assert store[4]["train/loss"] == pytest.approx(float(rows[1]["loss"]), rel=1e-5)


def test_wandb_that_is_not_installed_is_one_line(data, tmp_path):
    if "wandb" in sys.modules:
        pytest.skip("wandb is here")
    with pytest.raises(RainError, match=r"rain-robotics\[wandb\]"):
        train(small(data, tmp_path / "run", wandb="rain"))


def test_the_best_checkpoint_by_validation_is_kept(data, tmp_path, monkeypatch):
    import rain.training.trainer as trainer

    original, errors = trainer.validate, iter([0.5, 0.2, 0.3, 0.4])

    def validate(net, data, index, stage, device):
        found = original(net, data, index, stage, device)
        return {**found, "action_error": next(errors), "progress_auc": 0.5}

    monkeypatch.setattr(trainer, "validate", validate)
    config = small(data, tmp_path / "run", validate_every=2, stage2=small(data, tmp_path).stage2)
    with killed_at(monkeypatch, (1, 6 - 1)):
        train(config)
    best = load_checkpoint(config.out / "best").extra
    assert (best["stage"], best["step"]) == (1, 4)
