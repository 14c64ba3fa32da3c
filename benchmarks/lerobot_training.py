"""Milliseconds a training sample costs: RAIN beside LeRobot's ACT and diffusion policy.

Runs in lerobot's environment (``make test-lerobot`` makes it) on the CPU. All train on the same
frames of one dataset, with batches of equal size that are in memory before the clock starts; one
optimiser step each in turn, round by round, so that all of them meet the same machine. A step is
forward, backward, clipping of gradients and the optimiser.

ACT and the diffusion policy are LeRobot's own code with their default networks, on both cameras;
their ResNet-18s are torchvision's with random weights, which cost what trained ones do. RAIN goes
through its LeRobot plugin: looking the supervision up, cutting regions out of label maps and
augmentation are within its time, and half its batch are the later frames of L_cons (eq. 4). "Both
stages" passes half a batch more through the network, without gradients, for the progress head.
Reported are medians; beside seconds on the wall, those of CPU, which other work disturbs less.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"

import datasets
import numpy as np
import torch
import tyro
from common import report
from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import FeatureType
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.utils import dataset_to_policy_features
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot_policy_rain.configuration_rain import LeRobotRainConfig
from lerobot_policy_rain.supervision import Supervision


@dataclass(frozen=True)
class Options:
    """Compare the cost of training."""

    data: Path
    """A dataset folder that rain demos process wrote."""
    batch: int = 32
    """Samples of a step; even."""
    rounds: int = 7
    """Steps of each policy that are timed, after one that is not."""
    threads: int = 2
    """CPU threads."""
    seed: int = 0
    """Which frames."""
    json: Path | None = None
    """Write the figures here."""


def policies(shared: dict[str, Any]) -> dict[str, PreTrainedConfig]:
    """Each with its default network; published backbone weights are left out, not the backbone."""
    rain = {"preset": "rain-nano", **shared}
    return {
        "RAIN-nano, stage 1": LeRobotRainConfig(stage="1", **rain),
        "RAIN-nano, both stages at once": LeRobotRainConfig(stage="both", **rain),
        "ACT": ACTConfig(pretrained_backbone_weights=None, **shared),
        "diffusion policy": DiffusionConfig(**shared),
    }


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        datasets.config.HF_DATASETS_CACHE = Path(cache)
        made = policies({"device": "cpu", "push_to_hub": False})
        frames = choose(options, made["RAIN-nano, stage 1"])
        steps = {name: prepare(options.data, config, frames) for name, config in made.items()}
        sizes = {name: size for name, (_, size) in steps.items()}
        taken = measure({name: step for name, (step, _) in steps.items()}, options.rounds)
    for name, seconds in taken.items():
        wall, busy = (
            [1000 * s / options.batch for s in kind] for kind in zip(*seconds, strict=True)
        )
        rows.append(
            {
                "policy": name,
                "parameters (M)": sizes[name] / 1e6,
                "batch": options.batch,
                "threads": options.threads,
                "ms/sample": statistics.median(wall),
                "fastest": min(wall),
                "slowest": max(wall),
                "CPU ms/sample": statistics.median(busy),
            }
        )
    report(f"training on {options.data.name}", rows, options.json)


def choose(options: Options, rain: LeRobotRainConfig) -> list[tuple[int, int]]:
    """Pairs of rows: a frame, and a later one of its subtask; every policy trains on both."""
    found = Supervision(options.data, rain.recipe(), rain.samples, rain.sampler)
    rng = np.random.default_rng(options.seed)
    lengths = [len(found.dataset.motion(i).frames) for i in range(len(found.dataset))]
    pairs: list[tuple[int, int]] = []
    for row in rng.permutation(sum(lengths)):
        drawn = found.draw(np.array([row]), "1", rain.pair_offset, rng)
        if len(drawn) == 2 and drawn.partner[1]:
            pairs.append((int(row), int(row) + rain.pair_offset))
        if len(pairs) == options.batch // 2:
            return pairs
    raise SystemExit(f"{options.data}: fewer than {options.batch // 2} pairs of frames")


def prepare(
    folder: Path, config: PreTrainedConfig, frames: list[tuple[int, int]]
) -> tuple[Callable[[], None], int]:
    """A policy's training step on the frames, and its number of trained parameters."""
    meta = LeRobotDataset("rain/benchmark", root=folder).meta
    features = dataset_to_policy_features(meta.features)
    # The label maps are pictures to LeRobot, and the action type an action.
    config.output_features = {"action": features["action"]}
    config.input_features = {
        key: feature
        for key, feature in features.items()
        if key.startswith("observation.images.") or feature.type is FeatureType.STATE
    }
    deltas = resolve_delta_timestamps(config, meta)
    data = LeRobotDataset("rain/benchmark", root=folder, delta_timestamps=deltas)
    policy = get_policy_class(config.type)(config, dataset_stats=meta.stats, dataset_meta=meta)
    # RAIN's loader brings the later frame of each pair along.
    pairs = isinstance(config, LeRobotRainConfig)
    rows = [pair[0] for pair in frames] if pairs else [row for pair in frames for row in pair]
    before, _ = make_pre_post_processors(config, dataset_stats=meta.stats)
    batch = before(torch.utils.data.default_collate([data[i] for i in rows]))
    policy.train()
    preset = config.get_optimizer_preset()
    optimiser = preset.build(policy.get_optim_params())
    trained = [p for p in policy.parameters() if p.requires_grad]

    def step() -> None:
        loss, _ = policy.forward(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, preset.grad_clip_norm or float("inf"))
        optimiser.step()
        optimiser.zero_grad()

    return step, sum(p.numel() for p in trained)


def measure(
    steps: dict[str, Callable[[], None]], rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each step, in turn, on the wall and of CPU; the first round only warms up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for number in range(rounds + 1):
        for name, step in steps.items():
            wall, busy = time.perf_counter(), time.process_time()
            step()
            if number:
                taken[name].append((time.perf_counter() - wall, time.process_time() - busy))
    return taken


if __name__ == "__main__":
    main(tyro.cli(Options))
