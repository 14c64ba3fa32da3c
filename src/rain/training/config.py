"""Everything a training run is asked to do, as one frozen dataclass.

The command line is generated from it; defaults for each preset are in ``rain.training.recipes``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rain.demos.augment import AugmentOptions
from rain.demos.sampler import SamplerOptions
from rain.demos.samples import SampleOptions
from rain.model.config import RainConfig
from rain.retarget import CandidateOptions, RetargetOptions
from rain.types import RainError


@dataclass(frozen=True)
class StageConfig:
    """One of the two stages of training."""

    steps: int
    """Optimiser steps; 0 leaves the stage out."""
    batch: int
    """Global batch size, over all processes and micro-batches; a multiple of processes ×
    sampler.group."""
    lr: float
    """Base learning rate."""
    warmup: int
    """Steps of linear warm-up; cosine decay to zero follows."""


@dataclass(frozen=True)
class LossWeights:
    """Loss weights of the paper's L_PlanDiT and L_head (eq. 6); 0 switches one off (Table 2)."""

    fm: float = 1.0
    """λ_fm, flow matching (eq. 3)."""
    cons: float = 0.1
    """λ_cons, consistency of the final waypoint (eq. 4)."""
    dist: float = 0.3
    """λ_dist, distance score."""
    align: float = 0.3
    """λ_align, alignment score."""
    comp: float = 1.2
    """λ_comp, completion."""


@dataclass(frozen=True)
class RetargetConfig:
    """Retargeted samples among the recorded ones (section 3.2 and Appendix A; Table 2 d)."""

    share: float = 0.0
    """Probability, in [0, 1), that a sample is a retargeted one, in both stages; 0 makes none. The
    paper gives no number; its presets take 0.5 here, which is ours."""
    synthesis: RetargetOptions = field(default_factory=RetargetOptions)
    """How trajectories are made; its mode none, linear or rrs is the paper's ablation."""
    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    """Which later subtasks a frame may be retargeted to."""

    def __post_init__(self) -> None:
        if not 0 <= self.share < 1:
            raise RainError(f"retarget.share: expected a share in [0, 1), got {self.share}")

    @property
    def on(self) -> bool:
        """Whether retargeted samples are made at all."""
        return self.share > 0 and self.synthesis.mode != "none"


@dataclass(frozen=True)
class TrainConfig:
    """Train RAIN on datasets: stage 1 everything but the progress head, stage 2 only that head."""

    data: tuple[Path, ...]
    """Dataset folders of equal conventions."""
    out: Path
    """Run folder. The same command continues the run that lies there."""
    model: RainConfig
    """The network; the preset's, with what you change."""
    stage1: StageConfig
    """Everything but the progress head."""
    stage2: StageConfig
    """Only the progress head."""
    preset: str = "rain-nano"
    """Which network and recipe to start from."""
    init: Path | None = None
    """Checkpoint folder to start from, with its normalisation."""
    draws: int = 4
    """Noise draws for each sample and step; the image part is computed once for all."""
    micro_batch: int | None = None
    """Most samples that a process takes through the network at once; what its part of a batch has
    beyond that comes after, and gradients add up. By default all at once."""
    weights: LossWeights = field(default_factory=LossWeights)
    """Loss weights."""
    samples: SampleOptions = field(default_factory=SampleOptions)
    """Which frames become samples."""
    sampler: SamplerOptions = field(default_factory=SamplerOptions)
    """How samples are drawn."""
    retarget: RetargetConfig = field(default_factory=RetargetConfig)
    """Retargeted samples."""
    augment: AugmentOptions = field(default_factory=AugmentOptions)
    """Augmentation."""
    weight_decay: float = 0.01
    """AdamW's, on matrices only."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    ema: float = 0.999
    """Decay of the averaged weights, which are the ones saved; 0 turns averaging off."""
    seed: int = 0
    """Decides initial weights, batches, noise and the held-out episodes."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 runs the network in mixed precision."""
    compile: bool = False
    """Compile the network with torch.compile: a minute more at the start, faster steps where the
    network is large; needs a C++ compiler."""
    explosion: float = 20.0
    """Stop where the loss of a step is so many times its running mean, after the first 50 steps of
    a stage; 0 never stops."""
    held_out: float = 0.05
    """Share of episodes kept for validation."""
    validation_samples: int = 256
    """Held-out samples that one validation looks at, at most."""
    validate_every: int = 500
    """Steps between validations."""
    log_every: int = 20
    """Steps between rows of log.csv."""
    checkpoint_every: int = 500
    """Steps between saved states and checkpoints."""
    keep: int = 2
    """Saved states to keep; a damaged one is passed over for the one before it."""
    tensorboard: bool = True
    """Write the curves for TensorBoard too, under OUT/tensorboard."""
    wandb: str | None = None
    """Send the curves to this project at Weights & Biases; needs the extra wandb."""
    stop_after_minutes: float | None = None
    """Save and stop after so many minutes; the same command continues."""
    threads: int | None = None
    """Threads of torch in each process; by default torch's own choice."""
    cache: Path | None = None
    """Folder for unpacked images and features; by default $RAIN_CACHE or ~/.cache/rain."""

    def __post_init__(self) -> None:
        for name in ("draws", "validate_every", "log_every", "checkpoint_every", "keep"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.micro_batch is not None and self.micro_batch < self.sampler.group:
            raise RainError(
                f"micro_batch: expected at least one group of {self.sampler.group} samples "
                f"(--sampler.group), got {self.micro_batch}"
            )
        if self.explosion and self.explosion <= 1:
            raise RainError(f"explosion: expected 0 or more than 1, got {self.explosion}")
        if not 0 <= self.ema < 1:
            raise RainError(f"ema: expected a decay in [0, 1), got {self.ema}")
        if not 0 <= self.held_out < 1:
            raise RainError(f"held_out: expected a share in [0, 1), got {self.held_out}")

    def stage(self, number: int) -> StageConfig:
        """Return stage 1 or 2."""
        return self.stage1 if number == 1 else self.stage2

    def identity(self) -> dict[str, Any]:
        """Return what decides the run's result, as JSON values: all but where, how often, how long.

        Where the data lies does not count; what it holds is compared by its fingerprint.
        """
        return {k: v for k, v in self.to_dict().items() if k not in _INCIDENTAL}

    def to_dict(self) -> dict[str, Any]:
        """Return every setting as JSON values."""
        values = {**asdict(self), "model": self.model.to_dict()}
        return json.loads(json.dumps(values, default=str))


_INCIDENTAL = (
    "data",
    "out",
    # Sums in another order round otherwise, as they do on another number of processes.
    "micro_batch",
    "compile",
    "explosion",
    "checkpoint_every",
    "keep",
    "tensorboard",
    "wandb",
    "stop_after_minutes",
    "threads",
    "cache",
    "validate_every",
    "validation_samples",
)


def differences(mine: Mapping[str, Any], theirs: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Name the settings that differ, each with both values."""
    found = []
    for name in sorted({*mine, *theirs}):
        a, b = mine.get(name), theirs.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            found += differences(a, b, f"{prefix}{name}.")
        elif a != b:
            found.append(f"{prefix}{name} is {a} here and {b} there")
    return found
