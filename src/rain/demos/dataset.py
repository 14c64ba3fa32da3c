"""Datasets of demonstrations: a folder with ``meta.json`` and ``episodes/episode_000000.npz``.

An unreadable, truncated or missing episode is an error that names the file: a dataset never
becomes silently shorter.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rain.demos.episode import Episode, Motion, pack_regions, unpack_regions, write_episode
from rain.demos.store import (
    DEFAULT_ALPHA,
    Entry,
    EpisodeStore,
    Header,
    NpzStore,
    list_entries,
    read_meta,
)
from rain.types import Conventions, RainError

__all__ = [
    "Dataset",
    "DatasetWriter",
    "Entry",
    "Episode",
    "EpisodeStore",
    "Header",
    "Motion",
    "pack_regions",
    "unpack_regions",
]


class Dataset:
    """Several stores of equal conventions, seen as one sequence of episodes."""

    def __init__(self, stores: Sequence[EpisodeStore]) -> None:
        if not stores:
            raise RainError("data: name at least one dataset folder")
        self.stores = tuple(stores)
        first = self.stores[0]
        for other in self.stores[1:]:
            mine, theirs = _where(first), _where(other)
            first.header.conventions.check(other.header.conventions, mine, theirs)
            if other.header.progress_alpha != first.header.progress_alpha:
                raise RainError(
                    f"progress_alpha: {mine} has {first.header.progress_alpha}, "
                    f"{theirs} has {other.header.progress_alpha}"
                )
        self._index = [(store, i) for store in self.stores for i in range(len(store.entries))]
        if not self._index:
            raise RainError(f"{_where(first)}: the dataset holds no episode; run rain collect")

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Dataset:
        """Open one folder or several of equal conventions."""
        paths = [folders] if isinstance(folders, str | Path) else list(folders)
        return cls([NpzStore(Path(path)) for path in paths])

    @property
    def conventions(self) -> Conventions:
        """The conventions all episodes share."""
        return self.stores[0].header.conventions

    @property
    def progress_alpha(self) -> float:
        """alpha of eq. 5, 1/m."""
        return self.stores[0].header.progress_alpha

    @property
    def tracks(self) -> tuple[str, ...]:
        """The tracks the episodes come from, without repeats."""
        return tuple(sorted({store.header.track for store in self.stores}))

    @property
    def suites(self) -> tuple[str, ...]:
        """The suites the episodes come from, without repeats."""
        return tuple(sorted({store.header.suite for store in self.stores}))

    def __len__(self) -> int:
        return len(self._index)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The index lines of all episodes, in order."""
        return tuple(store.entries[i] for store, i in self._index)

    def name(self, index: int) -> str:
        """Name an episode to a user."""
        store, i = self._index[index]
        return store.name(i)

    def episode(self, index: int) -> Episode:
        """Read an episode with its pixels."""
        store, i = self._index[index]
        return store.episode(i)

    def motion(self, index: int) -> Motion:
        """Read an episode without its pixels."""
        store, i = self._index[index]
        return store.motion(i)

    def key(self, index: int) -> str:
        """Identify an episode's content."""
        store, i = self._index[index]
        return store.key(i)

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(i) for i in range(len(self)))

    def fingerprint(self) -> str:
        """Identify the content of all episodes, in order."""
        keys = "\n".join(self.key(i) for i in range(len(self)))
        return hashlib.sha256(keys.encode()).hexdigest()[:16]


class DatasetWriter:
    """Appends episodes; each is complete or absent, and meta.json follows.

    Resumable: opening a folder again continues it, and lists episodes a killed writer had finished
    but not yet listed. Several processes may write to one folder.
    """

    def __init__(
        self,
        folder: str | Path,
        conventions: Conventions,
        track: str,
        suite: str,
        progress_alpha: float = DEFAULT_ALPHA,
    ) -> None:
        self.folder = Path(folder)
        self.header = Header(conventions, track, suite, progress_alpha)
        (self.folder / "episodes").mkdir(parents=True, exist_ok=True)
        meta = self.folder / "meta.json"
        if meta.exists():
            found = Header.from_json(meta, read_meta(self.folder))
            conventions.check(found.conventions, "this run", str(self.folder))
            if found != self.header:
                raise RainError(
                    f"{self.folder}: holds track {found.track}, suite {found.suite}, "
                    f"alpha {found.progress_alpha}; choose another folder"
                )
        self._refresh()

    def path(self, index: int) -> Path:
        """Say where episode ``index`` lies."""
        return self.folder / "episodes" / f"episode_{index:06d}.npz"

    def __contains__(self, index: int) -> bool:
        return self.path(index).exists()

    def __len__(self) -> int:
        return len(list((self.folder / "episodes").glob("episode_*.npz")))

    def append(self, episode: Episode, index: int | None = None) -> Path:
        """Write an episode, by default under the next free number, and list it in meta.json.

        Processes that write at once choose their own ``index``, so that none is written twice.
        """
        conventions = self.header.conventions
        expected = (len(conventions.views), conventions.image_size)
        if episode.images.shape[1:3] != expected:
            raise RainError(
                f"images: expected {expected[0]} views of {expected[1]} pixels, "
                f"got {episode.images.shape}"
            )
        path = self.path(self.next_free() if index is None else index)
        write_episode(path, episode)
        self._refresh(written=path)
        return path

    def entries(self) -> tuple[Entry, ...]:
        """The index lines of the episodes written so far."""
        return list_entries(self.folder, read_meta(self.folder))

    def next_free(self) -> int:
        """The first number after all that are taken."""
        numbers = [
            int(path.stem.split("_")[1])
            for path in (self.folder / "episodes").glob("episode_*.npz")
        ]
        return max(numbers, default=-1) + 1

    def _refresh(self, written: Path | None = None) -> None:
        """Rewrite meta.json from what is there; under a lock, or two writers lose a line."""
        with _lock(self.folder / ".lock"):
            meta = read_meta(self.folder) if (self.folder / "meta.json").exists() else {}
            if written is not None:
                file = f"episodes/{written.name}"
                listed = [e for e in meta.get("episodes", []) if e["file"] != file]
                meta = {**meta, "episodes": listed}
            entries = list_entries(self.folder, meta)
            values = {**self.header.to_json(), "episodes": [e.to_json() for e in entries]}
            temporary = self.folder / f".meta.json.{os.getpid()}"
            temporary.write_text(json.dumps(values, indent=1))
            os.replace(temporary, self.folder / "meta.json")


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _where(store: EpisodeStore) -> str:
    return str(getattr(store, "folder", store))
