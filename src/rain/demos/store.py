"""Where episodes are kept: what a storage must offer, and the npz folder that offers it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from rain.demos.episode import (
    Episode,
    Motion,
    content_key,
    read_details,
    read_episode,
    read_motion,
)
from rain.types import Conventions, RainError

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
        meta = read_meta(folder)
        self.header = Header.from_json(folder / "meta.json", meta)
        self.entries = list_entries(folder, meta)
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


def read_meta(folder: Path) -> dict[str, Any]:
    """Read a dataset's meta.json; RainError where there is none or it is damaged."""
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


def list_entries(folder: Path, meta: Mapping[str, Any]) -> tuple[Entry, ...]:
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
