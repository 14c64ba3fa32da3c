"""Whatever is missing, truncated or damaged is an error that names its file."""

from __future__ import annotations

import json
from pathlib import Path

import demos_helpers as helpers
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rain.demos.dataset import Dataset
from rain.demos.lerobot.files import size_and_sum, write_parquet
from rain.demos.lerobot.pixels import encode_png
from rain.types import RainError

FILES = [
    "meta/info.json",
    "meta/stats.json",
    "meta/tasks.parquet",
    "meta/subtasks.parquet",
    "meta/episodes/chunk-000/file-000.parquet",
    "data/chunk-000/file-000.parquet",
    "videos/observation.images.wrist/chunk-000/file-000.mp4",
    "rain/steps/chunk-000/file-000.parquet",
    "rain/subtasks/chunk-000/file-000.parquet",
    "rain/episodes/chunk-000/file-000.parquet",
]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def remove(path: Path) -> None:
    path.unlink()


def overwrite(path: Path) -> None:
    path.write_bytes(b"nothing of the kind".ljust(path.stat().st_size, b"\0"))


def flip(path: Path) -> None:
    """Flip bytes in the middle: the size stays."""
    data = bytearray(path.read_bytes())
    for i in range(len(data) // 3, len(data) // 3 + 40):
        data[i] ^= 0xFF
    path.write_bytes(bytes(data))


def read_all(folder: Path) -> None:
    data = Dataset.open(folder)
    for i in range(len(data)):
        data.motion(i)
        data.episode(i)


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", [truncate, remove, overwrite, flip])
def test_a_damaged_file_is_named(tmp_path: Path, file: str, damage) -> None:
    if damage is flip and file in ("meta/info.json", FILES[6]):
        pytest.skip("info.json holds the sums; a flipped bit of a video is still a picture")
    helpers.dataset(tmp_path, 2, images="video", stride=10)
    damage(tmp_path / file)
    with pytest.raises(RainError) as error:
        read_all(tmp_path)
    assert file in str(error.value)
    assert "\n" not in str(error.value)


def _change(folder: Path, file: str, change) -> None:
    """Rewrite a parquet file, and its size in info.json: as bad as damage can be."""
    path = folder / file
    write_parquet(path, change(pq.read_table(path)))
    info = json.loads((folder / "meta/info.json").read_text())
    info["rain"]["files"][file] = size_and_sum(path)
    (folder / "meta/info.json").write_text(json.dumps(info))


DATA, KEY = FILES[5], "observation.images.agentview"
PNG = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def _with_frame(table: pa.Table, value) -> pa.Table:
    values = table[KEY].to_pylist()
    values[3] = value
    return table.set_column(table.schema.get_field_index(KEY), KEY, pa.array(values, PNG))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.slice(0, len(t) - 1), r"file-000\.parquet: .*10 rows, 9 are there"),
        (
            lambda t: _with_frame(t, {"bytes": None, "path": None}),
            "frame 3, observation.images.agentview: there is no image",
        ),
        (lambda t: _with_frame(t, {"bytes": b"no", "path": None}), "frame 3.*not a readable PNG"),
        (
            lambda t: _with_frame(
                t, {"bytes": encode_png(np.zeros((4, 4, 3), np.uint8)), "path": None}
            ),
            r"frame 3.*expected uint8 \(32, 32, 3\), got uint8 \(4, 4, 3\)",
        ),
        (lambda t: t.drop_columns(["step"]), r"file-000\.parquet: not readable"),
        (
            lambda t: t.set_column(t.schema.get_field_index("step"), "step", t["frame_index"]),
            "episode 0 lacks frames",
        ),
    ],
)
def test_a_missing_or_unreadable_frame_is_named(tmp_path: Path, change, words: str) -> None:
    helpers.dataset(tmp_path, 1, stride=10)
    _change(tmp_path, DATA, change)
    data = Dataset.open(tmp_path)
    with pytest.raises(RainError, match=words) as error:
        data.episode(0)
    assert DATA in str(error.value)


def test_missing_steps_and_tables_that_do_not_fit(tmp_path: Path) -> None:
    folder = helpers.dataset(tmp_path / "a", 1, stride=10)
    _change(folder, FILES[7], lambda t: t.slice(1))
    with pytest.raises(RainError, match=r"rain/steps.*100 rows, 99 are there"):
        Dataset.open(folder).motion(0)
    folder = helpers.dataset(tmp_path / "b", 2, stride=10)
    _change(folder, FILES[8], lambda t: t.slice(0, 2))
    with pytest.raises(RainError, match="episode 1: its tables do not fit together"):
        Dataset.open(folder)
    folder = helpers.dataset(tmp_path / "c", 2, stride=10)
    _change(folder, FILES[9], lambda t: t.slice(0, 1))
    with pytest.raises(RainError, match=r"lists 2 episodes, the episodes tables hold 1"):
        Dataset.open(folder)


@pytest.mark.parametrize("missing", ["observation.state", ("action", "std")])
def test_an_absent_statistic_is_named(tmp_path: Path, missing) -> None:
    helpers.dataset(tmp_path, 1, stride=10)
    path = tmp_path / "meta/stats.json"
    stats = json.loads(path.read_text())
    key, name = missing if isinstance(missing, tuple) else (missing, "min")
    if isinstance(missing, tuple):
        del stats[key][name]
    else:
        del stats[key]
    path.write_text(json.dumps(stats))
    info = json.loads((tmp_path / "meta/info.json").read_text())
    info["rain"]["files"]["meta/stats.json"] = size_and_sum(path)
    (tmp_path / "meta/info.json").write_text(json.dumps(info))
    with pytest.raises(RainError, match=f"stats.json: no {name} of {key}"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no dataset there"),
        ("{", "not readable as JSON"),
        ("[]", "not a dataset of RAIN"),
        ('{"codebase_version": "v3.0"}', "not a dataset of RAIN"),
        ('{"codebase_version": "v2.1", "rain": {}}', r"expected LeRobot v3\.0"),
        ('{"codebase_version": "v3.0", "rain": {}}', "damaged"),
        (
            '{"codebase_version": "v3.0", "total_episodes": 0, '
            '"rain": {"format": 9, "commits": 0, "files": {}}}',
            "expected RAIN dataset format 2, got 9",
        ),
    ],
)
def test_bad_info_is_an_error_that_names_it(tmp_path: Path, text, message: str) -> None:
    if text is not None:
        (tmp_path / "meta").mkdir()
        (tmp_path / "meta/info.json").write_text(text)
    with pytest.raises(RainError, match=message) as error:
        Dataset.open(tmp_path)
    assert str(tmp_path) in str(error.value)
