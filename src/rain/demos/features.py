"""Features of a frozen backbone, computed once for each frame and memory-mapped as float16."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.demos.packed import Advance, PackedPixels, default_cache, map_array, save_array

Extract = Callable[[NDArray[np.uint8]], NDArray]
"""uint8 images (B, V, S, S, 3) -> float features (B, V, T, d) of a frozen backbone."""


class FeatureCache:
    """The memory-mapped features of a dataset: one float16 (frames, V, T, d) file an episode."""

    def __init__(self, features: Sequence[NDArray[np.float16]]) -> None:
        self._features = list(features)

    @classmethod
    def open(cls, dataset: Dataset, backbone: str, cache: Path | None = None) -> FeatureCache:
        """Map features that ``extract_features`` has written."""
        return cls([map_array(_path(dataset, i, backbone, cache)) for i in range(len(dataset))])

    def features(self, episode: NDArray, frame: NDArray) -> NDArray[np.float16]:
        """Gather float16 (B, V, T, d)."""
        out = np.empty((len(episode), *self._features[0].shape[1:]), np.float16)
        for i, (e, f) in enumerate(zip(episode.tolist(), frame.tolist(), strict=True)):
            out[i] = self._features[e][f]
        return out


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
    """Compute the features that are not in the cache yet; returns the number of episodes done.

    backbone: names the backbone and its weights; files of another name are never read.
    share: (rank, world): this process does every world-th episode from rank on.
    """
    mine = range(share[0], len(dataset), share[1])
    written = 0
    for done, index in enumerate(mine):
        path = _path(dataset, index, backbone, cache)
        if not path.exists():
            frames = np.arange(dataset.entries[index].frames)
            parts = [
                extract(pixels.images(np.full(len(part), index), part)).astype(np.float16)
                for part in np.split(frames, range(batch, len(frames), batch))
            ]
            save_array(path, np.concatenate(parts))
            written += 1
        if advance is not None:
            advance(done + 1, len(mine))
    return written


def _path(dataset: Dataset, index: int, backbone: str, cache: Path | None) -> Path:
    folder = default_cache() if cache is None else cache
    return folder / "features" / backbone / f"{dataset.key(index)}.npy"
