"""Writing the files of a commit: staged episodes joined into new files, numbered through."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rain.demos.lerobot import schema, stats
from rain.demos.lerobot.files import (
    flush_to_disk,
    parquet_writer,
    read_parquet,
    size_and_sum,
    write_json,
    write_parquet,
)
from rain.demos.lerobot.pixels import join_videos
from rain.demos.lerobot.reader import LeRobotStore
from rain.demos.lerobot.stage import Staged, arrow
from rain.demos.store import Header
from rain.types import RainError


def write_commit(work: Path, store: LeRobotStore, group: Sequence[Staged]) -> list[str]:
    """Write what ``group`` adds to ``store`` under ``work``; returns the files, as to be moved."""
    header, number = store.header, store.commits
    tasks, names = list(store.tasks), list(store.subtask_names)
    first = store.info["total_episodes"]
    videos = _write_videos(work, header, number, group)
    rows = _write_data(work, header, number, group, first, store.info["total_frames"], tasks, names)
    for i, row in enumerate(rows):
        row.update(videos[i])
        row.update({"meta/episodes/chunk_index": row["data/chunk_index"],
                    "meta/episodes/file_index": row["data/file_index"]})  # fmt: skip
    _write_own(work, number, group, first)
    write_parquet(work / schema.path_of("meta", number), _meta_table(rows))
    write_parquet(work / schema.TASKS, schema.name_table(tasks, "task", "task_index"))
    write_parquet(work / schema.SUBTASK_NAMES, schema.name_table(names, "subtask", "subtask_index"))
    parts = [row["stats"] for row in rows]
    write_json(
        work / schema.STATS, stats.aggregate([store.stats, *parts] if store.stats else parts)
    )
    written = [path for path in work.rglob("*") if path.is_file()]
    files = store.files | {str(p.relative_to(work)): size_and_sum(p) for p in written}
    frames = store.info["total_frames"] + sum(row["length"] for row in rows)
    info = info_of(header, files, number + 1, first + len(group), frames, len(tasks))
    write_json(work / schema.INFO, info)
    return sorted((str(p.relative_to(work)) for p in [*written, work / schema.INFO]), key=_order)


def _order(file: str) -> tuple[int, str]:
    """LeRobot, which knows no journal, should see nothing refer to what is not there yet."""
    last = ("data/", schema.TASKS, schema.SUBTASK_NAMES, "meta/episodes/", schema.STATS,
            schema.INFO)  # fmt: skip
    return next((i + 1 for i, start in enumerate(last) if file.startswith(start)), 0), file


def _write_videos(
    work: Path, header: Header, number: int, group: Sequence[Staged]
) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [{} for _ in group]
    if header.images != "video":
        return rows
    fps = header.conventions.rate_hz
    for view in header.conventions.views:
        key = schema.image_key(view)
        path = work / schema.path_of("video", number, key)
        lengths = join_videos([one.folder / f"{view}.mp4" for one in group], path, fps)
        flush_to_disk(path)
        ends = np.cumsum(lengths)
        for row, one, length, end in zip(rows, group, lengths, ends.tolist(), strict=True):
            if length != one.facts["length"]:
                raise RainError(f"{one.folder / view}.mp4: {length} frames; delete {one.folder}")
            row[f"videos/{key}/chunk_index"], row[f"videos/{key}/file_index"] = divmod(
                number, schema.CHUNK
            )
            row[f"videos/{key}/from_timestamp"] = (end - length) / fps
            row[f"videos/{key}/to_timestamp"] = end / fps
    return rows


def _write_data(
    work: Path,
    header: Header,
    number: int,
    group: Sequence[Staged],
    first: int,
    frames: int,
    tasks: list[str],
    names: list[str],
) -> list[dict[str, Any]]:
    """Write the data file; returns the episodes' rows of meta/episodes, with statistics."""
    rows = []
    chunk, file = divmod(number, schema.CHUNK)
    with parquet_writer(
        work / schema.path_of("data", number), schema.data_schema(header)
    ) as writer:
        for i, one in enumerate(group):
            task = str(one.facts["details"].get("instruction", ""))
            spans = [f"{s['action_type']} {s['target']}" for s in one.facts["spans"]]
            tasks += [] if task in tasks else [task]
            names += [name for name in dict.fromkeys(spans) if name not in names]
            table = read_parquet(one.folder / "data.parquet")
            count = len(table)
            kinds = np.array([names.index(name) for name in spans])
            numbers = {
                "subtask_index": kinds[table["span"].to_numpy()],
                "episode_index": np.full(count, first + i),
                "index": frames + np.arange(count),
                "task_index": np.full(count, tasks.index(task)),
            }
            for name, values in numbers.items():
                table = table.set_column(table.schema.get_field_index(name), name, arrow(values))
            writer.write_table(table)
            rows.append(
                {
                    "episode_index": first + i,
                    "tasks": [task],
                    "length": count,
                    "data/chunk_index": chunk,
                    "data/file_index": file,
                    "dataset_from_index": frames,
                    "dataset_to_index": frames + count,
                    "stats": {**_column_stats(table), **one.facts["stats"]},
                }
            )
            frames += count
    return rows


def _column_stats(table: pa.Table) -> stats.Stats:
    found = {}
    for field in table.schema:
        if not pa.types.is_struct(field.type):
            found[field.name] = stats.of_values(np.stack(table[field.name].to_numpy()))
    return found


def _meta_table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    flat = []
    for row in rows:
        values = {key: value for key, value in row.items() if key != "stats"}
        for key, of_key in row["stats"].items():
            values |= {f"stats/{key}/{name}": value for name, value in of_key.items()}
        flat.append(values)
    return pa.Table.from_pylist(flat)


def _write_own(work: Path, number: int, group: Sequence[Staged], first: int) -> None:
    """Write the tables of ``rain/``."""
    with parquet_writer(work / schema.path_of("steps", number), schema.STEPS) as writer:
        for i, one in enumerate(group):
            table = read_parquet(one.folder / "steps.parquet")
            writer.write_table(
                table.set_column(0, "episode_index", arrow(np.full(len(table), first + i)))
            )
    spans = [
        {"episode_index": first + i, "span": j, **span}
        for i, one in enumerate(group)
        for j, span in enumerate(one.facts["spans"])
    ]
    write_parquet(
        work / schema.path_of("subtasks", number), pa.Table.from_pylist(spans, schema.SUBTASKS)
    )
    episodes = [
        {**one.facts, "episode_index": first + i, "details": json.dumps(one.facts["details"])}
        for i, one in enumerate(group)
    ]
    write_parquet(
        work / schema.path_of("episodes", number), pa.Table.from_pylist(episodes, schema.EPISODES)
    )


def info_of(
    header: Header,
    files: dict[str, list[int]],
    commits: int,
    episodes: int,
    frames: int,
    tasks: int,
) -> dict[str, Any]:
    """Return what meta/info.json holds."""
    fps = header.conventions.rate_hz
    return {
        "codebase_version": schema.VERSION,
        "robot_type": None,
        "total_episodes": episodes,
        "total_frames": frames,
        "total_tasks": tasks,
        "chunks_size": schema.CHUNK,
        "data_files_size_in_mb": schema.FILE_MB,
        "video_files_size_in_mb": 2 * schema.FILE_MB,
        "fps": int(fps) if fps == int(fps) else fps,
        "splits": {"train": f"0:{episodes}"},
        "data_path": schema.PATHS["data"],
        "video_path": schema.PATHS["video"] if header.images == "video" else None,
        "features": schema.features(header),
        "rain": {**header.to_json(), "note": schema.NOTE, "commits": commits, "files": files},
    }
