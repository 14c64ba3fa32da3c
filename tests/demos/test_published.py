from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from demos_published import Taken, write_published

from rain.demos.published import open_published, read_published
from rain.types import RainError
from rain.worlds.libero import LiberoWorld


def taken(steps: int = 6) -> Taken:
    rng = np.random.default_rng(0)
    states = rng.normal(size=(steps, 20))
    return Taken(states, rng.uniform(-1, 1, (steps, 7)), np.zeros((0, 7)))


@pytest.fixture
def path(libero_world: LiberoWorld, tmp_path: Path) -> Path:
    one = taken()
    return write_published(tmp_path / "a_demo.hdf5", libero_world, [one, one], model=False)


def test_task_is_found_by_the_stem_of_a_foreign_path(path: Path, libero_world: LiberoWorld) -> None:
    file = open_published(path)
    assert (file.suite, file.task, file.names) == ("libero_object", 0, ("demo_0", "demo_1"))
    assert file.problem == ""
    demo = read_published(path, "demo_1")
    np.testing.assert_array_equal(demo.states, taken().states)
    assert demo.origin == "a_demo.hdf5/demo_1"
    assert demo.model is None


def test_windows_paths_and_files_without_attributes(path: Path, tmp_path: Path) -> None:
    name = open_published(path).bddl.rsplit("/", 1)[1]
    with h5py.File(path, "a") as file:
        file["data"].attrs["bddl_file_name"] = f"C:\\libero\\{name}"
    assert open_published(path).task == 0
    with h5py.File(path, "a") as file:
        for attribute in list(file["data"].attrs):
            del file["data"].attrs[attribute]
    with pytest.raises(RainError, match="not one of the 40 tasks"):
        open_published(path)
    named = path.rename(tmp_path / f"{Path(name).stem}_demo.hdf5")
    assert open_published(named).task == 0


def edit(change: Callable[[h5py.Group], None]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        with h5py.File(path, "a") as file:
            change(file["data"])

    return damage


def replace(key: str, values: np.ndarray) -> Callable[[Path], None]:
    def change(data: h5py.Group) -> None:
        del data[key]
        data[key] = values

    return edit(change)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def nothing_in_it(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_group("data")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (truncate, "truncated"),
        (nothing_in_it, "no demonstration"),
        (
            edit(lambda data: data.attrs.modify("bddl_file_name", "/x/kitchen_99.bddl")),
            "kitchen_99",
        ),
        (edit(lambda data: data["demo_0"].attrs.modify("rain", "{}")), "rain demos process"),
    ],
)
def test_damaged_files_are_named(path: Path, damage: Callable[[Path], None], words: str) -> None:
    damage(path)
    with pytest.raises(RainError, match=rf"a_demo\.hdf5.*{words}") as caught:
        open_published(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (edit(lambda data: data["demo_1"].__delitem__("actions")), "no 'actions'"),
        (replace("demo_1/states", np.zeros((5, 20))), "6 actions but states"),
        (replace("demo_1/actions", np.zeros((6, 8))), r"expected \(L, 7\)"),
        (replace("demo_1/states", np.full((6, 20), np.nan)), "NaN"),
        (replace("demo_1/actions", np.full((6, 7), 1.5)), r"1\.50, outside \[-1, 1\]"),
        (replace("demo_1/actions", np.full((6, 7), b"x")), "cannot be read"),
        (edit(lambda data: data["demo_1"].attrs.modify("num_samples", 9)), "num_samples says 9"),
    ],
)
def test_damaged_demonstrations_are_named_and_leave_the_others(
    path: Path, damage: Callable[[Path], None], words: str
) -> None:
    damage(path)
    assert open_published(path).names == ("demo_0", "demo_1")
    with pytest.raises(RainError, match=rf"a_demo\.hdf5.*demo_1.*{words}") as caught:
        read_published(path, "demo_1")
    assert "\n" not in str(caught.value)
    read_published(path, "demo_0")


def test_missing_demonstrations_are_a_problem_of_the_file(path: Path) -> None:
    edit(lambda data: data.__delitem__("demo_0"))(path)
    file = open_published(path)
    assert file.names == ("demo_1",)
    assert "num_demos says 2" in file.problem
