"""Optimiser, learning rate and averaged weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rain.training.config import StageConfig


def learning_rate(stage: StageConfig, step: int) -> float:
    """Linear warm-up to the base rate, then half a cosine down to zero at the last step."""
    if step < stage.warmup:
        return stage.lr * (step + 1) / stage.warmup
    done = (step - stage.warmup) / max(1, stage.steps - stage.warmup)
    return stage.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def adamw(parameters: Mapping[str, nn.Parameter], weight_decay: float) -> torch.optim.AdamW:
    """AdamW that decays matrices, and not biases, gains and tables of one row."""
    matrices = [p for p in parameters.values() if p.ndim >= 2]
    vectors = [p for p in parameters.values() if p.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([g for g in groups if g["params"]], lr=0.0, fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, lr: float) -> None:
    """Set the rate of all groups."""
    for group in optimiser.param_groups:
        group["lr"] = lr


class Average:
    """Exponential moving average of parameters, in float32.

    The decay starts low, min(decay, (1 + n) / (10 + n)), so that early weights are forgotten.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], decay: float) -> None:
        self.parameters, self.decay = dict(parameters), decay
        self.values: dict[str, Tensor] = {
            name: p.detach().float().clone() for name, p in parameters.items()
        }

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after optimiser step ``step`` (counted from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        now = [p.detach().float() for p in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), now, 1 - decay)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Put the averages into the network inside the block, and the weights back after it."""
        weights = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.copy_to_network()
        try:
            yield
        finally:
            _copy(weights, self.parameters)

    def copy_to_network(self) -> None:
        """Put the averages into the network for good."""
        _copy(self.values, self.parameters)


@torch.no_grad()
def _copy(source: Mapping[str, Tensor], target: Mapping[str, nn.Parameter]) -> None:
    for name, parameter in target.items():
        parameter.copy_(source[name])
