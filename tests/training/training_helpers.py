"""Runs small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from demos_helpers import tiny_network
from safetensors.torch import load_file, save_file

import rain.training.trainer as trainer
from rain.training.config import StageConfig, TrainConfig
from rain.training.logs import read_rows
from rain.training.recipes import recipe


def small(data: Path, out: Path, **changes) -> TrainConfig:
    """Six steps of stage 1, four of stage 2, everything due every two or three of them."""
    settings = {
        "data": (data,),
        "out": out,
        "model": tiny_network(),
        "stage1": StageConfig(steps=6, batch=8, lr=1e-3, warmup=2),
        "stage2": StageConfig(steps=4, batch=8, lr=1e-3, warmup=1),
        "draws": 2,
        "log_every": 2,
        "validate_every": 3,
        "checkpoint_every": 2,
        "validation_samples": 16,
        "cache": data.parent / "cache",
        "threads": 1,
        "tensorboard": False,
    }
    return replace(recipe("rain-nano"), **{**settings, **changes})


def weights(config: TrainConfig) -> dict[str, torch.Tensor]:
    """The weights of a run's checkpoint."""
    return load_file(config.out / "checkpoint" / "model.safetensors")


def assert_equal_runs(a: TrainConfig, b: TrainConfig) -> None:
    """Two runs have the same weights, bit for bit, and the same rows in their logs."""
    mine, theirs = weights(a), weights(b)
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert torch.equal(mine[name], theirs[name]), name
    timing = {"seconds", "samples_per_second", "waiting_share", "memory_mb"}
    for log in ("log.csv", "validation.csv"):
        rows = [
            [{k: v for k, v in row.items() if k not in timing} for row in read_rows(c.out / log)]
            for c in (a, b)
        ]
        assert rows[0] == rows[1]


@contextmanager
def gradients_into(folder: Path) -> Iterator[None]:
    """The first gradients of each stage of a run within land in FOLDER/STAGE.safetensors."""
    make, stages = trainer.adamw, []
    folder.mkdir(exist_ok=True)

    def watched(parameters, decay):
        optimiser = make(parameters, decay)
        stages.append(len(stages) + 1)

        def save(*_):
            path = folder / f"{stages[-1]}.safetensors"
            if not path.exists():
                save_file({name: p.grad.clone() for name, p in parameters.items()}, path)

        optimiser.register_step_pre_hook(save)
        return optimiser

    trainer.adamw = watched
    try:
        yield
    finally:
        trainer.adamw = make


class Killed(BaseException):
    """Stands for SIGKILL within a process."""


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, step: tuple[int, int]) -> Iterator[None]:
    """A run within is killed as it comes to ``step``, (stage, number)."""
    original = trainer.Trainer._step

    def killed(self, stage, number, *rest):
        if (stage, number) == step:
            raise Killed
        return original(self, stage, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_step", killed)
        with pytest.raises(Killed):
            yield
