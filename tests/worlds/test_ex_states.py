"""The frozen init states: intact, complete, at rest, and what becomes of damaged ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from worlds_helpers import freeze_and_spoil

from rain.types import RainError
from rain.worlds.libero.ex.freeze import FIRST_SEED, is_frozen, takes_official_states
from rain.worlds.libero.ex.states import (
    DEVELOPMENT,
    EVALUATION,
    STATES,
    SUMS,
    read_states,
    read_sums,
    states_file,
    write_states,
    write_sums,
    wrong_sum,
)
from rain.worlds.libero.ex.tasks import ex_task, ex_tasks
from rain.worlds.libero.ex.verify import file_faults, verify_task
from rain.worlds.processes import run_jobs

pytest.importorskip("libero", reason="the simulator is not installed")


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A folder with the states of task 040 and their checksum."""
    shutil.copy(states_file(STATES, "040"), tmp_path)
    write_sums(tmp_path)
    return tmp_path


def test_the_package_holds_every_task_and_nothing_else() -> None:
    names = {f"{task.id}.npz" for task in ex_tasks()}
    assert {path.name for path in STATES.iterdir()} == names | {SUMS}
    assert set(read_sums(STATES)) == names
    for task in ex_tasks():
        assert wrong_sum(STATES, task.id) is None, task.id


@pytest.mark.parametrize("number", [task.id for task in ex_tasks()])
def test_stored_states_are_what_their_declaration_says(number: str) -> None:
    task, frozen = ex_task(number), read_states(states_file(STATES, number))
    starts, signature = frozen.starts, frozen.signature
    assert file_faults(task, frozen) == []
    assert is_frozen(task, STATES)
    assert (starts.evaluation, starts.development) == (EVALUATION, DEVELOPMENT) == (10, 20)
    assert starts.states.shape == (30, 1 + signature.nq + signature.nv)
    assert starts.states.dtype == np.float64
    assert starts.fixture_poses is not None
    assert starts.fixture_poses.shape == (30, len(signature.fixtures), 7)
    assert np.isfinite(starts.states).all()
    # At rest, at the start of time.
    assert not starts.states[:, 0].any()
    assert not starts.states[:, 1 + signature.nq :].any()
    turns = np.linalg.norm(starts.fixture_poses[..., 3:], axis=-1)
    np.testing.assert_allclose(turns, 1.0, atol=1e-6)
    # No sample twice; official states keep their numbers, samples their seeds.
    assert len(set(frozen.origins.tolist())) == 30
    assert frozen.official == takes_official_states(task)
    first = 0 if frozen.official else FIRST_SEED + 1000 * int(number)
    assert (np.diff(frozen.origins) > 0).all()
    skipped = int(frozen.origins[-1]) - first + 1 - 30
    assert skipped == sum(frozen.rejected.values()), "every sample was kept or counted"


def test_fixtures_stand_elsewhere_in_every_state() -> None:
    """LIBERO's own stored states leave out where fixtures stand."""
    poses = read_states(states_file(STATES, "040")).starts.fixture_poses
    assert poses is not None
    assert 0.001 < np.ptp(poses[:, 0, :2], axis=0).max() < 0.021


def test_nothing_is_pickled() -> None:
    for path in STATES.glob("*.npz"):
        with np.load(path, allow_pickle=False) as stored:
            assert all(stored[name].dtype != object for name in stored.files)


def test_what_was_written_is_read(copied: Path) -> None:
    frozen = read_states(copied / "040.npz")
    write_states(copied / "041.npz", frozen)
    again = read_states(copied / "041.npz")
    np.testing.assert_array_equal(again.starts.states, frozen.starts.states)
    np.testing.assert_array_equal(again.starts.fixture_poses, frozen.starts.fixture_poses)
    np.testing.assert_array_equal(again.origins, frozen.origins)
    assert (again.signature, again.rejected, again.made_with, again.official) == (
        frozen.signature, frozen.rejected, frozen.made_with, frozen.official
    )  # fmt: skip
    # Not the states of that task, though.
    write_sums(copied)
    (fault,) = verify_task("041", copied, scenes=False).faults
    assert "another declaration" in fault
    assert not is_frozen(ex_task("041"), copied)


def test_damage_is_found_and_said_in_one_line(copied: Path) -> None:
    path = copied / "040.npz"
    assert verify_task("040", copied, scenes=False).faults == ()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert verify_task("040", copied, scenes=False).faults == ("040.npz differs from its checksum",)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(RainError, match="damaged init states") as caught:
        read_states(path)
    assert "\n" not in str(caught.value)
    assert not is_frozen(ex_task("040"), copied)
    path.unlink()
    assert verify_task("040", copied, scenes=False).faults == ("040.npz is missing",)
    with pytest.raises(RainError, match="reinstall"):
        read_states(path)
    (copied / SUMS).unlink()
    with pytest.raises(RainError, match="checksums cannot be read"):
        wrong_sum(copied, "040")


def test_freezing_and_verifying_in_the_simulator() -> None:
    (found,) = run_jobs(freeze_and_spoil, [(37,)], 1)
    stored = read_states(states_file(STATES, "037"))
    assert found["shape"] == (2, stored.starts.states.shape[1])
    assert found["speed"] == 0.0
    assert found["same"], "samples follow their seeds"
    assert found["origins"] == stored.origins[:2].tolist()
    assert found["ok"] == []
    assert found["lifted"] == ["state 1 does not stay at rest"]
    assert any("state 0 is unfit: " in fault for fault in found["finished"])
    assert not any("state 1" in fault for fault in found["finished"])
