"""Datasets of demonstrations: LeRobot v3 folders, read as one sequence and written safely.

An unreadable, truncated or missing file is an error that names it: a dataset never becomes
silently shorter.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

from rain.demos.episode import Episode, Motion
from rain.demos.lerobot.commit import commit, create, open_store
from rain.demos.lerobot.reader import read_info
from rain.demos.lerobot.stage import stage, staged_folders
from rain.demos.store import DEFAULT_ALPHA, Entry, EpisodeStore, Header
from rain.types import Conventions, RainError

__all__ = ["Dataset", "DatasetWriter", "Entry", "Episode", "EpisodeStore", "Header", "Motion"]

log = logging.getLogger(__name__)


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
            raise RainError(
                f"{_where(first)}: the dataset holds no episode; run rain demos process"
            )

    @classmethod
    def open(cls, folders: str | Path | Sequence[str | Path]) -> Dataset:
        """Open one folder or several of equal conventions."""
        paths = [folders] if isinstance(folders, str | Path) else list(folders)
        return cls([open_store(Path(path)) for path in paths])

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
        return tuple(sorted({str(entry.details.get("suite", "")) for entry in self.entries}))

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
        return store.entries[i].key

    def __iter__(self) -> Iterator[Episode]:
        return (self.episode(i) for i in range(len(self)))

    def fingerprint(self) -> str:
        """Identify the content of all episodes, in order."""
        keys = "\n".join(self.key(i) for i in range(len(self)))
        return hashlib.sha256(keys.encode()).hexdigest()[:16]


class DatasetWriter:
    """Adds episodes to a dataset folder; each is complete or absent.

    ``append`` sets a finished episode aside, ``commit`` packs all that wait into the dataset.
    Several processes may append to one folder and be killed at any moment; what they finished is
    packed by the next commit. As a context manager it commits at the end.
    """

    def __init__(
        self,
        folder: str | Path,
        conventions: Conventions,
        track: str,
        progress_alpha: float = DEFAULT_ALPHA,
        images: str = "png",
    ) -> None:
        """Begin a dataset or continue one of the same header, packing what waits there."""
        self.folder = Path(folder)
        self.header = Header(conventions, track, progress_alpha, images)
        create(self.folder, self.header)
        packed = self.commit()
        if packed:
            log.warning("%s: packed %d episodes of an interrupted run", self.folder, packed)

    def __len__(self) -> int:
        packed = read_info(self.folder)["total_episodes"]
        return int(packed) + len(staged_folders(self.folder))

    def append(self, episode: Episode, number: int | None = None) -> Path:
        """Set an episode aside until the next commit; returns where it waits.

        number: its place among those of one commit, by default after all that are there.
        """
        conventions = self.header.conventions
        expected = (len(conventions.views), conventions.image_size)
        if episode.images.shape[1:3] != expected:
            raise RainError(
                f"images: expected {expected[0]} views of {expected[1]} pixels, "
                f"got {episode.images.shape}"
            )
        return stage(self.folder, self.header, episode, len(self) if number is None else number)

    def commit(self, at_least: int = 1) -> int:
        """Pack the episodes that wait, if they are so many; returns how many were packed."""
        if len(staged_folders(self.folder)) < at_least:
            return 0
        return commit(self.folder)

    def __enter__(self) -> DatasetWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.commit()

    def entries(self) -> tuple[Entry, ...]:
        """The index lines of the episodes packed so far."""
        return open_store(self.folder).entries


def _where(store: EpisodeStore) -> str:
    return str(getattr(store, "folder", store))
