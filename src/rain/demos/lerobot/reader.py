"""A LeRobot v3 dataset of ours as a storage of episodes.

The index (episodes, subtasks, tasks) is read at once, frames and motion when they are asked for.
Whatever is missing, truncated or damaged is an error that names its file: a dataset never becomes
silently shorter.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from rain.demos.episode import Episode, Motion
from rain.demos.lerobot import schema, stats
from rain.demos.lerobot.files import naming, open_parquet, read_json, read_parquet, size_and_sum
from rain.demos.lerobot.pixels import decode_png, decode_video
from rain.demos.store import Entry, Header
from rain.types import RainError, Subtask, SubtaskSpan
from rain.worlds.labels import LabelTable


class LeRobotStore:
    """One dataset folder. Use ``open_store``, which waits for a writer and mends what it left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.info = read_info(folder)
        self.header = Header.from_json(str(folder / schema.INFO), self.info["rain"])
        self.commits = int(self.info["rain"]["commits"])
        self._check_files()
        self.tasks = self._names(schema.TASKS, "task_index")
        self.subtask_names = self._names(schema.SUBTASK_NAMES, "subtask_index")
        self._meta = self._rows("meta", schema_columns=META_COLUMNS + self._video_columns())
        self._own = self._rows("episodes")
        self.stats = self._read_stats()
        self.entries = self._read_entries()

    @property
    def files(self) -> dict[str, list[int]]:
        """File, relative to the folder -> its bytes and CRC-32; all but meta/info.json."""
        return dict(self.info["rain"]["files"])

    def name(self, index: int) -> str:
        return f"{self.folder} episode {index}"

    def motion(self, index: int) -> Motion:
        return Motion(**self._motion(index))

    def episode(self, index: int) -> Episode:
        images, labels = self._pixels(index)
        values = self._motion(index)
        try:
            return Episode(**values, images=images, labels=labels)
        except RainError as error:
            raise RainError(f"{self.name(index)}: not a valid episode: {error}") from error

    # --- reading one episode ------------------------------------------------------------------

    def _motion(self, index: int) -> dict[str, Any]:
        entry, own_position = self.entries[index], self._own[index]["own_ee_position"]
        path = self._path("steps", index)
        table = self._group(path, index, entry.steps)
        with naming(path):
            columns = {name: _array(table[name]) for name in schema.STEPS.names}
            if (columns["step"] != np.arange(entry.steps)).any():
                raise ValueError("control steps are missing")
            return {
                "frames": entry.frame_steps,
                "targets": entry.targets,
                "states": columns["state"],
                "actions": columns["action"],
                "ee_rotation": columns["ee_rotation"].reshape(-1, 3, 3),
                "disturbed": columns["disturbed"],
                "spans": entry.spans,
                "details": entry.details,
                "ee_position": columns["ee_position"] if own_position else None,
                "table": entry.table,
            }

    def _pixels(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        views, size = self.header.conventions.views, self.header.conventions.image_size
        count = self.entries[index].frames
        path = self._path("data", index)
        table = self._group(path, index, count)
        with naming(path):
            if (_array(table["step"]) != self.entries[index].frame_steps).any():
                raise ValueError(f"episode {index} lacks frames")
        images = np.empty((count, len(views), size, size, 3), np.uint8)
        labels = np.empty((count, len(views), size, size), np.uint8)
        for v, view in enumerate(views):
            self._fill(labels[:, v], table, schema.label_key(view), index)
            key = schema.image_key(view)
            if self.header.images == "png":
                self._fill(images[:, v], table, key, index)
            else:
                images[:, v] = decode_video(
                    self._path("video", index, key),
                    self._meta[index][f"videos/{key}/from_timestamp"],
                    count,
                    self.header.conventions.rate_hz,
                    size,
                )
        return images, labels

    def _fill(self, out: NDArray[np.uint8], table: pa.Table, key: str, index: int) -> None:
        for i, data in enumerate(pc.struct_field(table[key], "bytes")):
            try:
                out[i] = decode_png(data.as_py(), out.shape[1:])
            except ValueError as error:
                path = self._path("data", index)
                raise RainError(f"{path}: episode {index} frame {i}, {key}: {error}") from error

    def _group(self, path: Path, index: int, rows: int) -> pa.Table:
        """The rows of an episode: its row group, all of it, so that damage anywhere shows."""
        with open_parquet(path) as file:
            table = file.read_row_group(self._groups[index])
            found = _array(table["episode_index"])
            if len(found) != rows or (found != index).any():
                raise ValueError(f"episode {index} should have {rows} rows, {len(found)} are there")
        return table

    def _path(self, kind: str, index: int, video_key: str = "") -> Path:
        return self.folder / schema.path_of(kind, self._files[index], video_key)

    # --- reading the index --------------------------------------------------------------------

    def _check_files(self) -> None:
        """All sizes, and the sums of what is small and read at once; pages have their own."""
        for file, (size, total) in self.files.items():
            path = self.folder / file
            if not path.is_file():
                raise RainError(f"{path}: missing; restore it or make the dataset again")
            large = file.startswith(("data/", "videos/", "rain/steps/"))
            found = [path.stat().st_size, total] if large else size_and_sum(path)
            if found != [size, total]:
                raise RainError(
                    f"{path}: truncated or changed ({found[0]} bytes, {size} were written); "
                    "restore it or make the dataset again"
                )

    def _video_columns(self) -> list[str]:
        if self.header.images != "video":
            return []
        keys = [schema.image_key(view) for view in self.header.conventions.views]
        return [f"videos/{key}/from_timestamp" for key in keys]

    def _names(self, file: str, column: str) -> list[str]:
        if not self.commits:
            return []
        table = read_parquet(self.folder / file)
        with naming(self.folder / file):
            if table[column].to_pylist() != list(range(len(table))):
                raise ValueError(f"{column} is not 0, 1, …")
            return [str(name) for name in table[column.removesuffix("_index")].to_pylist()]

    def _rows(self, kind: str, schema_columns: list[str] | None = None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for number in range(self.commits):
            path = self.folder / schema.path_of(kind, number)
            rows += read_parquet(path, schema_columns).to_pylist()
        if kind != "subtasks":
            indices = [row["episode_index"] for row in rows]
            if indices != list(range(self.info["total_episodes"])):
                raise RainError(
                    f"{self.folder}: {schema.INFO} lists {self.info['total_episodes']} episodes, "
                    f"the {kind} tables hold {len(rows)}"
                )
        return rows

    def _read_entries(self) -> tuple[Entry, ...]:
        self._files = [
            row["data/chunk_index"] * schema.CHUNK + row["data/file_index"] for row in self._meta
        ]
        seen: Counter[int] = Counter()
        self._groups: list[int] = []
        for file in self._files:
            self._groups.append(seen[file])
            seen[file] += 1
        spans: dict[int, list[SubtaskSpan]] = {}
        for row in self._rows("subtasks"):
            spans.setdefault(row["episode_index"], []).append(_span(row))
        entries = []
        for index, (meta, own) in enumerate(zip(self._meta, self._own, strict=True)):
            if meta["length"] != len(own["frames"]) or index not in spans:
                raise RainError(f"{self.name(index)}: its tables do not fit together")
            entries.append(_entry(own, tuple(spans[index])))
        return tuple(entries)

    def _read_stats(self) -> stats.Stats:
        if not self.commits:
            return {}
        path = self.folder / schema.STATS
        found = read_json(path)
        for key in schema.features(self.header):
            for name in stats.NEEDED:
                if not isinstance(found, dict) or name not in found.get(key, {}):
                    raise RainError(f"{path}: no {name} of {key}; make the dataset again")
        return found


META_COLUMNS = ["episode_index", "length", "data/chunk_index", "data/file_index"]


def read_info(folder: Path) -> dict[str, Any]:
    """Read meta/info.json; RainError where there is none, or where it is not ours."""
    path = folder / schema.INFO
    if not path.is_file():
        raise RainError(
            f"{folder}: no dataset there (no {schema.INFO}); make one with rain collect and "
            "rain demos process, or check --data"
        )
    info = read_json(path)
    if not isinstance(info, dict) or not isinstance(info.get("rain"), dict):
        raise RainError(f"{path}: not a dataset of RAIN (it has no part 'rain')")
    if info.get("codebase_version") != schema.VERSION:
        raise RainError(f"{path}: expected LeRobot {schema.VERSION}, got another version")
    if not isinstance(info.get("total_episodes"), int) or not {"commits", "files"} <= {
        *info["rain"]
    }:
        raise RainError(f"{path}: damaged; restore it or make the dataset again")
    return info


def _span(row: dict[str, Any]) -> SubtaskSpan:
    return SubtaskSpan(
        Subtask(row["action_type"], row["target"]),
        row["start"],
        row["interaction"],
        row["end"],
        np.array(row["position"], np.float32),
        np.array(row["rotation"], np.float32).reshape(3, 3),
    )


def _entry(own: dict[str, Any], spans: tuple[SubtaskSpan, ...]) -> Entry:
    rows = tuple(tuple(row) for row in own["labels"])
    return Entry(
        frame_steps=np.array(own["frames"], np.int32),
        steps=own["steps"],
        key=own["key"],
        targets=tuple(own["targets"]),
        table=LabelTable(tuple(own["label_targets"]), rows),
        spans=spans,
        details=json.loads(own["details"]),
    )


def _array(column: pa.ChunkedArray) -> NDArray:
    """A column as (T,) or (T, d); ValueError where values are missing."""
    array = column.combine_chunks()
    if array.null_count:
        raise ValueError(f"{array.null_count} values are missing")
    if pa.types.is_fixed_size_list(array.type):
        flat = array.flatten().to_numpy(zero_copy_only=False)
        return flat.reshape(len(array), array.type.list_size)
    return array.to_numpy(zero_copy_only=False)
