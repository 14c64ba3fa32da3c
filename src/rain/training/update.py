"""One optimiser step: a global batch in parts, for processes and micro-batches, one gradient out.

Every part sees the samples, the augmentation and the noise that it would see in one piece, and all
parts are equally large: the gradient is that of the whole batch, however it is cut.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from numpy.typing import NDArray
from torch import nn

from rain.demos.sampler import Batch
from rain.model.flow import draw_flow
from rain.training import machine
from rain.training.config import TrainConfig
from rain.training.data import tensors


class NotFiniteError(Exception):
    """A batch gave no finite loss or gradient. frames: sample numbers of the whole batch."""

    def __init__(self, what: str, frames: NDArray[np.int64]) -> None:
        super().__init__(what)
        self.what, self.frames = what, frames


@dataclass(frozen=True)
class StepResult:
    """losses: means over this process's part, and ``grad_norm``. waited: seconds without data."""

    losses: dict[str, float]
    waited: float


class Update:
    """Optimiser steps of one stage.

    objective and optimiser: as accelerate prepared them. parameters: what the stage learns.
    parts: micro-batches that a process takes one after the other.
    """

    def __init__(
        self,
        config: TrainConfig,
        stage: int,
        accelerator: Accelerator,
        objective: nn.Module,
        optimiser: Any,
        parameters: list[nn.Parameter],
        parts: int,
    ) -> None:
        self.config, self.stage, self.accelerator = config, stage, accelerator
        self.objective, self.optimiser = objective, optimiser
        self.parameters, self.parts = parameters, parts
        self.rank, self.world = machine.share(accelerator)

    def part(self, micro: int) -> tuple[int, int]:
        """Say which of how many parts of the global batch a micro-batch of this process is."""
        return self.rank * self.parts + micro, self.world * self.parts

    def step(self, step: int, batches: Iterator[tuple[int, Batch]]) -> StepResult:
        """Take this process's micro-batches and make the step.

        Raises NotFiniteError, in all processes together, before a weight is changed.
        """
        self.optimiser.zero_grad()
        waited, sums, frames = 0.0, dict[str, torch.Tensor](), []
        for micro in range(self.parts):
            before = time.monotonic()
            _, batch = next(batches)
            waited += time.monotonic() - before
            frames.append(batch.index)
            losses = self._backward(step, micro, batch)
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value.detach() / self.parts
        norm = float(self.accelerator.clip_grad_norm_(self.parameters, self.config.clip))
        values = {name: float(value) for name, value in sums.items()}
        # Gradients are averaged over processes, so all of them see a bad norm and stop together.
        if not math.isfinite(norm):
            what = f"the loss is {values['loss']}, the gradient's norm {norm}"
            raise NotFiniteError(what, self.whole(frames))
        self.optimiser.step()
        self.frames = frames
        return StepResult({**values, "grad_norm": norm}, waited)

    def whole(self, frames: list[NDArray[np.int64]]) -> NDArray[np.int64]:
        """Collect the sample numbers of the global batch; every process must call it."""
        mine = np.concatenate(frames).tolist()
        return np.array(gather_object(mine) if self.world > 1 else mine, np.int64)

    def _backward(self, step: int, micro: int, batch: Batch) -> dict[str, torch.Tensor]:
        last = micro == self.parts - 1
        inputs = self._inputs(step, micro, batch)
        # Processes exchange gradients once a step, with the last micro-batch.
        alone = contextlib.nullcontext() if last else self.accelerator.no_sync(self.objective)
        with alone:
            losses = self.objective(**inputs)
            self.accelerator.backward(losses["loss"] / self.parts)
        return losses

    def _inputs(self, step: int, micro: int, batch: Batch) -> dict[str, Any]:
        inputs = tensors(batch, self.accelerator.device)
        if self.stage == 2:
            del inputs["actions"], inputs["plan"]
            return inputs
        del inputs["progress"]
        seeds = np.random.SeedSequence([self.config.seed, self.stage, step])
        generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
        size = self.config.stage(self.stage).batch
        noise = draw_flow(size, self.config.draws, generator).part(*self.part(micro))
        inputs["noise"] = type(noise)(*(part.to(self.accelerator.device) for part in noise))
        return inputs


def micro_batches(share: int, group: int, most: int | None) -> int:
    """Return the fewest equal parts, whole groups each, of at most ``most`` samples.

    share: samples of a batch that a process takes, a multiple of ``group``.
    """
    groups = share // group
    limit = groups if most is None else max(1, most // group)
    return next(n for n in range(1, groups + 1) if groups % n == 0 and groups // n <= limit)
