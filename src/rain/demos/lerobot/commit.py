"""Packing staged episodes into the dataset, so that a kill leaves the old dataset or the new one.

New files are written beside the dataset; then a journal that lists them is renamed into place, and
that decides: from there on the commit is finished, by whoever comes next if need be. Moving the
files and forgetting the staged episodes can be repeated without harm. Before the journal, nothing
has happened.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from rain.demos.lerobot import schema, stats
from rain.demos.lerobot.files import (
    flush_to_disk,
    locked,
    parquet_writer,
    read_json,
    read_parquet,
    size_and_sum,
    write_json,
    write_parquet,
)
from rain.demos.lerobot.pixels import join_videos
from rain.demos.lerobot.reader import LeRobotStore
from rain.demos.lerobot.stage import Staged, arrow, clear_unfinished, staged, staged_folders
from rain.demos.store import Header
from rain.types import RainError

WORK = "rain/commit"
JOURNAL = "rain/commit.json"

log = logging.getLogger(__name__)


def open_store(folder: Path) -> LeRobotStore:
    """Open a dataset; finishes the commit of a writer that was killed.

    Says so where finished episodes wait to be packed.
    """
    while True:
        with locked(folder / schema.LOCK, shared=True):
            if not (folder / JOURNAL).exists():
                store = LeRobotStore(folder)
                break
        try:
            with locked(folder / schema.LOCK):
                finish(folder)
        except OSError as error:
            raise RainError(
                f"{folder}: its last packing was interrupted and cannot be finished ({error}); "
                "open it once where it can be written"
            ) from error
    waiting = len(staged_folders(folder))
    if waiting:
        log.warning(
            "%s: %d finished episodes are not packed yet; a writer is at work, or was killed: "
            "then run its command again",
            folder, waiting,
        )  # fmt: skip
    return store


def create(folder: Path, header: Header) -> None:
    """Begin an empty dataset, or mend what a killed writer left in one."""
    with locked(folder / schema.LOCK):
        finish(folder)
        removed = clear_unfinished(folder)
        if removed:
            log.warning("%s: removed %d half-written episodes", folder, removed)
        if (folder / schema.INFO).exists():
            found = LeRobotStore(folder).header
            header.conventions.check(found.conventions, "this run", str(folder))
            if found != header:
                raise RainError(
                    f"{folder}: holds track {found.track}, suite {found.suite}, alpha "
                    f"{found.progress_alpha}, images {found.images}; choose another folder"
                )
        else:
            write_json(folder / schema.INFO, _info(header, {}, 0, 0, 0, 0))


def commit(folder: Path) -> int:
    """Pack all staged episodes; returns how many. One that is there already is dropped."""
    packed = 0
    with locked(folder / schema.LOCK):
        finish(folder)
        store = LeRobotStore(folder)
        there = {e.details.get("source") or e.key for e in store.entries}
        for group in _groups(_without_doubles(folder, there)):
            _write(folder, LeRobotStore(folder), group)
            finish(folder, said=False)
            packed += len(group)
    return packed


def finish(folder: Path, said: bool = True) -> None:
    """Carry out a commit that was decided, drop one that was not. Needs the lock."""
    journal = folder / JOURNAL
    if journal.exists():
        decided = read_json(journal)
        for file in decided["files"]:
            source, target = folder / WORK / file, folder / file
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, target)
            elif not target.exists():
                raise RainError(f"{target}: lost in an interrupted commit; make the dataset again")
        for name in decided["staged"]:
            shutil.rmtree(folder / name, ignore_errors=True)
        journal.unlink()
        if said:
            log.warning(
                "%s: finished the interrupted packing of %d episodes",
                folder, len(decided["staged"]),
            )  # fmt: skip
    elif (folder / WORK).exists() and said:
        log.warning("%s: dropped an interrupted packing; its episodes are still staged", folder)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def _without_doubles(folder: Path, there: set[str]) -> Iterator[Staged]:
    for one in staged(folder):
        if one.identity in there:
            log.warning("%s: %s is there already; its copy was dropped", folder, one.identity)
            shutil.rmtree(one.folder)
        else:
            there.add(one.identity)
            yield one


def _groups(episodes: Iterator[Staged]) -> Iterator[list[Staged]]:
    """Cut into groups of about one file's size."""
    group: list[Staged] = []
    size = 0
    for one in episodes:
        group.append(one)
        size += one.bytes
        if size >= schema.FILE_MB * 1024**2:
            yield group
            group, size = [], 0
    if group:
        yield group


def _write(folder: Path, store: LeRobotStore, group: Sequence[Staged]) -> None:
    """Write the files of a commit beside the dataset, then its journal."""
    header, number, work = store.header, store.commits, folder / WORK
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
    info = _info(header, files, number + 1, first + len(group), frames, len(tasks))
    write_json(work / schema.INFO, info)
    moves = sorted((str(p.relative_to(work)) for p in [*written, work / schema.INFO]), key=_order)
    forgotten = [str(one.folder.relative_to(folder)) for one in group]
    write_json(folder / JOURNAL, {"files": moves, "staged": forgotten})


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


def _info(
    header: Header,
    files: dict[str, list[int]],
    commits: int,
    episodes: int,
    frames: int,
    tasks: int,
) -> dict[str, Any]:
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
