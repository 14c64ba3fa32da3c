"""One finished episode, set aside until it is packed: a folder that appears whole or not at all.

It holds the same tables as the dataset, so that packing only joins files. Numbers that are known
when it is packed (episode, index, task) are zero until then.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from rain.demos.episode import Episode
from rain.demos.lerobot import schema, stats
from rain.demos.lerobot.files import flush_to_disk, read_json, write_json, write_parquet
from rain.demos.lerobot.pixels import encode_png, encode_video
from rain.demos.store import Header
from rain.demos.supervision import progress_targets, spans_of
from rain.retarget.rotations import axis_angle
from rain.types import ACTION_TYPES
from rain.worlds.processes import is_alive

STAGED = "rain/staged"


@dataclass(frozen=True)
class Staged:
    """A staged episode. facts: what is not in its tables, plain JSON values."""

    folder: Path
    facts: dict[str, Any]

    @property
    def identity(self) -> str:
        """What two copies of one demonstration have in common."""
        return str(self.facts["details"].get("source") or self.facts["key"])

    @property
    def bytes(self) -> int:
        """Size on disk."""
        return sum(path.stat().st_size for path in self.folder.iterdir())


def stage(dataset: Path, header: Header, episode: Episode, number: int) -> Path:
    """Set an episode aside; ``number`` decides its place among those packed with it."""
    key = content_key(header, episode)
    final = dataset / STAGED / f"{number:06d}-{key[:16]}"
    temporary = final.with_name(f".{final.name}.{os.getpid()}")
    temporary.mkdir(parents=True)
    try:
        write_parquet(temporary / "data.parquet", _data(header, episode))
        write_parquet(temporary / "steps.parquet", _steps(episode))
        views = header.conventions.views
        if header.images == "video":
            for v, view in enumerate(views):
                path = temporary / f"{view}.mp4"
                encode_video(path, episode.images[:, v], header.conventions.rate_hz)
                flush_to_disk(path)
        write_json(temporary / "episode.json", _facts(header, episode, key))
        if not final.exists():  # else the same episode is staged already
            os.rename(temporary, final)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return final


def staged_folders(dataset: Path) -> list[Path]:
    """The folders of episodes that wait to be packed, in order."""
    return sorted(p for p in (dataset / STAGED).glob("*") if not p.name.startswith("."))


def staged(dataset: Path) -> list[Staged]:
    """The episodes that wait to be packed, in order. Needs the lock, else they may go away."""
    return [Staged(p, read_json(p / "episode.json")) for p in staged_folders(dataset)]


def clear_unfinished(dataset: Path) -> int:
    """Remove what writers that are gone left half done; returns how many."""
    removed = 0
    for path in (dataset / STAGED).glob(".*"):
        if not is_alive(int(path.name.rpartition(".")[2])):
            shutil.rmtree(path, ignore_errors=True)
            removed += 1
    return removed


def content_key(header: Header, episode: Episode) -> str:
    """Identify an episode by its content and by how its images are kept."""
    digest = hashlib.sha256(json.dumps(_plain(episode), sort_keys=True).encode())
    digest.update(header.images.encode())
    arrays = (
        episode.frames, episode.states, episode.actions, episode.positions, episode.ee_rotation,
        episode.disturbed, episode.images, episode.labels,
    )  # fmt: skip
    for array in arrays:
        digest.update(repr((array.shape, array.dtype.str)).encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _plain(episode: Episode) -> dict[str, Any]:
    return {
        "targets": list(episode.targets),
        "label_targets": list(episode.table.targets),
        "labels": [list(row) for row in episode.table.rows],
        "own_ee_position": episode.ee_position is not None,
        "details": dict(episode.details),
        "spans": [
            {
                "action_type": span.subtask.action_type,
                "target": span.subtask.target,
                "start": span.start,
                "interaction": span.interaction,
                "end": span.end,
                "position": span.position.tolist(),
                "rotation": span.rotation.reshape(-1).tolist(),
            }
            for span in episode.spans
        ],
    }


def _facts(header: Header, episode: Episode, key: str) -> dict[str, Any]:
    pixels = {}
    for v, view in enumerate(header.conventions.views):
        pixels[schema.image_key(view)] = stats.of_images(episode.images[:, v])
        pixels[schema.label_key(view)] = stats.of_images(episode.labels[:, v, :, :, None])
    return {
        "key": key,
        "length": len(episode.frames),
        "steps": len(episode.states),
        "frames": episode.frames.tolist(),
        "stats": pixels,
        **_plain(episode),
    }


def _data(header: Header, episode: Episode) -> pa.Table:
    frames = episode.frames.astype(np.int64)
    count, spans = len(frames), spans_of(episode.frames, episode.spans)
    progress = np.empty((count, 3), np.float32)
    for j, span in enumerate(episode.spans):
        progress[spans == j] = progress_targets(
            episode.positions, episode.ee_rotation, frames[spans == j], span, header.progress_alpha
        )
    kinds = np.array([ACTION_TYPES.index(s.subtask.action_type) for s in episode.spans])
    targets = np.array([episode.targets.index(s.subtask.target) for s in episode.spans])
    numbers = np.arange(count)
    columns: dict[str, NDArray] = {
        "observation.state": episode.states[frames],
        "action": episode.actions[frames],
        "progress": progress,
        "step": frames,
        "span": spans,
        "action_type": kinds[spans],
        "target_index": targets[spans],
        "timestamp": (numbers / header.conventions.rate_hz).astype(np.float32),
        "frame_index": numbers,
    }
    wanted = schema.data_schema(header)
    if schema.POSE in wanted.names:
        columns[schema.POSE] = _poses(episode)[frames]
    arrays = {name: arrow(values) for name, values in columns.items()}
    for v, view in enumerate(header.conventions.views):
        if header.images == "png":
            arrays[schema.image_key(view)] = _pngs(episode.images[:, v])
        arrays[schema.label_key(view)] = _pngs(episode.labels[:, v])
    later = arrow(np.zeros(count, np.int64))
    return pa.table([arrays.get(name, later) for name in wanted.names], schema=wanted)


def _poses(episode: Episode) -> NDArray[np.float32]:
    """End-effector poses (L, 6): position, m, and axis times angle, rad, robot base frame."""
    axis, angle = axis_angle(episode.ee_rotation)
    return np.concatenate([episode.positions, axis * angle[:, None]], axis=1).astype(np.float32)


def _pngs(images: NDArray[np.uint8]) -> pa.Array:
    values = [{"bytes": encode_png(image), "path": None} for image in images]
    return pa.array(values, pa.struct([("bytes", pa.binary()), ("path", pa.string())]))


def _steps(episode: Episode) -> pa.Table:
    count = len(episode.states)
    columns = (
        np.zeros(count, np.int64),
        np.arange(count),
        episode.states.astype(np.float32),
        episode.actions.astype(np.float32),
        episode.positions.astype(np.float32),
        episode.ee_rotation.reshape(count, 9).astype(np.float32),
        episode.disturbed,
    )
    return pa.table([arrow(values) for values in columns], schema=schema.STEPS)


def arrow(values: NDArray) -> pa.Array:
    """An array (T,) or (T, d) as Arrow's; rows of the latter are lists of fixed size."""
    if values.ndim == 1:
        return pa.array(values)
    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
