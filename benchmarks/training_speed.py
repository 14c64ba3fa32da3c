"""Training samples per second: forward, backward and optimiser, with and without the data pipeline.

Without ``--data`` one batch of noise is used again and again; with it batches come from a dataset
as in training (caches are filled first and not timed). Frozen backbones have random weights: speed
is the same. FLOPs are counted by torch over forward and backward; with ``--peak-tflops`` of the
accelerator they give the model FLOP utilisation.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from common import report
from torch.utils.flop_counter import FlopCounterMode

from rain.demos.augment import AugmentOptions
from rain.demos.dataset import Dataset
from rain.demos.sampler import Batch
from rain.model import RainNet
from rain.model.flow import draw_flow
from rain.training.config import TrainConfig
from rain.training.data import load_data, tensors
from rain.training.losses import Imitation, ProgressEstimation
from rain.training.optim import adamw
from rain.training.recipes import recipe

MakeBatch = Callable[[int], Batch]


@dataclass(frozen=True)
class Options:
    """Measure training speed."""

    data: tuple[Path, ...] = ()
    """Dataset folders; without any, batches of noise."""
    preset: tuple[str, ...] = ("rain-nano",)
    """Networks and recipes."""
    backbone: str | None = None
    """Another image backbone in their place."""
    stages: tuple[int, ...] = (1, 2)
    """Stages of training."""
    features: tuple[Literal["cached", "computed"], ...] = ("cached", "computed")
    """Of frozen backbones: from the cache, or computed from images at every step."""
    precision: tuple[Literal["fp32", "bf16"], ...] = ("bf16",)
    """Precisions."""
    compile: tuple[bool, ...] = (False,)
    """Without torch.compile, with it, or both."""
    batch: int | None = None
    """Batch size; default: the recipe's, or its micro-batch."""
    steps: int = 10
    """Optimiser steps to time, after two that are not."""
    threads: int = 2
    """CPU threads."""
    peak_tflops: float | None = None
    """The accelerator's dense peak at this precision, from its data sheet."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    rows = [row for preset in options.preset for row in measure_preset(options, preset)]
    report("training speed", rows, options.json)


def measure_preset(options: Options, preset: str) -> list[dict]:
    base = recipe(preset)
    model = base.model
    if options.backbone is not None:
        # The stem alone looks at the region.
        model = replace(model, backbone=options.backbone, stem_region=False)
    size = options.batch or base.micro_batch or base.stage1.batch
    config = replace(
        base,
        data=options.data,
        model=model,
        stage1=replace(base.stage1, batch=size),
        stage2=replace(base.stage2, batch=size),
        augment=base.augment if model.backbone == "stem" else AugmentOptions(),
    )
    net = RainNet(model, pretrained=False).to(device())
    rows = []
    for stage in options.stages:
        for kind in options.features if net.frozen_features else ("computed",):
            for precision in options.precision:
                for compiled in options.compile:
                    found = measure(options, config, net, stage, kind, precision, compiled)
                    rows.append({"preset": preset, "backbone": model.backbone, **found})
                    gc.collect()
    return rows


def measure(
    options: Options,
    config: TrainConfig,
    net: RainNet,
    stage: int,
    kind: str,
    precision: str,
    compiled: bool,
) -> dict[str, Any]:
    cached = kind == "cached"
    make = real_batches(config, net, stage, cached) if options.data else noise(config, net, cached)
    objective: torch.nn.Module = ProgressEstimation(net, config.weights)
    if stage == 1:
        objective = Imitation(net, config.weights, config.sampler.group)
    chosen = {id(p) for p in net.stage_parameters(stage)}
    learned = {n: p for n, p in net.named_parameters() if id(p) in chosen}
    optimiser = adamw(learned, config.weight_decay)

    def step(number: int) -> None:
        inputs = inputs_of(make(number), stage, config)
        optimiser.zero_grad()
        with autocast(precision):
            loss = objective(**inputs)["loss"]
        loss.backward()
        optimiser.step()

    with FlopCounterMode(display=False) as counter:
        step(0)
    if compiled:
        # After counting: nothing is compiled under a counter.
        objective.compile()
    start = time.perf_counter()
    step(1)
    synchronise()
    first = time.perf_counter() - start
    start = time.perf_counter()
    for number in range(options.steps):
        step(2 + number)
    synchronise()
    size = config.stage(stage).batch
    rate = options.steps * size / (time.perf_counter() - start)
    flops = counter.get_total_flops() / size
    row = {
        "stage": stage,
        "features": kind,
        "batch": size,
        "draws": config.draws if stage == 1 else "",
        "precision": precision,
        "compiled": "yes" if compiled else "no",
        "data": "pipeline" if options.data else "none",
        "first step s": first,
        "samples/s": rate,
        "GFLOP a sample": flops / 1e9,
        "TFLOP/s": rate * flops / 1e12,
    }
    if options.peak_tflops:
        row["MFU %"] = 100 * rate * flops / 1e12 / options.peak_tflops
    return row


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def synchronise() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def autocast(precision: str) -> Any:
    return torch.autocast(device().type, torch.bfloat16) if precision == "bf16" else nullcontext()


def inputs_of(batch: Batch, stage: int, config: TrainConfig) -> dict[str, Any]:
    inputs = tensors(batch, device())
    for name in ("progress",) if stage == 1 else ("actions", "plan"):
        del inputs[name]
    if stage == 1:
        inputs["noise"] = draw_flow(len(batch.index), config.draws, device=device())
    return inputs


def real_batches(config: TrainConfig, net: RainNet, stage: int, cached: bool) -> MakeBatch:
    """Batches of a dataset, as training makes them, features or images."""
    dataset = Dataset.open(config.data)

    def quiet(name: str) -> Callable[[int, int], None]:
        return lambda done, total: None

    data = load_data(config, dataset, net, None, (0, 1), lambda: None, quiet)
    return (data if cached else replace(data, features=None)).batches(config, stage)


def noise(config: TrainConfig, net: RainNet, cached: bool) -> MakeBatch:
    """One batch of noise, again and again."""
    model, size, rng = config.model, config.stage1.batch, np.random.default_rng(0)
    views, side = len(model.views), model.image_size
    images = rng.integers(0, 256, (size, views, side, side, 3), dtype=np.uint8)
    features: Any = None
    if cached:
        width = int(net.vision.width)  # type: ignore[arg-type]
        shape = (size, views, model.tokens, width)
        features = rng.normal(size=shape).astype(np.float16)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=(size, *shape)).astype(np.float32)

    batch = Batch(
        index=np.arange(size),
        images=None if cached else images,
        features=features,
        regions=(rng.random((size, views, side, side)) < 0.02).astype(np.float32),
        state=normal(7),
        action_type=rng.integers(0, 2, size),
        actions=normal(16, 7),
        plan=normal(8, 3),
        progress=rng.random((size, 3), dtype=np.float32),
        group=config.sampler.group,
    )
    return lambda step: batch


if __name__ == "__main__":
    main(tyro.cli(Options))
