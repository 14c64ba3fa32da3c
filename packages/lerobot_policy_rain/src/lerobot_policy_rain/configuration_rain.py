"""What ``--policy.type=rain`` can be asked for, and how it is trained.

LeRobot finds the policy's class by this module's and class's names: ``configuration_`` becomes
``modeling_`` and ``processor_``, ``LeRobotRainConfig`` becomes ``LeRobotRainPolicy``.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from lerobot.configs.policies import PreTrainedConfig
from lerobot.configs.types import NormalizationMode
from lerobot.optim.optimizers import AdamWConfig
from lerobot.optim.schedulers import LRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from rain.bench.rollouts import RolloutConfig
from rain.demos.augment import AugmentOptions
from rain.demos.sampler import SamplerOptions
from rain.demos.samples import SampleOptions
from rain.model.config import RainConfig
from rain.training.config import LossWeights, StageConfig, TrainConfig
from rain.training.optim import learning_rate
from rain.training.recipes import recipe
from rain.types import HORIZON, RainError

STAGES = ("both", "1", "2")


@LRSchedulerConfig.register_subclass("rain")
@dataclass
class RainSchedulerConfig(LRSchedulerConfig):
    """RAIN's schedule: linear warm-up, then half a cosine down to zero at the last step."""

    num_warmup_steps: int = 0

    def build(self, optimizer: Optimizer, num_training_steps: int) -> LambdaLR:
        """Make the schedule; the optimiser holds the base rate."""
        stage = StageConfig(num_training_steps, batch=1, lr=1.0, warmup=self.num_warmup_steps)
        return LambdaLR(optimizer, lambda step: learning_rate(stage, step))


@PreTrainedConfig.register_subclass("rain")
@dataclass
class LeRobotRainConfig(PreTrainedConfig):
    """RAIN. What is None takes the preset's recipe, as ``rain train`` does.

    preset: network and recipe to start from. network: what to change in the preset's network, e.g.
        ``{"dit_layers": 2}``.
    init: RAIN checkpoint to start from, a folder that ``rain train`` wrote or a shipped name, with
        its network and normalisation. It needs no conversion.
    stage: "1" trains everything but the progress head, "2" only that head, "both" both at once,
        with nothing of the head's loss reaching the rest (as in stage 2, where it is frozen).
    pair_offset: kept frames from a frame to the later one of the same subtask beside it, for L_cons
        (eq. 4 with K = 2); 0 loads single frames, without L_cons.
    draws, weights, samples, sampler, augment: as in ``rain train``; of sampler, ``group`` has no
        effect here.
    lr, warmup, weight_decay, clip, ema: as in ``rain train``; averaged weights are saved.
    execute, threshold, consecutive, confirm_after: as in ``rain rollout``.
    seed: decides the sampler's noise while acting.
    checkpoint: a RAIN checkpoint's config.json, filled in when the policy is made: network,
        normalisation, conventions and notes. Leave it alone.
    """

    preset: str = "rain-nano"
    network: dict[str, Any] = field(default_factory=dict)
    init: str | None = None
    stage: str = "both"
    pair_offset: int = 4
    draws: int | None = None
    weights: LossWeights = field(default_factory=LossWeights)
    samples: SampleOptions = field(default_factory=SampleOptions)
    sampler: SamplerOptions = field(default_factory=SamplerOptions)
    augment: AugmentOptions | None = None
    lr: float | None = None
    warmup: int | None = None
    weight_decay: float | None = None
    clip: float | None = None
    ema: float | None = None
    execute: int = 8
    threshold: float = 0.7
    consecutive: int = 2
    confirm_after: int = 1
    seed: int = 0
    checkpoint: dict[str, Any] | None = None
    # The network's own Normaliser does it, from RAIN's statistics, inside the policy.
    normalization_mapping: dict[str, NormalizationMode] = field(
        default_factory=lambda: dict.fromkeys(
            ("VISUAL", "STATE", "ENV", "ACTION"), NormalizationMode.IDENTITY
        )
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stage not in STAGES:
            raise RainError(f"stage: expected one of {', '.join(STAGES)}, got {self.stage!r}")
        if self.pair_offset < 0:
            raise RainError(f"pair_offset: expected 0 or more frames, got {self.pair_offset}")
        if self.draws is not None and self.draws < 1:
            raise RainError(f"draws: expected at least 1, got {self.draws}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise RainError(f"ema: expected a decay in [0, 1), got {self.ema}")
        recipe(self.preset)
        self.rollout()

    def recipe(self) -> TrainConfig:
        """The preset's recipe, with the network's changes and what is not None here."""
        found = recipe(self.preset)
        model = RainConfig.from_dict({**found.model.to_dict(), **self.network})
        names = ("draws", "augment", "weight_decay", "clip", "ema")
        given = {n: getattr(self, n) for n in names if getattr(self, n) is not None}
        stage = found.stage(2 if self.stage == "2" else 1)
        stage = replace(
            stage,
            lr=stage.lr if self.lr is None else self.lr,
            warmup=stage.warmup if self.warmup is None else self.warmup,
        )
        return replace(
            found, model=model, weights=self.weights, stage1=stage, stage2=stage, **given
        )

    def rollout(self) -> RolloutConfig:
        """How predictions become actions."""
        return RolloutConfig(
            execute=self.execute,
            threshold=self.threshold,
            consecutive=self.consecutive,
            confirm_after=self.confirm_after,
        )

    @property
    def chunk_size(self) -> int:
        """Actions of one prediction."""
        return HORIZON

    @property
    def observation_delta_indices(self) -> list[int] | None:
        """Kept frames to load with each: the frame itself and its later partner."""
        return [0, self.pair_offset] if self.pair_offset else None

    @property
    def action_delta_indices(self) -> None:
        """None: chunks come from every control step (``rain/steps``), not from kept frames."""
        return None

    @property
    def reward_delta_indices(self) -> None:
        """None: there is no reward."""
        return None

    def get_optimizer_preset(self) -> AdamWConfig:
        """AdamW of Appendix A."""
        made = self.recipe()
        return AdamWConfig(
            lr=made.stage1.lr, weight_decay=made.weight_decay, grad_clip_norm=made.clip
        )

    def get_scheduler_preset(self) -> RainSchedulerConfig:
        """Warm-up and cosine of Appendix A."""
        return RainSchedulerConfig(num_warmup_steps=self.recipe().stage1.warmup)

    def validate_features(self) -> None:
        """Nothing: the policy compares conventions with the dataset when it is made."""
