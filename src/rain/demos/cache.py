"""What training reads again and again, computed once and memory-mapped.

One plain ``.npy`` file an episode, named by the episode's content: a grown dataset only adds files,
an interrupted run goes on where it was, and processes share the pages in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.types import RainError

Advance = Callable[[int, int], None]
"""Called with (done, total)."""


def default_cache() -> Path:
    """Folder for caches: ``$RAIN_CACHE``, else ``rain`` in the user's cache folder."""
    if "RAIN_CACHE" in os.environ:
        return Path(os.environ["RAIN_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "rain"


def fill(
    dataset: Dataset,
    kinds: Sequence[str],
    make: Callable[[int], Sequence[NDArray]],
    cache: Path | None = None,
    share: tuple[int, int] = (0, 1),
    advance: Advance | None = None,
    workers: int = 1,
) -> int:
    """Compute what the cache lacks; returns the number of episodes computed.

    kinds: folders in the cache, one for each array (frames, …) that ``make(episode)`` returns.
    share: (rank, world): this process does every world-th episode from rank on. advance: called
    with (done, total) of this share. workers: threads that call ``make``.
    """
    mine = range(share[0], len(dataset), share[1])

    def one(index: int) -> bool:
        paths = [_path(dataset, index, kind, cache) for kind in kinds]
        if all(path.exists() for path in paths):
            return False
        for path, array in zip(paths, make(index), strict=True):
            _save(path, array)
        return True

    written = 0
    with ThreadPoolExecutor(workers) as pool:
        for done, fresh in enumerate(pool.map(one, mine)):
            written += fresh
            if advance is not None:
                advance(done + 1, len(mine))
    return written


class Mapped:
    """The memory-mapped arrays of one kind, an episode each: (frames, …)."""

    def __init__(self, dataset: Dataset, kind: str, cache: Path | None = None) -> None:
        """Map what ``fill`` has computed; RainError names a file that is missing or damaged."""
        self.arrays = []
        for index, entry in enumerate(dataset.entries):
            path = _path(dataset, index, kind, cache)
            array = _map(path)
            if len(array) != entry.frames:
                raise RainError(f"{path}: {len(array)} of {entry.frames} frames; delete it")
            self.arrays.append(array)

    def gather(self, episode: NDArray, frame: NDArray) -> NDArray:
        """Collect the rows (B, …) of kept frames ``frame`` of ``episode``."""
        first = self.arrays[0]
        out = np.empty((len(episode), *first.shape[1:]), first.dtype)
        for i, (e, f) in enumerate(zip(episode.tolist(), frame.tolist(), strict=True)):
            out[i] = self.arrays[e][f]
        return out


def _path(dataset: Dataset, index: int, kind: str, cache: Path | None) -> Path:
    folder = default_cache() if cache is None else cache
    return folder / kind / f"{dataset.key(index)}.npy"


def _save(path: Path, array: NDArray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.save(file, array, allow_pickle=False)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _map(path: Path) -> NDArray:
    try:
        # A plain view: indexing numpy.memmap itself costs several times as much.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except (OSError, ValueError, EOFError) as error:
        raise RainError(f"{path}: unreadable cache file ({error}); delete it") from error
