"""Datasets of demonstrations: a folder with ``meta.json`` and ``episodes/episode_000000.npz``.

Readers see ``EpisodeStore``; another storage (LeRobot v3) only has to fill that protocol.
An unreadable, truncated or missing episode is an error that names the file: a dataset never
becomes silently shorter.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rain.demos.episode import (
    Episode,
    Motion,
    content_key,
    pack_regions,
    read_details,
    read_episode,
    read_motion,
    unpack_regions,
    write_episode,
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

FORMAT = 1
DEFAULT_ALPHA = 5.0
"""alpha of eq. 5 in 1/m: S_dist is 0.95 at 1 cm, 0.6 at 10 cm, 0.2 at 30 cm."""


@dataclass(frozen=True)
class Header:
    """What a whole dataset declares: conventions, track, suite and alpha (1/m) of eq. 5."""

    conventions: Conventions
    track: str
    suite: str
    progress_alpha: float = DEFAULT_ALPHA

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, path: Path, values: Mapping[str, Any]) -> Header:
        """Read the header of ``meta.json``; RainError names the file."""
        if values.get("format") != FORMAT:
            raise RainError(
                f"{path}: expected dataset format {FORMAT}, got {values.get('format')!r}"
            )
        try:
            return cls(
                conventions=Conventions(**values["conventions"]),
                track=str(values["track"]),
                suite=str(values["suite"]),
                progress_alpha=float(values["progress_alpha"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RainError(f"{path}: not a dataset's meta.json ({error!r})") from error


@dataclass(frozen=True)
class Entry:
    """One line of a dataset's index. ``details`` holds instruction, source, seed and the like."""

    file: str
    frames: int
    steps: int
    bytes: int | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return one flat JSON object, details beside the numbers."""
        own = {"file": self.file, "frames": self.frames, "steps": self.steps, "bytes": self.bytes}
        return {**self.details, **own}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Entry:
        """Undo ``to_json``."""
        rest = dict(values)
        return cls(
            file=str(rest.pop("file")),
            frames=int(rest.pop("frames")),
            steps=int(rest.pop("steps")),
            bytes=rest.pop("bytes", None),
            details=rest,
        )


class EpisodeStore(Protocol):
    """A place that holds episodes: the npz folder here, LeRobot v3 later."""

    header: Header
    entries: tuple[Entry, ...]

    def name(self, index: int) -> str:
        """Name an episode to a user, e.g. its path."""

    def episode(self, index: int) -> Episode:
        """Read an episode with its pixels."""

    def motion(self, index: int) -> Motion:
        """Read an episode without its pixels, much faster."""

    def key(self, index: int) -> str:
        """Identify an episode's content, to name caches by."""


class NpzStore:
    """The folder layout of this module."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        meta = _read_meta(folder)
        self.header = Header.from_json(folder / "meta.json", meta)
        self.entries = _scan(folder, meta)
        for entry in self.entries:
            _check_size(folder / entry.file, entry)

    def name(self, index: int) -> str:
        return str(self.folder / self.entries[index].file)

    def episode(self, index: int) -> Episode:
        episode = read_episode(self.folder / self.entries[index].file)
        self._check_pixels(index, episode)
        return episode

    def motion(self, index: int) -> Motion:
        motion = read_motion(self.folder / self.entries[index].file)
        if len(motion.frames) != self.entries[index].frames:
            raise RainError(
                f"{self.name(index)}: meta.json lists {self.entries[index].frames} frames, "
                f"the file holds {len(motion.frames)}"
            )
        return motion

    def key(self, index: int) -> str:
        return content_key(self.folder / self.entries[index].file)

    def _check_pixels(self, index: int, episode: Episode) -> None:
        conventions = self.header.conventions
        expected = (len(conventions.views), conventions.image_size)
        if episode.images.shape[1:3] != expected:
            raise RainError(
                f"{self.name(index)}: expected {expected[0]} views of {expected[1]} pixels, "
                f"got images {episode.images.shape}"
            )


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
            found = Header.from_json(meta, _read_meta(self.folder))
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
        return _scan(self.folder, _read_meta(self.folder))

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
            meta = _read_meta(self.folder) if (self.folder / "meta.json").exists() else {}
            if written is not None:
                file = f"episodes/{written.name}"
                listed = [e for e in meta.get("episodes", []) if e["file"] != file]
                meta = {**meta, "episodes": listed}
            entries = _scan(self.folder, meta)
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


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / "meta.json"
    if not path.is_file():
        raise RainError(
            f"{folder}: no dataset there (no meta.json); make one with rain collect or check --data"
        )
    try:
        meta = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise RainError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(meta, dict):
        raise RainError(f"{path}: not a dataset's meta.json")
    return meta


def _scan(folder: Path, meta: Mapping[str, Any]) -> tuple[Entry, ...]:
    """List the episodes of meta.json and those finished but not listed when a writer was killed."""
    try:
        listed = {entry["file"]: Entry.from_json(entry) for entry in meta.get("episodes", [])}
    except (KeyError, TypeError, ValueError) as error:
        raise RainError(f"{folder / 'meta.json'}: damaged list of episodes ({error!r})") from error
    for path in sorted((folder / "episodes").glob("episode_*.npz")):
        file = f"episodes/{path.name}"
        if file not in listed:
            details = read_details(path)
            frames, steps = details.pop("frames"), details.pop("steps")
            listed[file] = Entry(file, frames, steps, path.stat().st_size, details)
    return tuple(listed[file] for file in sorted(listed))


def _check_size(path: Path, entry: Entry) -> None:
    if not path.is_file():
        raise RainError(f"{path}: listed in meta.json but missing; collect it again")
    size = path.stat().st_size
    if entry.bytes is not None and size != entry.bytes:
        raise RainError(
            f"{path}: truncated or changed ({size} bytes, meta.json lists {entry.bytes}); "
            "delete it and collect it again"
        )
