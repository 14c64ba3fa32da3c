"""The columns and paths of a dataset: LeRobot v3's and, under ``rain/``, our own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from rain.demos.store import Header
from rain.types import ACTION_DIM, STATE_DIM

VERSION = "v3.0"
CHUNK = 1000
"""Files in a chunk's folder."""
FILE_MB = 100
"""Size at which LeRobot begins a new file; ours are closed at about this size too."""

INFO = "meta/info.json"
STATS = "meta/stats.json"
TASKS = "meta/tasks.parquet"
SUBTASK_NAMES = "meta/subtasks.parquet"
PATHS = {
    "data": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "meta": "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "video": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
    "steps": "rain/steps/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "subtasks": "rain/subtasks/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "episodes": "rain/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
}
LOCK = "rain/.lock"

PROGRESS_NAMES = ("completion", "distance", "alignment")
POSE = "observation.ee_pose"
"""Of the end-effector, for states that do not begin with it."""
POSE_NAMES = ("x", "y", "z", "rx", "ry", "rz")
STATE_NAMES = {
    "libero_ee_axis_angle_gripper": (*POSE_NAMES, "gripper"),
    "omy_joints_gripper": (*(f"joint{i}" for i in range(1, 7)), "rh_r1_joint"),
}
ACTION_NAMES = {
    "libero_osc_pose_delta": ("dx", "dy", "dz", "drx", "dry", "drz", "gripper"),
    "omy_joint_absolute": (*(f"joint{i}" for i in range(1, 7)), "rh_r1_joint"),
}
NOTE = (
    "Rows are the kept frames of each episode; they need not be evenly spaced. timestamp is "
    "frame_index / fps, as LeRobot demands; the column step is the control step a frame was taken "
    "at. Every control step's state and action are in rain/steps."
)


def action_names(meaning: str) -> tuple[str, ...]:
    """Name the dimensions of actions of a meaning; by numbers where it gives them no names."""
    return ACTION_NAMES.get(meaning, tuple(f"action_{i}" for i in range(ACTION_DIM)))


def path_of(kind: str, number: int, video_key: str = "") -> str:
    """Where file number ``number`` of a kind lies, relative to the dataset."""
    chunk, file = divmod(number, CHUNK)
    return PATHS[kind].format(chunk_index=chunk, file_index=file, video_key=video_key)


def image_key(view: str) -> str:
    """LeRobot's key of a view's images."""
    return f"observation.images.{view}"


def label_key(view: str) -> str:
    """Key of a view's label maps."""
    return f"observation.labels.{view}"


def features(header: Header) -> dict[str, dict[str, Any]]:
    """LeRobot's description of every column, in order."""
    conventions = header.conventions
    size, fps = conventions.image_size, conventions.rate_hz
    state = STATE_NAMES.get(conventions.state, tuple(f"state_{i}" for i in range(STATE_DIM)))
    action = action_names(conventions.action)
    dtype = "video" if header.images == "video" else "image"
    found: dict[str, dict[str, Any]] = {}
    axes = ("height", "width", "channels")
    for view in conventions.views:
        found[image_key(view)] = _feature(dtype, (size, size, 3), axes, fps)
        if dtype == "video":
            found[image_key(view)]["info"] = _video_info(size, fps)
    for view in conventions.views:
        found[label_key(view)] = _feature("image", (size, size, 1), axes, fps)
    found["observation.state"] = _feature("float32", (STATE_DIM,), state, fps)
    if state[: len(POSE_NAMES)] != POSE_NAMES:
        found[POSE] = _feature("float32", (len(POSE_NAMES),), POSE_NAMES, fps)
    found["action"] = _feature("float32", (ACTION_DIM,), action, fps)
    found["progress"] = _feature("float32", (len(PROGRESS_NAMES),), PROGRESS_NAMES, fps)
    for name in ("step", "span", "subtask_index", "action_type", "target_index"):
        found[name] = _feature("int64", (1,), None, fps)
    found["timestamp"] = _feature("float32", (1,), None, fps)
    for name in ("frame_index", "episode_index", "index", "task_index"):
        found[name] = _feature("int64", (1,), None, fps)
    return found


def _feature(
    dtype: str, shape: Sequence[int], names: Sequence[str] | None, fps: float
) -> dict[str, Any]:
    listed = None if names is None else list(names)
    return {"dtype": dtype, "shape": list(shape), "names": listed, "fps": fps}


def _video_info(size: int, fps: float) -> dict[str, Any]:
    return {
        "video.height": size,
        "video.width": size,
        "video.codec": "h264",
        "video.pix_fmt": "yuv420p",
        "video.is_depth_map": False,
        "video.fps": fps,
        "video.channels": 3,
        "has_audio": False,
    }


def data_schema(header: Header) -> pa.Schema:
    """Arrow types of the data files; images in videos are no column."""
    png = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = []
    for key, feature in features(header).items():
        if feature["dtype"] == "video":
            continue
        if feature["dtype"] == "image":
            columns.append((key, png))
        elif feature["shape"] == [1]:
            columns.append((key, pa.from_numpy_dtype(feature["dtype"])))
        else:
            columns.append((key, pa.list_(pa.float32(), feature["shape"][0])))
    return pa.schema(columns)


def _floats(count: int) -> pa.DataType:
    return pa.list_(pa.float32(), count)


STEPS = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("step", pa.int64()),
        ("state", _floats(STATE_DIM)),
        ("action", _floats(ACTION_DIM)),
        ("ee_position", _floats(3)),
        ("ee_rotation", _floats(9)),
        ("disturbed", pa.bool_()),
    ]
)
"""Every control step."""

SUBTASKS = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("span", pa.int64()),
        ("action_type", pa.string()),
        ("target", pa.string()),
        ("start", pa.int64()),
        ("interaction", pa.int64()),
        ("end", pa.int64()),
        ("position", _floats(3)),
        ("rotation", _floats(9)),
    ]
)
"""The subtasks as they happened."""

EPISODES = pa.schema(
    [
        ("episode_index", pa.int64()),
        ("key", pa.string()),
        ("steps", pa.int64()),
        ("frames", pa.list_(pa.int32())),
        ("targets", pa.list_(pa.string())),
        ("label_targets", pa.list_(pa.string())),
        ("labels", pa.list_(pa.list_(pa.string()))),
        ("own_ee_position", pa.bool_()),
        ("details", pa.string()),
    ]
)
"""What else belongs to an episode; details are JSON."""


def name_table(names: Sequence[str], index: str, column: str) -> pa.Table:
    """A table that pandas reads as ``DataFrame({column: 0, 1, …}, index=names)``."""
    table = pa.table({column: pa.array(range(len(names)), pa.int64()), index: list(names)})
    described = [
        {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": dtype,
         "metadata": None}
        for name, kind, dtype in ((column, "int64", "int64"), (index, "unicode", "object"))
    ]  # fmt: skip
    pandas = {"index_columns": [index], "column_indexes": [], "columns": described}
    return table.replace_schema_metadata({"pandas": json.dumps(pandas)})
