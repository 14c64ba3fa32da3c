"""Runs small enough for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from demos_helpers import tiny_network

import rain.training.trainer as trainer
from rain.training.config import StageConfig, TrainConfig
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
    }
    return replace(recipe("rain-nano"), **{**settings, **changes})


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
