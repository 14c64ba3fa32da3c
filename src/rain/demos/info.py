"""What a dataset holds, from its index alone: quick whatever its size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from rain.demos.lerobot import schema
from rain.demos.lerobot.commit import open_store
from rain.demos.lerobot.files import naming
from rain.demos.lerobot.reader import LeRobotStore
from rain.demos.lerobot.stage import staged_folders
from rain.demos.supervision import spans_of
from rain.types import ACTION_TYPES

PARTS = ("images", "labels", "steps", "rest")


@dataclass(frozen=True)
class Count:
    """How many there are of something."""

    subtasks: int
    frames: int
    targets: int


@dataclass(frozen=True)
class TaskCount:
    """A task's scene and what was demonstrated in it."""

    suite: str
    task: int | None
    instructions: int
    episodes: int
    frames: int


@dataclass(frozen=True)
class Info:
    """A summary of datasets; ``waiting`` episodes are finished but not packed yet.

    action_types: by name, all of them. bytes: on disk, by part.
    """

    folders: tuple[str, ...]
    tracks: tuple[str, ...]
    suites: tuple[str, ...]
    images: tuple[str, ...]
    views: tuple[str, ...]
    image_size: int
    rate_hz: float
    episodes: int
    frames: int
    steps: int
    waiting: int
    instructions: int
    tasks: tuple[TaskCount, ...]
    action_types: dict[str, Count]
    bytes: dict[str, int]

    @property
    def total_bytes(self) -> int:
        """All parts together."""
        return sum(self.bytes.values())

    @property
    def bytes_per_frame(self) -> dict[str, float]:
        """By part, and in total; a frame has all views."""
        frames = max(1, self.frames)
        parts = {name: size / frames for name, size in self.bytes.items()}
        return {**parts, "total": self.total_bytes / frames}

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            **asdict(self),
            "total_bytes": self.total_bytes,
            "bytes_per_frame": self.bytes_per_frame,
        }


def summarise(folders: Sequence[Path]) -> Info:
    """Summarise dataset folders; RainError names a damaged one. An empty one is no error."""
    stores = [open_store(folder) for folder in folders]
    first = stores[0].header.conventions
    for store in stores[1:]:
        first.check(store.header.conventions, str(stores[0].folder), str(store.folder))
    entries = [entry for store in stores for entry in store.entries]
    tasks, sizes = _tasks(stores), Counter[str]()
    for store in stores:
        sizes += _sizes(store)
    return Info(
        folders=tuple(str(folder) for folder in folders),
        tracks=_names(store.header.track for store in stores),
        suites=_names(task.suite for task in tasks),
        images=_names(store.header.images for store in stores),
        views=first.views,
        image_size=first.image_size,
        rate_hz=first.rate_hz,
        episodes=len(entries),
        frames=sum(entry.frames for entry in entries),
        steps=sum(entry.steps for entry in entries),
        waiting=sum(len(staged_folders(folder)) for folder in folders),
        instructions=len({entry.details.get("instruction") for entry in entries}),
        tasks=tasks,
        action_types=_action_types(stores),
        bytes={name: sizes[name] for name in PARTS},
    )


def _names(values: Any) -> tuple[str, ...]:
    return tuple(sorted(set(values)))


def _tasks(stores: Sequence[LeRobotStore]) -> tuple[TaskCount, ...]:
    found: dict[tuple[str, int | None], list[tuple[str, int]]] = {}
    for store in stores:
        for entry in store.entries:
            key = (str(entry.details.get("suite", "")), entry.details.get("task"))
            line = (str(entry.details.get("instruction", "")), entry.frames)
            found.setdefault(key, []).append(line)
    order = sorted(found, key=lambda key: (key[0], -1 if key[1] is None else key[1]))
    return tuple(
        TaskCount(
            *key, len({text for text, _ in found[key]}), len(found[key]),
            sum(frames for _, frames in found[key]),
        )
        for key in order
    )  # fmt: skip


def _action_types(stores: Sequence[LeRobotStore]) -> dict[str, Count]:
    subtasks: Counter[str] = Counter()
    frames: Counter[str] = Counter()
    targets: dict[str, set[str]] = {name: set() for name in ACTION_TYPES}
    for store in stores:
        for entry in store.entries:
            kinds = [span.subtask.action_type for span in entry.spans]
            subtasks.update(kinds)
            frames.update(kinds[j] for j in spans_of(entry.frame_steps, entry.spans).tolist())
            for span in entry.spans:
                targets[span.subtask.action_type].add(span.subtask.target)
    return {name: Count(subtasks[name], frames[name], len(targets[name])) for name in ACTION_TYPES}


def _sizes(store: LeRobotStore) -> Counter[str]:
    """Bytes on disk by part; the columns of data files from their footers."""
    sizes: Counter[str] = Counter()
    for file, (size, _) in store.files.items():
        if file.startswith("videos/"):
            sizes["images"] += size
        elif file.startswith("rain/steps/"):
            sizes["steps"] += size
        elif file.startswith("data/"):
            columns = _column_sizes(store.folder / file)
            sizes += columns
            sizes["rest"] += size - columns.total()
        else:
            sizes["rest"] += size
    return sizes


def _column_sizes(path: Path) -> Counter[str]:
    sizes: Counter[str] = Counter()
    with naming(path):
        footer = pq.read_metadata(path)
        for group in range(footer.num_row_groups):
            for number in range(footer.num_columns):
                column = footer.row_group(group).column(number)
                sizes[_part(column.path_in_schema)] += column.total_compressed_size
    return sizes


def _part(column: str) -> str:
    if column.startswith(schema.image_key("")):
        return "images"
    return "labels" if column.startswith(schema.label_key("")) else "rest"
