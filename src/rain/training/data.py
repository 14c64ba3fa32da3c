"""Everything a run reads: samples in normalised units, pixels or cached features, the split."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rain.demos.augment import augment
from rain.demos.cache import Advance
from rain.demos.dataset import Dataset
from rain.demos.features import FeatureCache, extract_features
from rain.demos.packed import PackedPixels, pack
from rain.demos.retargeting import controller_of, retarget_samples
from rain.demos.sampler import (
    Batch,
    Sampler,
    gather,
    imitation_weights,
    progress_weights,
)
from rain.demos.samples import Samples, dataset_samples
from rain.model.net import RainNet
from rain.model.normalise import Normaliser
from rain.training.config import TrainConfig
from rain.types import ConventionError

Report = Callable[[str], Advance]
"""Names a piece of work and returns what to call with (done, total)."""


@dataclass(frozen=True)
class TrainingData:
    """samples: all, physical units. scaled: the same, normalised.

    train, held, retargeted: sample numbers, int64. ``train`` and ``held`` are recorded samples;
    ``retargeted`` were made of those in ``train``.
    """

    dataset: Dataset
    samples: Samples
    scaled: Samples
    train: NDArray[np.int64]
    held: NDArray[np.int64]
    retargeted: NDArray[np.int64]
    normaliser: Normaliser
    pixels: PackedPixels
    features: FeatureCache | None

    def batches(self, config: TrainConfig, stage: int) -> Callable[[int, tuple[int, int]], Batch]:
        """Return the function of (step, part) that makes one of n equal parts of a step's batch.

        part: (number, n); a batch is the same however it is cut.
        """
        weigh = imitation_weights if stage == 1 else progress_weights
        # Each part by itself: shares within the recorded samples are what they are without others.
        parts = [self.scaled.take(numbers) for numbers in (self.train, self.retargeted)]
        samples = self.scaled.take(self._drawn)
        # Stages draw from different streams; a seed sequence keeps them apart.
        seed = int(np.random.SeedSequence([config.seed, stage]).generate_state(1)[0])
        sampler = Sampler(
            samples,
            np.concatenate([weigh(part, config.sampler) for part in parts]),
            config.stage(stage).batch,
            config.sampler,
            seed,
            np.arange(len(samples)) >= len(self.train),
            config.retarget.share,
        )

        def make(step: int, part: tuple[int, int] = (0, 1)) -> Batch:
            index = sampler.indices(step, part)
            batch = gather(samples, index, self.pixels, self.features, sampler.group)
            return augment(batch, config.augment, seed, step, part)

        return make

    @property
    def _drawn(self) -> NDArray[np.int64]:
        """The samples that batches are drawn from, as batches number them."""
        return np.concatenate([self.train, self.retargeted])

    def held_batch(self, index: NDArray[np.int64]) -> Batch:
        """Collect held-out samples, unvaried."""
        return gather(self.scaled, index, self.pixels, self.features)

    def describe(self, index: NDArray[np.int64]) -> list[str]:
        """Name the frames of a training batch by its sample numbers, ``FILE frame N``."""
        numbers = self._drawn[index]
        return [
            f"{self.dataset.name(self.samples.episode[i])} frame {self.samples.frame[i]}"
            for i in numbers
        ]


def tensors(batch: Batch, device: torch.device) -> dict[str, Any]:
    """What the objectives take of a batch, by name, as tensors; None where the batch has none."""
    names = (
        "images",
        "features",
        "regions",
        "state",
        "action_type",
        "actions",
        "plan",
        "progress",
    )
    arrays = {name: getattr(batch, name) for name in names}
    return {
        name: None if array is None else torch.from_numpy(array).to(device, non_blocking=True)
        for name, array in arrays.items()
    }


def check_conventions(config: TrainConfig, dataset: Dataset) -> None:
    """Raise ConventionError where the dataset does not fit the network, naming both sides."""
    found, model = dataset.conventions, config.model
    wanted = replace(found, views=model.views, image_size=model.image_size)
    if wanted != found:
        mine = f"preset {config.preset}"
        try:
            wanted.check(found, mine, "the dataset")
        except ConventionError as error:
            raise ConventionError(
                f"{error}; make the dataset again, or set --model.views / --model.image-size"
            ) from None


def load_data(
    config: TrainConfig,
    dataset: Dataset,
    net: RainNet,
    normaliser: Normaliser | None,
    share: tuple[int, int],
    barrier: Callable[[], None],
    report: Report,
) -> TrainingData:
    """Prepare the data of a run; caches are filled by all processes together.

    normaliser: the one of the checkpoint to start from; else statistics are taken from the
    training samples.
    """
    if config.retarget.on:
        # Known now, and not after all images are unpacked.
        controller_of(dataset.conventions)
    samples = dataset_samples(dataset, config.samples, report("samples"))
    train, held = split(samples, len(dataset), config.held_out, config.seed)
    if normaliser is None:
        # Of recorded samples alone: retargeted chunks keep to the same limits and plans to the same
        # workspace, and runs of an ablation can be compared in the same units.
        learned = samples.take(train)
        learned = learned.take(learned.imitate & ~learned.completed)
        normaliser = Normaliser.from_samples(
            dataset.conventions.state, learned.state, learned.actions, learned.plan
        )
    pack(dataset, config.cache, share, report("unpacking images"))
    barrier()
    pixels = PackedPixels.open(dataset, config.cache)
    features = None
    # Features of the recorded images are no use where every step varies the images: the backbone
    # then gets decoded ones, as one that is trained does.
    if net.frozen_features and not config.augment.varies_images:
        features = _features(config, dataset, pixels, net, share, barrier, report)
    samples = _with_retargeted(config, dataset, samples, train, pixels, report)
    retargeted = np.arange(len(train) + len(held), len(samples))
    scaled = replace(
        samples,
        state=np.asarray(normaliser.state(samples.state), np.float32),
        actions=np.asarray(normaliser.actions(samples.actions), np.float32),
        plan=np.asarray(normaliser.plan(samples.plan), np.float32),
    )
    return TrainingData(
        dataset, samples, scaled, train, held, retargeted, normaliser, pixels, features
    )


def _with_retargeted(
    config: TrainConfig,
    dataset: Dataset,
    samples: Samples,
    train: NDArray[np.int64],
    pixels: PackedPixels,
    report: Report,
) -> Samples:
    """Append the retargeted samples; those of held-out episodes stay out of it."""
    if not config.retarget.on:
        return samples
    options = config.retarget
    made = retarget_samples(
        dataset,
        samples.take(train),
        pixels,
        options.synthesis,
        options.candidates,
        report("retargeting"),
    ).samples
    return Samples.concatenate([samples, replace(made, span=made.span + samples.span.max() + 1)])


def split(
    samples: Samples, episodes: int, held_out: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split sample numbers by episode into training and held-out; one at least is held out."""
    count = 0
    if held_out > 0 and episodes > 1:
        count = max(1, round(held_out * episodes))
    order = np.random.default_rng([seed, 77]).permutation(episodes)
    held = np.isin(samples.episode, order[:count])
    return np.flatnonzero(~held), np.flatnonzero(held)


def _features(
    config: TrainConfig,
    dataset: Dataset,
    pixels: PackedPixels,
    net: RainNet,
    share: tuple[int, int],
    barrier: Callable[[], None],
    report: Report,
) -> FeatureCache:
    device = next(net.parameters()).device
    crc = 0
    for value in net.vision.state_dict().values():
        crc = zlib.crc32(value.detach().cpu().contiguous().view(-1).numpy().tobytes(), crc)
    name = f"{config.model.backbone}-{config.model.image_size}-{crc:08x}"

    @torch.inference_mode()
    def extract(images: NDArray[np.uint8]) -> NDArray:
        tensor = torch.from_numpy(images).to(device)
        # A frozen backbone does not see the region.
        empty = torch.zeros(tensor.shape[:4], device=device)
        return net.features(tensor, empty).float().cpu().numpy()

    advance = report(f"{config.model.backbone} features")
    extract_features(dataset, pixels, extract, name, config.cache, share, advance=advance)
    barrier()
    return FeatureCache.open(dataset, name, config.cache)
