"""One demonstration as arrays, and the npz file that holds it.

A file is complete or absent (it is renamed into place) and holds no pickles.
"""

from __future__ import annotations

import json
import os
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import ACTION_DIM, ACTION_TYPES, STATE_DIM, Array, RainError, Subtask, SubtaskSpan

MOTION_KEYS = (
    "frames",
    "targets",
    "states",
    "actions",
    "ee_rotation",
    "disturbed",
    "span_action_type",
    "span_target",
    "span_start",
    "span_interaction",
    "span_end",
    "span_position",
    "span_rotation",
)
PIXEL_KEYS = ("images", "regions")


def pack_regions(regions: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Pack bool (..., S, S) into bits, uint8 (..., S, ceil(S / 8))."""
    return np.packbits(regions, axis=-1)


def unpack_regions(bits: NDArray[np.uint8], size: int) -> NDArray[np.bool_]:
    """Undo ``pack_regions``: uint8 (..., S, ceil(S / 8)) to bool (..., S, S) with S = ``size``."""
    return np.unpackbits(bits, axis=-1, count=size).view(np.bool_)


@dataclass(frozen=True)
class Motion:
    """Everything of a demonstration but its pixels: T kept frames out of L control steps.

    frames: int32 (T,), the control step of each kept frame, increasing.
    targets: the K distinct targets of the script.
    states, actions: float32 (L, 7), the state before the action, at every control step.
    ee_rotation: float32 (L, 3, 3), end-effector orientation in the robot base frame.
    disturbed: bool (L,), an injected disturbance was executed at that step.
    spans: the subtasks as they happened, in order.
    details: free facts such as instruction, source, seed; plain JSON values.
    ee_position: float32 (L, 3) m, robot base frame; by default the state's first three numbers.
    """

    frames: NDArray[np.int32]
    targets: tuple[str, ...]
    states: Array
    actions: Array
    ee_rotation: Array
    disturbed: NDArray[np.bool_]
    spans: tuple[SubtaskSpan, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    ee_position: Array | None = None

    def __post_init__(self) -> None:
        steps = len(self.states)
        expected = {
            "states": (steps, STATE_DIM),
            "actions": (steps, ACTION_DIM),
            "ee_rotation": (steps, 3, 3),
            "disturbed": (steps,),
            "frames": (len(self.frames),),
        }
        if self.ee_position is not None:
            expected["ee_position"] = (steps, 3)
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise RainError(f"{name}: expected shape {shape}, got {value.shape}")
            if not np.isfinite(value).all():
                raise RainError(f"{name}: holds NaN or infinity")
        self._check_frames(steps)
        self._check_spans(steps)

    def _check_frames(self, steps: int) -> None:
        if len(self.frames) == 0:
            raise RainError("frames: an episode needs at least one frame")
        if (np.diff(self.frames) <= 0).any():
            raise RainError("frames: expected increasing control steps")
        if self.frames[0] < 0 or self.frames[-1] >= steps:
            raise RainError(f"frames: expected control steps in [0, {steps})")

    def _check_spans(self, steps: int) -> None:
        if not self.spans:
            raise RainError("spans: an episode needs at least one subtask")
        for span in self.spans:
            if span.subtask.target not in self.targets:
                raise RainError(f"spans: target {span.subtask.target!r} is not among the targets")
            if span.end > steps:
                raise RainError(f"spans: one ends at step {span.end} of {steps}")

    @property
    def positions(self) -> Array:
        """End-effector positions, float32 (L, 3), m, robot base frame."""
        return self.states[:, :3] if self.ee_position is None else self.ee_position


@dataclass(frozen=True, kw_only=True)
class Episode(Motion):
    """A demonstration with its pixels.

    images: uint8 (T, V, S, S, 3), upright RGB.
    regions: uint8 (T, K, V, S, ceil(S / 8)), ``pack_regions`` of the targets' masks.
    """

    images: NDArray[np.uint8]
    regions: NDArray[np.uint8]

    def __post_init__(self) -> None:
        super().__post_init__()
        frames = len(self.frames)
        shape = self.images.shape
        if len(shape) != 5 or shape[0] != frames or shape[2] != shape[3] or shape[4] != 3:
            raise RainError(f"images: expected ({frames}, V, S, S, 3), got {shape}")
        bits = (frames, len(self.targets), shape[1], shape[2], -(-shape[2] // 8))
        if self.regions.shape != bits:
            raise RainError(f"regions: expected packed shape {bits}, got {self.regions.shape}")
        for name in PIXEL_KEYS:
            if getattr(self, name).dtype != np.uint8:
                raise RainError(f"{name}: expected uint8, got {getattr(self, name).dtype}")

    def region(self, frame: int, target: str) -> NDArray[np.bool_]:
        """Unpack the region of ``target`` at kept frame number ``frame``: bool (V, S, S)."""
        bits = self.regions[frame, self.targets.index(target)]
        return unpack_regions(bits, self.images.shape[2])


def write_episode(path: Path, episode: Episode) -> None:
    """Write an episode atomically: temporary name in the same folder, then rename."""
    spans = episode.spans
    arrays: dict[str, NDArray] = {
        "frames": episode.frames.astype(np.int32),
        "images": episode.images,
        "regions": episode.regions,
        "targets": np.array(episode.targets, dtype=np.str_),
        "states": episode.states.astype(np.float32),
        "actions": episode.actions.astype(np.float32),
        "ee_rotation": episode.ee_rotation.astype(np.float32),
        "disturbed": episode.disturbed.astype(np.bool_),
        "span_action_type": np.array(
            [ACTION_TYPES.index(s.subtask.action_type) for s in spans], np.int8
        ),
        "span_target": np.array([episode.targets.index(s.subtask.target) for s in spans], np.int16),
        "span_start": np.array([s.start for s in spans], np.int32),
        "span_interaction": np.array([s.interaction for s in spans], np.int32),
        "span_end": np.array([s.end for s in spans], np.int32),
        "span_position": np.stack([s.position for s in spans]).astype(np.float32),
        "span_rotation": np.stack([s.rotation for s in spans]).astype(np.float32),
        "details": np.array(json.dumps(dict(episode.details))),
    }
    if episode.ee_position is not None:
        arrays["ee_position"] = episode.ee_position.astype(np.float32)
    # A leading dot and the process id: never listed as an episode, never shared by two writers.
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            np.savez_compressed(file, allow_pickle=False, **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_motion(path: Path) -> Motion:
    """Read an episode without decompressing its pixels."""
    arrays = _read(path, MOTION_KEYS)
    return _build(path, Motion, arrays)


def read_episode(path: Path) -> Episode:
    """Read an episode. RainError names the file when it is missing, truncated or foreign."""
    arrays = _read(path, MOTION_KEYS + PIXEL_KEYS)
    return _build(path, Episode, arrays)


def read_details(path: Path) -> dict[str, Any]:
    """Read what a dataset's index lists of an episode: its details and its numbers."""
    motion = read_motion(path)
    return {**motion.details, "frames": len(motion.frames), "steps": len(motion.states)}


def content_key(path: Path) -> str:
    """Identify an episode by its content, from the checksums its archive already holds."""
    with _mended(path), zipfile.ZipFile(path) as archive:
        members = sorted((m.filename, m.CRC, m.file_size) for m in archive.infolist())
    text = json.dumps(members).encode()
    return f"{zlib.crc32(text):08x}{zlib.adler32(text):08x}"


class _mended:  # noqa: N801 - a context manager read as a word
    """Turn whatever a damaged file raises into one line that names the file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None:
        if not self.path.is_file():
            raise RainError(f"{self.path}: the episode file is missing; collect it again")

    def __exit__(self, kind: type | None, error: BaseException | None, trace: object) -> None:
        damaged = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, KeyError)
        if isinstance(error, damaged):
            raise RainError(
                f"{self.path}: not a readable episode ({error}); delete it and collect it again"
            ) from error


def _read(path: Path, keys: tuple[str, ...]) -> dict[str, NDArray]:
    with _mended(path), np.load(path, allow_pickle=False) as archive:
        missing = [key for key in keys if key not in archive]
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}")
        optional = [key for key in ("details", "ee_position") if key in archive]
        return {key: archive[key] for key in (*keys, *optional)}


def _build(path: Path, kind: type, arrays: dict[str, NDArray]) -> Any:
    try:
        targets = tuple(str(name) for name in arrays["targets"])
        span = {key[5:]: arrays[key] for key in MOTION_KEYS if key.startswith("span_")}
        spans = tuple(
            SubtaskSpan(
                subtask=Subtask(ACTION_TYPES[span["action_type"][j]], targets[span["target"][j]]),
                start=int(span["start"][j]),
                interaction=int(span["interaction"][j]),
                end=int(span["end"][j]),
                position=span["position"][j],
                rotation=span["rotation"][j],
            )
            for j in range(len(span["action_type"]))
        )
        pixels = {key: arrays[key] for key in PIXEL_KEYS if key in arrays}
        return kind(
            frames=arrays["frames"],
            targets=targets,
            states=arrays["states"],
            actions=arrays["actions"],
            ee_rotation=arrays["ee_rotation"],
            disturbed=arrays["disturbed"],
            spans=spans,
            details=json.loads(str(arrays["details"])) if "details" in arrays else {},
            ee_position=arrays.get("ee_position"),
            **pixels,
        )
    except (RainError, IndexError, ValueError, TypeError, AttributeError) as error:
        raise RainError(f"{path}: not a valid episode: {error}") from error
