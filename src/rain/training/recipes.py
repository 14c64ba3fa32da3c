"""Training defaults of each preset, in one place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rain.demos.augment import AugmentOptions
from rain.demos.region_noise import TRACKER
from rain.demos.sampler import SamplerOptions
from rain.model.presets import preset as network
from rain.training.config import RetargetConfig, StageConfig, TrainConfig
from rain.types import RainError


def recipe(preset: str) -> TrainConfig:
    """Return the defaults of a preset, still without data; RainError where it has none."""
    if preset not in RECIPES:
        raise RainError(f"no recipe for preset {preset!r}; choose one of {', '.join(RECIPES)}")
    return RECIPES[preset](preset)


def _paper(preset: str) -> TrainConfig:
    """Appendix A: batch 1024 × 100 k, AdamW 1e-4, 2 000 warm-up steps, cosine, clip 1.0."""
    return TrainConfig(
        data=(),
        out=Path("runs") / preset,
        preset=preset,
        model=network(preset),
        stage1=StageConfig(steps=100_000, batch=1024, lr=1e-4, warmup=2_000),
        # The paper does not say how long the head is trained; it is small and learns fast.
        stage2=StageConfig(steps=10_000, batch=1024, lr=1e-4, warmup=500),
        # Of activations for more there is no room on smaller accelerators.
        micro_batch=64,
        draws=1,
        # Images stay as they are, so that the frozen backbone's features are computed only once.
        augment=AugmentOptions(region=TRACKER),
        # RRS as in the paper, which does not say how many of its samples are retargeted.
        retarget=RetargetConfig(share=0.5),
        ema=0.9999,
        precision="bf16",
        checkpoint_every=2_000,
        validate_every=2_000,
        validation_samples=2_048,
        log_every=50,
    )


def _nano(preset: str) -> TrainConfig:
    """About an hour on two cores."""
    return TrainConfig(
        data=(),
        out=Path("runs") / preset,
        preset=preset,
        model=network(preset),
        stage1=StageConfig(steps=6_000, batch=128, lr=8e-4, warmup=200),
        stage2=StageConfig(steps=1_000, batch=128, lr=1e-3, warmup=50),
        draws=2,
        # Groups of two: the consistency loss needs no more, and a small batch keeps its variety.
        sampler=SamplerOptions(group=2),
        augment=AugmentOptions(colour=0.3, region=TRACKER),
        # About twenty whole subtasks for the transition's delay; some seconds a validation.
        validation_samples=512,
        # Twice as fast as fp32 where the processor has bf16 matrix products.
        precision="bf16",
    )


RECIPES: dict[str, Callable[[str], TrainConfig]] = {
    "rain-l": _paper,
    "rain-s": _paper,
    "rain-nano": _nano,
}
