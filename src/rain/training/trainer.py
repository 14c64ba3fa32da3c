"""The two stages, step by step: each a function of (seed, step), so that a run resumes exactly."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from numpy.typing import NDArray
from torch import nn

from rain.demos.lerobot.schema import action_names
from rain.demos.sampler import Batch
from rain.model.net import RainNet
from rain.training import machine
from rain.training.config import TrainConfig
from rain.training.data import TrainingData
from rain.training.display import Display
from rain.training.journal import Journal
from rain.training.logs import Meter
from rain.training.losses import Imitation, ProgressEstimation
from rain.training.optim import Average, adamw, learning_rate, set_learning_rate
from rain.training.prefetch import Prefetch
from rain.training.run import RunFolder
from rain.training.state import (
    Position,
    SavedState,
    load_state,
    restore_optimiser,
    restore_weights,
    save_state,
)
from rain.training.update import NotFiniteError, Update, micro_batches
from rain.training.validate import choose, validate
from rain.types import RainError

_SETTLED = 50
"""Steps of a stage before its loss is compared with its running mean."""
_RUNNING = 0.02
"""Weight of a step in that mean."""


@dataclass(frozen=True)
class TrainResult:
    """What a sitting ended with. finished: False where it stopped early and can be continued."""

    checkpoint: Path
    finished: bool
    stage: int
    step: int
    seconds: float


class Trainer:
    """One sitting of a run."""

    def __init__(
        self,
        config: TrainConfig,
        accelerator: Accelerator,
        folder: RunFolder,
        net: RainNet,
        data: TrainingData,
        display: Display,
        stop: threading.Event,
    ) -> None:
        self.config, self.accelerator, self.folder = config, accelerator, folder
        self.net, self.data, self.display, self.stop = net, data, display, stop
        self.began = time.monotonic()
        self.earlier = 0.0
        self.main = accelerator.is_main_process
        # Noted before a stage freezes anything.
        self.weights = {n: p for n, p in net.named_parameters() if p.requires_grad}
        self.stages = {number: net.stage_parameters(number) for number in (1, 2)}
        self.held = choose(data, config.validation_samples)

    def run(self) -> TrainResult:
        """Go through what is left of both stages."""
        saved = load_state(self.folder.states, self.display.warn)
        position = Position(1, 0) if saved is None else saved.position
        if saved is not None:
            restore_weights(saved, self.weights)
        self.earlier = position.seconds
        if self.main:
            self.journal = Journal(
                self.config,
                self.folder,
                position,
                action_names(self.data.dataset.conventions.action),
            )
        try:
            position, finished = self._stages(position, saved)
        finally:
            if self.main:
                self.journal.close()
        return TrainResult(
            self.folder.checkpoint, finished, position.stage, position.step, self._seconds()
        )

    def _stages(self, position: Position, saved: SavedState | None) -> tuple[Position, bool]:
        finished = True
        for stage in (1, 2):
            if stage < position.stage or not finished:
                continue
            if stage > position.stage:
                position, saved = Position(stage, 0), None
            position, finished = self._stage(position, saved)
        return position, finished

    def _seconds(self) -> float:
        return self.earlier + time.monotonic() - self.began

    def _stage(self, position: Position, saved: SavedState | None) -> tuple[Position, bool]:
        """Train one stage from ``position``; returns where it got to and whether it is done."""
        stage = position.stage
        learned = {id(p) for p in self.stages[stage]}
        for parameter in self.weights.values():
            parameter.requires_grad_(id(parameter) in learned)
            # A gradient left by the stage before would count into the norm that is clipped.
            parameter.grad = None
        parameters = {n: p for n, p in self.weights.items() if id(p) in learned}
        self.average = Average(parameters, self.config.ema) if self.config.ema else None
        optimiser = adamw(parameters, self.config.weight_decay)
        if saved is not None:
            restore_optimiser(saved, self.weights, optimiser)
            if self.average is not None:
                for name, value in saved.average.items():
                    self.average.values[name].copy_(value)
        objective = self._objective(stage)
        if self.config.stage(stage).steps > 0:
            if self.config.compile:
                objective.compile()
            objective, prepared = self.accelerator.prepare(objective, optimiser)
            position, done = self._steps(position, objective, prepared, optimiser)
            self.accelerator.free_memory()
            if not done:
                return position, False
        if self.average is not None:
            # The next stage learns on the weights that will be saved.
            self.average.copy_to_network()
        for parameter in self.weights.values():
            parameter.requires_grad_(True)
        if stage == 2:
            self._checkpoint(position, finished=True)
        return position, True

    def _objective(self, stage: int) -> nn.Module:
        config = self.config
        if stage == 1:
            return Imitation(self.net, config.weights, config.sampler.group)
        return ProgressEstimation(self.net, config.weights)

    def _steps(
        self,
        position: Position,
        objective: nn.Module,
        prepared: Any,
        optimiser: torch.optim.Optimizer,
    ) -> tuple[Position, bool]:
        config, stage = self.config, position.stage
        plan = config.stage(stage)
        share = plan.batch // self.accelerator.num_processes
        parts = micro_batches(share, config.sampler.group, config.micro_batch)
        self.update = Update(
            config, stage, self.accelerator, objective, prepared, self.stages[stage], parts
        )
        meter = Meter(dict(position.meter))
        make = self.data.batches(config, stage)
        self.net.train()
        self.display.begin(stage, position.step, plan.steps)
        numbers = range(position.step * parts, plan.steps * parts)
        update = self.update
        with Prefetch(lambda n: make(n // parts, update.part(n % parts)), numbers) as batches:
            source = iter(batches)
            before = time.monotonic()
            for step in range(position.step, plan.steps):
                set_learning_rate(optimiser, learning_rate(plan, step))
                values, waited = self._step(stage, step, source)
                if self.average is not None:
                    self.average.update(step)
                now = time.monotonic()
                meter.add({**values, "_seconds": now - before, "_waiting": waited})
                stopping, usual = self._agree(position, values["loss"])
                position = Position(stage, step + 1, self._seconds(), usual)
                self._show(position, values["loss"], meter)
                self._after_step(position, meter, optimiser, stopping)
                if stopping and step + 1 < plan.steps:
                    return position, False
                before = time.monotonic()
        return position, True

    def _step(
        self, stage: int, step: int, batches: Iterator[tuple[int, Batch]]
    ) -> tuple[dict[str, float], float]:
        """One optimiser step; returns the losses with the gradient's norm, and seconds waited."""
        try:
            result = self.update.step(step, batches)
        except NotFiniteError as error:
            raise self._bad_batch(error.what, error.frames, stage, step) from None
        return result.losses, result.waited

    def _bad_batch(self, what: str, frames: NDArray[np.int64], stage: int, step: int) -> RainError:
        names = self.data.describe(frames)
        return self.folder.report_bad_batch(names, what, stage, step, self.main)

    def _agree(self, before: Position, loss: float) -> tuple[bool, float]:
        """Agree with the other processes on whether to stop, and on the running mean of the loss.

        RainError, in all of them, where the loss has exploded.
        """
        limit = self.config.stop_after_minutes
        over = limit is not None and time.monotonic() - self.began > 60 * limit
        found = machine.mean(
            self.accelerator, {"stop": float(over or self.stop.is_set()), "loss": loss}
        )
        usual, loss = before.usual or found["loss"], found["loss"]
        most = self.config.explosion * usual
        if self.config.explosion and before.step >= _SETTLED and loss > most:
            what = f"the loss is {loss:.4g}, more than --explosion {self.config.explosion:g} times "
            what += f"its running mean {usual:.4g}"
            frames = self.update.whole(self.update.frames)
            raise self._bad_batch(what, frames, before.stage, before.step)
        return found["stop"] > 0, usual + _RUNNING * (loss - usual)

    def _show(self, position: Position, loss: float, meter: Meter) -> None:
        plan = self.config.stage(position.stage)
        rate, lr = meter.rate(plan.batch), learning_rate(plan, position.step - 1)
        self.display.advance(loss, lr, rate, machine.memory_mb(self.accelerator))

    def _after_step(
        self,
        position: Position,
        meter: Meter,
        optimiser: torch.optim.Optimizer,
        stopping: bool,
    ) -> None:
        """Log, validate and save where it is due."""
        config, step = self.config, position.step
        last = step == config.stage(position.stage).steps
        if last or step % config.log_every == 0:
            self._log(position, meter)
        if last or step % config.validate_every == 0:
            self._validate(position)
        if last or stopping or step % config.checkpoint_every == 0:
            # All processes resume with the same sums.
            sums = machine.mean(self.accelerator, meter.sums)
            meter.sums.update(sums)
            if self.main:
                position = replace(position, meter=sums)
                save_state(
                    self.folder.states,
                    position,
                    self.weights,
                    self.average,
                    optimiser,
                    config.keep,
                )
                self._checkpoint(position, finished=False)
            self.accelerator.wait_for_everyone()

    def _log(self, position: Position, meter: Meter) -> None:
        plan = self.config.stage(position.stage)
        means = meter.means(machine.mean(self.accelerator, meter.sums))
        waiting, seconds = means.pop("_waiting"), means.pop("_seconds")
        meter.sums.clear()
        if self.main:
            row = {
                **means,
                "stage": position.stage,
                "step": position.step,
                "seconds": round(position.seconds, 1),
                "lr": learning_rate(plan, position.step - 1),
                "samples_per_second": plan.batch / seconds,
                "waiting_share": waiting / seconds,
                "memory_mb": machine.memory_mb(self.accelerator),
            }
            self.journal.log("train", row)

    def _validate(self, position: Position) -> None:
        if not self.main or len(self.held) == 0:
            return
        self.display.note("validating")
        stage = position.stage
        with self._averaged():
            found = validate(self.net, self.data, self.held, stage, self.accelerator.device)
        self.journal.log("validation", {**found, "stage": stage, "step": position.step})
        self.display.validated(stage, position.step, found)
        if self.journal.best_yet(stage):
            self._save(self.folder.best, position, finished=False)

    def _checkpoint(self, position: Position, finished: bool) -> None:
        """Save the averaged weights as OUT/checkpoint, and the curves beside it."""
        if self.main:
            self._save(self.folder.checkpoint, position, finished)
            self.journal.draw()

    def _save(self, folder: Path, position: Position, finished: bool) -> None:
        progress = {
            "stage": position.stage,
            "step": position.step,
            "seconds": round(position.seconds, 1),
            "processes": self.accelerator.num_processes,
            "finished": finished,
        }
        with self._averaged():
            self.folder.save_checkpoint(folder, self.net, self.data, progress)

    def _averaged(self) -> contextlib.AbstractContextManager[None]:
        """The averaged weights stand in the network within the block."""
        return contextlib.nullcontext() if self.average is None else self.average.applied()
