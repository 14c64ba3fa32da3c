"""The two stages, step by step: each a function of (seed, step), so that a run resumes exactly."""

from __future__ import annotations

import math
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from rain.demos.lerobot.schema import action_names
from rain.demos.sampler import Batch
from rain.model.net import RainNet
from rain.training import machine
from rain.training.config import TrainConfig
from rain.training.data import TrainingData, tensors
from rain.training.display import Display
from rain.training.logs import TRAIN_COLUMNS, CsvLog, Meter, draw_curves, validation_columns
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
from rain.training.validate import choose, validate


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
        saved = load_state(self.folder.states)
        position = Position(1, 0) if saved is None else saved.position
        if saved is not None:
            restore_weights(saved, self.weights)
        self.earlier = position.seconds
        if self.main:
            where = (position.stage, position.step)
            self.log = CsvLog(self.folder.log, TRAIN_COLUMNS, *where)
            columns = validation_columns(action_names(self.data.dataset.conventions.action))
            self.validation = CsvLog(self.folder.validation, columns, *where)
        finished = True
        for stage in (1, 2):
            if stage < position.stage or not finished:
                continue
            if stage > position.stage:
                position, saved = Position(stage, 0), None
            position, finished = self._stage(position, saved)
        return TrainResult(
            self.folder.checkpoint, finished, position.stage, position.step, self._seconds()
        )

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
            return Imitation(self.net, config.weights, config.draws, config.sampler.group)
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
        rank, world = machine.share(self.accelerator)
        meter = Meter(dict(position.meter))
        make = self.data.batches(config, stage, (rank, world))
        self.net.train()
        self.display.begin(stage, position.step, plan.steps)
        with Prefetch(make, range(position.step, plan.steps)) as batches:
            before = time.monotonic()
            for step, batch in batches:
                waited = time.monotonic() - before
                set_learning_rate(optimiser, learning_rate(plan, step))
                values = self._step(stage, step, batch, objective, prepared, (rank, world))
                if self.average is not None:
                    self.average.update(step)
                now = time.monotonic()
                meter.add({**values, "_seconds": now - before, "_waiting": waited})
                position = Position(stage, step + 1, self._seconds())
                self.display.advance(values["loss"], plan.batch, meter.rate(plan.batch))
                stopping = self._stopping()
                self._after_step(position, meter, optimiser, stopping)
                if stopping and step + 1 < plan.steps:
                    return position, False
                before = time.monotonic()
        return position, True

    def _step(
        self,
        stage: int,
        step: int,
        batch: Batch,
        objective: nn.Module,
        prepared: Any,
        share: tuple[int, int],
    ) -> dict[str, float]:
        """One optimiser step; returns the losses and the gradient's norm."""
        inputs = tensors(batch, self.accelerator.device)
        if stage == 1:
            seeds = np.random.SeedSequence([self.config.seed, stage, step, share[0]])
            generator = torch.Generator().manual_seed(int(seeds.generate_state(1)[0]))
            inputs |= {"generator": generator}
            del inputs["progress"]
        else:
            del inputs["actions"], inputs["plan"]
        losses = objective(**inputs)
        prepared.zero_grad()
        self.accelerator.backward(losses["loss"])
        clip = self.config.clip
        norm = float(self.accelerator.clip_grad_norm_(self.stages[stage], clip))
        # Gradients are averaged over processes, so all of them see a bad norm and stop together.
        if not math.isfinite(norm):
            loss = float(losses["loss"].detach())
            what = f"the loss is {loss}, the gradient's norm {norm}"
            raise self.folder.report_bad_batch(self.data.describe(batch), what, stage, step)
        prepared.step()
        return {**{k: float(v.detach()) for k, v in losses.items()}, "grad_norm": norm}

    def _stopping(self) -> bool:
        limit = self.config.stop_after_minutes
        over = limit is not None and time.monotonic() - self.began > 60 * limit
        return machine.anyone(self.accelerator, over or self.stop.is_set())

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
            self.log.append(
                {
                    **means,
                    "stage": position.stage,
                    "step": position.step,
                    "seconds": round(position.seconds, 1),
                    "lr": learning_rate(plan, position.step - 1),
                    "samples_per_second": plan.batch / seconds,
                    "waiting_share": waiting / seconds,
                }
            )

    def _validate(self, position: Position) -> None:
        if not self.main or len(self.held) == 0:
            return
        self.display.note("validating")
        stage = position.stage
        if self.average is None:
            found = validate(self.net, self.data, self.held, stage, self.accelerator.device)
        else:
            with self.average.applied():
                found = validate(self.net, self.data, self.held, stage, self.accelerator.device)
        self.validation.append({**found, "stage": stage, "step": position.step})
        self.display.validated(stage, position.step, found)

    def _checkpoint(self, position: Position, finished: bool) -> None:
        """Save the averaged weights as OUT/checkpoint, and the curves beside it."""
        if not self.main:
            return
        progress = {
            "stage": position.stage,
            "step": position.step,
            "seconds": round(position.seconds, 1),
            "processes": self.accelerator.num_processes,
            "finished": finished,
        }
        if self.average is None:
            self.folder.save_checkpoint(self.net, self.data, progress)
        else:
            with self.average.applied():
                self.folder.save_checkpoint(self.net, self.data, progress)
        draw_curves(self.folder.log, self.folder.validation, self.folder.curves)
