from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from rain.types import RainError, Subtask, TaskScript

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.demos.hdf5 import read_recordings, write_demonstration
from rain.worlds.demonstration import Demonstration

SCRIPT = TaskScript("do it", (Subtask("grasp", "milk_1"), Subtask("release", "basket_1")))


def made(steps: int = 12) -> Demonstration:
    rng = np.random.default_rng(0)
    return Demonstration(
        "libero_object", 7, "open", 42, SCRIPT, "regions", rng.normal(size=(steps, 20)),
        rng.uniform(-1, 1, (steps, 7)), rng.random(steps) < 0.3, np.zeros((0, 7)),
        np.arange(steps) // (steps // 2),
    )  # fmt: skip


def test_round_trip_is_exact(tmp_path: Path) -> None:
    demonstration, path = made(), tmp_path / "task" / "demo.hdf5"
    write_demonstration(path, demonstration, "scene.bddl")
    (recording,) = read_recordings(path)
    np.testing.assert_array_equal(recording.states, demonstration.states)
    np.testing.assert_array_equal(recording.actions, demonstration.actions)
    np.testing.assert_array_equal(recording.disturbed, demonstration.disturbed)
    np.testing.assert_array_equal(recording.subtask, demonstration.subtask)
    assert (recording.suite, recording.task, recording.script) == ("libero_object", 7, SCRIPT)
    assert recording.details["seed"] == 42
    assert [p.name for p in path.parent.iterdir()] == ["demo.hdf5"]


def test_reads_a_file_in_liberos_published_layout(tmp_path: Path) -> None:
    """As people's demonstrations come: several in a file, no fields of ours."""
    path = tmp_path / "human_demo.hdf5"
    with h5py.File(path, "w") as file:
        file.create_group("data").attrs["bddl_file_name"] = "libero_object/scene.bddl"
        for i in (0, 2, 10):
            demo = file["data"].create_group(f"demo_{i}")
            demo["actions"] = np.full((4, 7), i)
            demo["states"] = np.zeros((4, 5))
            demo.create_group("obs")
    recordings = list(read_recordings(path))
    assert [r.name for r in recordings] == ["demo_0", "demo_2", "demo_10"]
    assert recordings[2].actions[0, 0] == 10
    assert recordings[0].script is None
    assert recordings[0].fixture_poses is None
    assert recordings[0].subtask is None
    assert not recordings[0].disturbed.any()


def damage_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damage_foreign(path: Path) -> None:
    path.write_text("not hdf5 at all")


def damage_no_data(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["other"] = 1


def damage_no_states(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["data/demo_0/states"]


def damage_lengths(path: Path) -> None:
    with h5py.File(path, "a") as file:
        del file["data/demo_0/states"]
        file["data/demo_0/states"] = np.zeros((3, 20))


def damage_nan(path: Path) -> None:
    with h5py.File(path, "a") as file:
        file["data/demo_0/actions"][2, 1] = np.nan


def damage_empty(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("data")


@pytest.mark.parametrize(
    "damage",
    [damage_truncated, damage_foreign, damage_no_data, damage_no_states, damage_lengths,
     damage_nan, damage_empty],
)  # fmt: skip
def test_damaged_files_are_one_line_errors_that_name_them(tmp_path: Path, damage) -> None:
    path = tmp_path / "demo.hdf5"
    write_demonstration(path, made(), "scene.bddl")
    damage(path)
    with pytest.raises(RainError, match=r"demo\.hdf5") as caught:
        list(read_recordings(path))
    assert "\n" not in str(caught.value)
