"""Which samples a training step sees, and the batch they make.

Everything here is a function of the seed and the step alone: a run that is killed and resumed, on
any number of processes, sees exactly the batches of one that was not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.demos.features import FeatureCache
from rain.demos.packed import PixelSource
from rain.demos.samples import Samples
from rain.types import ACTION_TYPES, Array, RainError


@dataclass(frozen=True)
class SamplerOptions:
    """How samples are drawn.

    group: K of eq. 4, frames of one subtask that stand side by side in a batch.
    balance: 0 draws action types as often as they occur, 1 all equally often; in between, type k
        with the n_k-th part of all weight has the share n_k ** (1 - balance), normalised.
    completed_weight: weight of completed frames while actions are learned; they teach to rest.
    positive_share: share of completed frames, among recorded ones, while the progress head is
        learned. Retargeted ones are far from completion and easily told from it: to make up for
        them by more completed frames would shift the answer where it is in doubt.
    """

    group: int = 4
    balance: float = 0.5
    completed_weight: float = 0.25
    positive_share: float = 0.35


class Sampler:
    """Draws global batches of groups by step, and parts of them for processes and micro-batches.

    samples: the training samples, subtasks contiguous. weights: float (n,), relative frequency of
    each sample; 0 leaves it out. batch: global batch size, divisible by options.group.
    retargeted: bool (n,), which samples are retargeted ones; together they have ``retarget_share``
    in [0, 1) of all draws, whatever their number. Action types are balanced in both parts by
    themselves, so that the recorded ones stand to one another as they do without the others.
    """

    def __init__(
        self,
        samples: Samples,
        weights: NDArray[np.float64],
        batch: int,
        options: SamplerOptions,
        seed: int,
        retargeted: NDArray[np.bool_] | None = None,
        retarget_share: float = 0.0,
    ) -> None:
        check_batch(batch, options.group, 1)
        self.batch, self.group, self.seed = batch, options.group, seed
        weights, kinds = weights.astype(np.float64), samples.action_type
        if retargeted is not None and retargeted.any():
            weights = _mixed(kinds, weights, options.balance, retargeted, retarget_share)
        else:
            weights = balanced(kinds, weights, options.balance)
        if not weights.sum() > 0:
            raise RainError("sampler: every sample has weight zero; nothing could be learned")
        starts = np.flatnonzero(np.r_[True, np.diff(samples.span) != 0])
        self._ends = np.cumsum(weights)
        self._starts = np.r_[0.0, self._ends[:-1]][starts]
        self._group_weight = np.add.reduceat(weights, starts)
        self._cumulative = np.cumsum(self._group_weight)

    def indices(self, step: int, part: tuple[int, int] = (0, 1)) -> NDArray[np.int64]:
        """Sample numbers of one of n equal parts (number, n) of a step: int64 (batch / n,).

        Groups of K stand side by side in time order, the last nearest to completion.
        """
        rng = np.random.default_rng([self.seed, step])
        groups = self.batch // self.group
        u = rng.random(groups) * self._cumulative[-1]
        chosen = np.minimum(np.searchsorted(self._cumulative, u, "right"), len(self._starts) - 1)
        # One draw in each of K strata of the subtask: spread over it and already in time order.
        strata = (np.arange(self.group) + rng.random((groups, self.group))) / self.group
        at = self._starts[chosen, None] + strata * self._group_weight[chosen, None]
        drawn = np.searchsorted(self._ends, at, "right").reshape(part[1], -1)[part[0]]
        return np.minimum(drawn, len(self._ends) - 1)


def check_batch(batch: int, group: int, world: int) -> None:
    """Raise RainError where a global batch cannot be cut into groups for all processes."""
    if batch <= 0 or batch % (world * group):
        raise RainError(
            f"batch {batch}: choose a multiple of {world * group} "
            f"({world} processes, groups of {group} frames)"
        )


def imitation_weights(samples: Samples, options: SamplerOptions) -> NDArray[np.float64]:
    """Weights for learning plans and actions (stage 1)."""
    kept = samples.imitate.astype(np.float64)
    return kept * np.where(samples.completed, options.completed_weight, 1.0)


def progress_weights(samples: Samples, options: SamplerOptions) -> NDArray[np.float64]:
    """Weights for learning progress (stage 2): completed frames have their share by type."""
    weights = np.ones(len(samples))
    for kind in np.unique(samples.action_type):
        of_kind = samples.action_type == kind
        positive, negative = of_kind & samples.completed, of_kind & ~samples.completed
        if positive.any() and negative.any():
            odds = options.positive_share / (1 - options.positive_share)
            weights[positive] = odds * negative.sum() / positive.sum()
    return weights


def balanced(
    action_type: NDArray[np.int64], weights: NDArray[np.float64], balance: float
) -> NDArray[np.float64]:
    """Change weights (n,) so that action types (n,) are balanced as ``SamplerOptions`` says."""
    total = np.bincount(action_type, weights, minlength=len(ACTION_TYPES))
    factor = np.zeros_like(total)
    np.power(total, -balance, out=factor, where=total > 0)
    return weights * factor[action_type]


def _mixed(
    action_type: NDArray[np.int64], weights: NDArray[np.float64], balance: float,
    retargeted: NDArray[np.bool_], share: float,
) -> NDArray[np.float64]:  # fmt: skip
    """Balance recorded and retargeted samples apart; the latter get ``share`` of the weight."""
    result = np.zeros_like(weights)
    for part, wanted in ((~retargeted, 1 - share), (retargeted, share)):
        shares = balanced(action_type[part], weights[part], balance)
        if shares.sum() > 0:
            result[part] = wanted * shares / shares.sum()
    return result


@dataclass(frozen=True)
class Batch:
    """B samples as arrays in physical units, groups of ``group`` frames side by side.

    index: int64 (B,), numbers among the samples. images: uint8 (B, V, S, S, 3), or None where
    features float16 (B, V, T, d) take their place. regions: float32 (B, V, S, S) in [0, 1].
    state (B, 7), action_type int64 (B,), actions (B, 16, 7), plan (B, 8, 3) m, progress (B, 3).
    """

    index: NDArray[np.int64]
    images: NDArray[np.uint8] | None
    features: NDArray[np.float16] | None
    regions: Array
    state: Array
    action_type: NDArray[np.int64]
    actions: Array
    plan: Array
    progress: Array
    group: int


def gather(
    samples: Samples,
    index: NDArray[np.int64],
    pixels: PixelSource,
    features: FeatureCache | None = None,
    group: int = 1,
) -> Batch:
    """Collect the samples ``index`` into a batch; images only where there are no features."""
    episode, frame = samples.episode[index], samples.frame[index]
    regions = pixels.regions(episode, frame, samples.target[index])
    return Batch(
        index=index,
        images=pixels.images(episode, frame) if features is None else None,
        features=None if features is None else features.features(episode, frame),
        regions=regions.astype(np.float32),
        state=samples.state[index],
        action_type=samples.action_type[index],
        actions=samples.actions[index],
        plan=samples.plan[index],
        progress=samples.progress[index],
        group=group,
    )
