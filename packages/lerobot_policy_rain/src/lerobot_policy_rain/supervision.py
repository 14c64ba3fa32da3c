"""What each row of a dataset should teach: RAIN's own samples, found by LeRobot's row number.

LeRobot's loader gives a row's pixels, label maps and state. Which labels are the target's, the
chunk of the next control steps, the plan and the progress are in the dataset's ``rain/`` folder,
which LeRobot does not read; the training samples are computed from it as ``rain train`` does.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.demos.sampler import (
    Batch,
    SamplerOptions,
    balanced,
    imitation_weights,
    progress_weights,
)
from rain.demos.samples import SampleOptions, Samples, dataset_samples
from rain.model.normalise import Normaliser
from rain.training.config import TrainConfig
from rain.training.data import check_conventions
from rain.types import RainError


@dataclass(frozen=True)
class Drawn:
    """Samples of a batch of rows, in groups side by side.

    row: int64 (n,), position in the batch. partner: bool (n,), whether it is the later frame that
    was loaded with the row. sample: int64 (n,), number among the samples.
    """

    row: NDArray[np.int64]
    partner: NDArray[np.bool_]
    sample: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


class Supervision:
    """The samples of a dataset folder, looked up by row."""

    def __init__(
        self, folder: Path, config: TrainConfig, samples: SampleOptions, sampler: SamplerOptions
    ) -> None:
        """Read everything but the pixels; ConventionError where the network does not fit."""
        self.dataset = Dataset.open(folder)
        check_conventions(config, self.dataset)
        self.samples = dataset_samples(self.dataset, samples)
        lengths = [len(self.dataset.motion(i).frames) for i in range(len(self.dataset))]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        rows = starts[self.samples.episode] + self.samples.frame
        self._order = np.argsort(rows, kind="stable")
        self._rows = rows[self._order]
        # (subtask, frame) -> sample; a subtask's frames never reach the longest episode's count.
        self._stride = max(lengths)
        keys = self.samples.span.astype(np.int64) * self._stride + self.samples.frame
        self._by_key = np.argsort(keys)
        self._keys = keys[self._by_key]
        kinds = self.samples.action_type
        self.weights = {
            stage: balanced(kinds, weigh(self.samples, sampler), sampler.balance)
            for stage, weigh in (("1", imitation_weights), ("2", progress_weights))
        }
        self._lookup = [
            np.stack([entry.table.lookup(target) for target in entry.targets])
            for entry in self.dataset.entries
        ]

    def normaliser(self) -> Normaliser:
        """Statistics of the samples that actions are learned from."""
        learned = self.samples.imitate & ~self.samples.completed
        part = self.samples.take(learned)
        meaning = self.dataset.conventions.state
        return Normaliser.from_samples(meaning, part.state, part.actions, part.plan)

    def scaled(self, normaliser: Normaliser) -> Samples:
        """The samples in the network's units."""
        return replace(
            self.samples,
            state=np.asarray(normaliser.state(self.samples.state), np.float32),
            actions=np.asarray(normaliser.actions(self.samples.actions), np.float32),
            plan=np.asarray(normaliser.plan(self.samples.plan), np.float32),
        )

    def draw(
        self, rows: NDArray[np.int64], stage: str, offset: int, rng: np.random.Generator
    ) -> Drawn:
        """Draw as many samples as there are rows, by their weights in ``stage``, from the rows.

        LeRobot draws rows evenly. Systematic resampling within the batch gives each sample the
        frequency that ``rain train`` gives it, as nearly as one batch can: a row of weight zero
        (standing still, a copied disturbance) is never used, a rare action type more than once.
        offset: above 0, each is followed by its subtask's sample so many frames later, or by itself
        where there is none. Empty where no row may be used.
        """
        low, high = (np.searchsorted(self._rows, rows, side) for side in ("left", "right"))
        position = np.repeat(np.arange(len(rows)), high - low)
        found = [self._order[a:b] for a, b in zip(low, high, strict=True)]
        sample = np.concatenate([np.zeros(0, np.int64), *found]).astype(np.int64)
        ends = np.cumsum(self.weights[stage][sample])
        if len(ends) == 0 or not ends[-1] > 0:
            none = np.zeros(0, np.int64)
            return Drawn(none, none.astype(bool), none)
        # Below the total, so that rounding never reaches past the last weight that is not zero.
        at = (np.arange(len(rows)) + 0.999 * rng.random()) / len(rows) * ends[-1]
        chosen = np.searchsorted(ends, at, "right")
        position, sample = position[chosen], sample[chosen]
        if offset == 0:
            return Drawn(position, np.zeros(len(sample), bool), sample)
        later = self._later(sample, offset, stage)
        has = later >= 0
        return Drawn(
            np.repeat(position, 2),
            np.stack([np.zeros_like(has), has], axis=1).ravel(),
            np.stack([sample, np.where(has, later, sample)], axis=1).ravel(),
        )

    def _later(self, sample: NDArray[np.int64], offset: int, stage: str) -> NDArray[np.int64]:
        """The same subtask's sample ``offset`` frames later, −1 where there is none to learn."""
        frame = self.samples.frame[sample].astype(np.int64) + offset
        key = self.samples.span[sample].astype(np.int64) * self._stride + frame
        at = np.minimum(np.searchsorted(self._keys, key), len(self._keys) - 1)
        later = self._by_key[at]
        inside = (self._keys[at] == key) & (frame < self._stride)
        return np.where(inside & (self.weights[stage][later] > 0), later, -1)

    def batch(
        self,
        scaled: Samples,
        drawn: Drawn,
        images: NDArray[np.uint8],
        labels: NDArray[np.uint8],
        group: int,
    ) -> Batch:
        """Make RAIN's batch of drawn samples and their pixels.

        images: uint8 (n, V, S, S, 3); labels: uint8 (n, V, S, S), label maps.
        """
        regions = np.empty(labels.shape, np.float32)
        for i, number in enumerate(drawn.sample):
            episode, target = scaled.episode[number], scaled.target[number]
            regions[i] = self._lookup[episode][target][labels[i]]
        part = scaled.take(drawn.sample)
        return Batch(
            index=drawn.sample,
            images=images,
            features=None,
            regions=regions,
            state=part.state,
            action_type=part.action_type,
            actions=part.actions,
            plan=part.plan,
            progress=part.progress,
            group=group,
        )


def label_maps(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Label maps in [0, 1], as LeRobot gives them, as uint8; RainError where they were changed."""
    scaled = values * 255
    whole = np.round(scaled)
    if np.abs(scaled - whole).max(initial=0) > 0.01:
        raise RainError(
            "label maps hold values between two labels: leave --dataset.image_transforms.enable "
            "off, it changes label maps too (--policy.augment.colour varies images alone)"
        )
    return whole.astype(np.uint8)
