"""Pixels for training: images and label maps unpacked once, gathered frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.demos.cache import Advance, Mapped, fill
from rain.demos.dataset import Dataset

KINDS = ("pixels/images", "pixels/labels")


class PixelSource(Protocol):
    """Where batches take pixels from."""

    def images(self, episode: NDArray, frame: NDArray) -> NDArray[np.uint8]:
        """Gather uint8 (B, V, S, S, 3)."""

    def regions(self, episode: NDArray, frame: NDArray, target: NDArray) -> NDArray[np.bool_]:
        """Gather bool (B, V, S, S)."""


class PackedPixels:
    """The memory-mapped images and label maps of a packed dataset."""

    def __init__(self, dataset: Dataset, cache: Path | None = None) -> None:
        self._images, self._labels = (Mapped(dataset, kind, cache) for kind in KINDS)
        # Episode -> bool (K, 256): which labels are each of its targets.
        self._lookup = [
            np.stack([entry.table.lookup(target) for target in entry.targets])
            for entry in dataset.entries
        ]

    @classmethod
    def open(cls, dataset: Dataset, cache: Path | None = None) -> PackedPixels:
        """Map a dataset that ``pack`` has packed."""
        return cls(dataset, cache)

    def images(self, episode: NDArray, frame: NDArray) -> NDArray[np.uint8]:
        """Gather uint8 (B, V, S, S, 3)."""
        return self._images.gather(episode, frame)

    def labels(self, episode: int) -> NDArray[np.uint8]:
        """All label maps of an episode, uint8 (T, V, S, S), mapped and not yet read."""
        return self._labels.arrays[episode]

    def lookup(self, episode: int) -> NDArray[np.bool_]:
        """Which labels are each of an episode's targets: bool (K, 256)."""
        return self._lookup[episode]

    def regions(self, episode: NDArray, frame: NDArray, target: NDArray) -> NDArray[np.bool_]:
        """Gather bool (B, V, S, S); ``target`` numbers the targets of each episode."""
        labels = self._labels.gather(episode, frame)
        out = np.empty(labels.shape, dtype=bool)
        for i, (e, k) in enumerate(zip(episode.tolist(), target.tolist(), strict=True)):
            np.take(self._lookup[e][k], labels[i], out=out[i])
        return out


def pack(
    dataset: Dataset,
    cache: Path | None = None,
    share: tuple[int, int] = (0, 1),
    advance: Advance | None = None,
    workers: int = 2,
) -> int:
    """Unpack what is not in the cache yet; see ``rain.demos.cache.fill``."""

    def make(index: int) -> tuple[NDArray, NDArray]:
        episode = dataset.episode(index)
        return episode.images, episode.labels

    return fill(dataset, KINDS, make, cache, share, advance, workers)
