"""Pixels for training: episodes unpacked once into memory-mapped files, gathered frame by frame.

Each episode becomes two plain ``.npy`` files named by its content, so that a grown dataset only
adds files, an interrupted run goes on where it was, and processes share the pages in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.types import RainError

Advance = Callable[[int, int], None]


def default_cache() -> Path:
    """Folder for caches: ``$RAIN_CACHE``, else ``rain`` in the user's cache folder."""
    if "RAIN_CACHE" in os.environ:
        return Path(os.environ["RAIN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rain"


def save_array(path: Path, array: NDArray) -> None:
    """Write an ``.npy`` file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def map_array(path: Path) -> NDArray:
    """Memory-map an ``.npy`` file read-only; RainError names a file that is none."""
    try:
        # A plain view: indexing numpy.memmap itself costs several times as much.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise RainError(f"{path}: unreadable cache file ({error}); delete it") from error


class PixelSource(Protocol):
    """Where batches take pixels from."""

    def images(self, episode: NDArray, frame: NDArray) -> NDArray[np.uint8]:
        """Gather uint8 (B, V, S, S, 3)."""

    def regions(self, episode: NDArray, frame: NDArray, target: NDArray) -> NDArray[np.bool_]:
        """Gather bool (B, V, S, S)."""


class PackedPixels:
    """The memory-mapped images and regions of a packed dataset."""

    def __init__(
        self, images: Sequence[NDArray[np.uint8]], regions: Sequence[NDArray[np.uint8]], size: int
    ) -> None:
        self._images, self._regions, self.size = list(images), list(regions), size

    @classmethod
    def open(cls, dataset: Dataset, cache: Path | None = None) -> PackedPixels:
        """Map a dataset that ``pack`` has packed."""
        paths = [_paths(dataset, i, cache) for i in range(len(dataset))]
        return cls(
            [map_array(image) for image, _ in paths],
            [map_array(region) for _, region in paths],
            dataset.conventions.image_size,
        )

    def images(self, episode: NDArray, frame: NDArray) -> NDArray[np.uint8]:
        """Gather uint8 (B, V, S, S, 3)."""
        out = np.empty((len(episode), *self._images[0].shape[1:]), np.uint8)
        for i, (e, f) in enumerate(zip(episode.tolist(), frame.tolist(), strict=True)):
            out[i] = self._images[e][f]
        return out

    def regions(self, episode: NDArray, frame: NDArray, target: NDArray) -> NDArray[np.bool_]:
        """Gather bool (B, V, S, S); only the batch's bits are unpacked."""
        out = np.empty((len(episode), *self._regions[0].shape[2:]), np.uint8)
        rows = zip(episode.tolist(), frame.tolist(), target.tolist(), strict=True)
        for i, (e, f, k) in enumerate(rows):
            out[i] = self._regions[e][f, k]
        return np.unpackbits(out, axis=-1, count=self.size).view(np.bool_)


def pack(
    dataset: Dataset,
    cache: Path | None = None,
    share: tuple[int, int] = (0, 1),
    advance: Advance | None = None,
    workers: int = 2,
) -> int:
    """Unpack what is not in the cache yet; returns the number of episodes written.

    share: (rank, world): this process does every world-th episode from rank on. advance: called
    with (done, total) of this share.
    """
    mine = range(share[0], len(dataset), share[1])
    written = 0
    with ThreadPoolExecutor(workers) as pool:
        for done, fresh in enumerate(pool.map(lambda i: _pack_one(dataset, i, cache), mine)):
            written += fresh
            if advance is not None:
                advance(done + 1, len(mine))
    return written


def _pack_one(dataset: Dataset, index: int, cache: Path | None) -> bool:
    images, regions = _paths(dataset, index, cache)
    if images.exists() and regions.exists():
        return False
    episode = dataset.episode(index)
    save_array(images, episode.images)
    save_array(regions, episode.regions)
    return True


def _paths(dataset: Dataset, index: int, cache: Path | None) -> tuple[Path, Path]:
    folder = (default_cache() if cache is None else cache) / "pixels"
    key = dataset.key(index)
    return folder / f"{key}.images.npy", folder / f"{key}.regions.npy"
