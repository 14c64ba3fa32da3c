"""Features of a frozen backbone, computed once for each frame and memory-mapped as float16."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.demos.cache import Advance, Mapped, fill
from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels

Extract = Callable[[NDArray[np.uint8]], NDArray]
"""uint8 images (B, V, S, S, 3) -> float features (B, V, T, d) of a frozen backbone."""


class FeatureCache:
    """The memory-mapped features of a dataset: one float16 (frames, V, T, d) file an episode."""

    def __init__(self, features: Mapped) -> None:
        self._features = features

    @classmethod
    def open(cls, dataset: Dataset, backbone: str, cache: Path | None = None) -> FeatureCache:
        """Map features that ``extract_features`` has written."""
        return cls(Mapped(dataset, _kind(backbone), cache))

    def features(self, episode: NDArray, frame: NDArray) -> NDArray[np.float16]:
        """Gather float16 (B, V, T, d)."""
        return self._features.gather(episode, frame)


def extract_features(
    dataset: Dataset,
    pixels: PackedPixels,
    extract: Extract,
    backbone: str,
    cache: Path | None = None,
    share: tuple[int, int] = (0, 1),
    batch: int = 64,
    advance: Advance | None = None,
) -> int:
    """Compute the features that are not in the cache yet; see ``rain.demos.cache.fill``.

    backbone: names the backbone and its weights; files of another name are never read.
    """

    def make(index: int) -> tuple[NDArray]:
        frames = np.arange(dataset.entries[index].frames)
        parts = [
            extract(pixels.images(np.full(len(part), index), part)).astype(np.float16)
            for part in np.split(frames, range(batch, len(frames), batch))
        ]
        return (np.concatenate(parts),)

    return fill(dataset, (_kind(backbone),), make, cache, share, advance)


def _kind(backbone: str) -> str:
    return f"features/{backbone}"
