"""Importing real short episodes in LIBERO's published layout: the stove's knob is turned."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from demos_published import Taken, model_xml, without_noops, write_no_noops, write_published

from rain.cli import demos as command
from rain.demos.hdf5 import read_recordings
from rain.demos.importing import (
    JOURNAL,
    ImportConfig,
    Outcome,
    import_files,
    import_one,
    read_journal,
)
from rain.demos.published import open_published, read_published
from rain.demos.replay import task_of
from rain.demos.verify import (
    Scene,
    check_alignment,
    check_scene,
    fixture_poses_of,
    likely_fixture_poses,
    sample_scene,
)
from rain.types import RainError
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.demonstrate import ExpertConfig, demonstrate


@pytest.fixture(scope="module")
def stove() -> LiberoWorld:
    return LiberoWorld("libero_goal", 7)  # never renders, so it may live beside another


@pytest.fixture(scope="module")
def scene(stove: LiberoWorld) -> Scene:
    return sample_scene(stove)


@pytest.fixture(scope="module")
def taken(stove: LiberoWorld) -> Taken:
    made = demonstrate(stove, "protocol", 3, ExpertConfig(pushed=0, missed=0))
    assert isinstance(made, Demonstration), made
    return Taken(made.states, made.actions, made.fixture_poses)


def import_alone(
    world: LiberoWorld, scene: Scene, path: Path, out: Path, name: str = "demo_0", **settings: bool
) -> Outcome:
    config = ImportConfig(out, **{"actions": False, **settings})
    demo = read_published(path, name)
    return import_one(world, scene, open_published(path), demo, name, config)


def test_a_published_demonstration_becomes_one_of_ours(
    stove: LiberoWorld, scene: Scene, taken: Taken, tmp_path: Path
) -> None:
    path = write_published(tmp_path / "a_demo.hdf5", stove, [taken])
    stove.reset(seed=8)  # the fixtures stand elsewhere now
    outcome = import_alone(stove, scene, path, tmp_path, actions=True)
    assert (outcome.by_states, outcome.by_actions, outcome.reason) == (True, True, "")
    assert outcome.fixtures == "file"
    folder = tmp_path / "protocol" / "libero_goal" / "task_07"
    (recording,) = read_recordings(folder / outcome.written)
    np.testing.assert_array_equal(recording.states, taken.states)
    np.testing.assert_array_equal(recording.actions, taken.actions)
    # MuJoCo writes six digits.
    assert recording.fixture_poses is not None
    np.testing.assert_allclose(recording.fixture_poses, taken.fixture_poses, atol=2e-6)
    assert recording.script is not None
    assert task_of(recording) == ("libero_goal", 7)
    assert recording.script.subtasks == stove.script.subtasks
    assert recording.details["human"]["origin"] == "a_demo.hdf5/demo_0"
    assert recording.details["track"] == "protocol"


def test_fixtures_without_model_file_are_assumed_and_said_to_be(
    stove: LiberoWorld, scene: Scene, taken: Taken, tmp_path: Path
) -> None:
    path = write_published(tmp_path / "a_demo.hdf5", stove, [taken], model=False)
    outcome = import_alone(stove, scene, path, tmp_path)
    assert (outcome.by_states, outcome.fixtures) == (True, "assumed")
    # The true poses, offered among the others, fit best or as well.
    offered = dataclasses.replace(
        scene, fixtures=np.concatenate([scene.fixtures[:3], taken.fixture_poses[None]])
    )
    assert likely_fixture_poses(stove, offered, taken.states) in offered.fixtures


def test_a_file_without_no_ops_reproduces(
    stove: LiberoWorld, scene: Scene, taken: Taken, tmp_path: Path
) -> None:
    path = write_no_noops(tmp_path / f"{stove.task.name}_demo.hdf5", stove, [taken])
    outcome = import_alone(stove, scene, path, tmp_path, "demo_1", actions=True)
    assert (outcome.by_states, outcome.by_actions) == (True, True)
    assert outcome.written == "human_00001.hdf5"


def holds(world: LiberoWorld, state: np.ndarray) -> bool:
    world.set_state(state)
    return world.success()


def test_a_success_by_the_last_action_alone_counts(
    stove: LiberoWorld, scene: Scene, taken: Taken, tmp_path: Path
) -> None:
    stove.reset(seed=0, settle=False)
    stove.set_fixture_poses(taken.fixture_poses)
    last = next(t for t, state in enumerate(taken.states) if holds(stove, state))
    cut = Taken(taken.states[:last], taken.actions[:last], taken.fixture_poses)
    path = write_published(tmp_path / "a_demo.hdf5", stove, [cut])
    outcome = import_alone(stove, scene, path, tmp_path)
    assert outcome.by_states
    assert outcome.steps == last + 1
    shorter = Taken(cut.states[:-12], cut.actions[:-12], taken.fixture_poses)
    path = write_published(tmp_path / "b_demo.hdf5", stove, [shorter, shorter])
    outcome = import_alone(stove, scene, path, tmp_path, "demo_1")
    assert not outcome.by_states
    assert outcome.written == ""
    assert "does not hold" in outcome.reason
    kept = import_alone(stove, scene, path, tmp_path, "demo_1", keep_all=True)
    assert kept.written == "human_00001.hdf5"


@pytest.mark.parametrize("shift", [1, -1])
def test_shifted_states_are_reported(stove: LiberoWorld, taken: Taken, shift: int) -> None:
    stove.reset(seed=0, settle=False)
    stove.set_fixture_poses(taken.fixture_poses)
    check_alignment(stove, taken.states, taken.actions)
    states = taken.states[1:] if shift == 1 else taken.states[:-1]
    actions = taken.actions[:-1] if shift == 1 else taken.actions[1:]
    with pytest.raises(RainError, match=rf"off by one.*actions\[t\{shift:+d}\]"):
        check_alignment(stove, states, actions)
    with pytest.raises(RainError, match="do not lead from one state to the next"):
        check_alignment(stove, taken.states, -taken.actions)


def test_a_shift_is_not_seen_where_motionless_steps_were_left_out(
    stove: LiberoWorld, taken: Taken
) -> None:
    shorter = without_noops(stove, taken)
    check_alignment(stove, shorter.states, shorter.actions)


def test_states_of_another_scene(stove: LiberoWorld, scene: Scene, taken: Taken) -> None:
    check_scene(stove, scene, taken.states)
    with pytest.raises(RainError, match="belongs to another scene"):
        check_scene(stove, scene, taken.states[:, :-1])
    moved = taken.states.copy()
    address = stove.env.objects_dict["plate_1"].joints[-1]
    start = stove.env.sim.model.get_joint_qpos_addr(address)[0]
    moved[0, 1 + start] += 0.3
    with pytest.raises(RainError, match="another scene: plate_1 starts"):
        check_scene(stove, scene, moved)


def test_model_files_of_others(stove: LiberoWorld, taken: Taken) -> None:
    xml = model_xml(stove, taken.fixture_poses)
    for text, words in (
        (xml[: len(xml) // 2], "not readable as XML"),
        (xml.replace("flat_stove_1_main", "flat_stove_2_main"), "no body flat_stove_1_main"),
        ("<mujoco><worldbody/></mujoco>", "another scene"),
    ):
        with pytest.raises(RainError, match=words):
            fixture_poses_of(stove, text)


def test_damaged_files_are_summed_up_the_others_done_and_nothing_twice(
    stove: LiberoWorld, taken: Taken, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = write_published(tmp_path / "in" / "good_demo.hdf5", stove, [taken])
    bad = tmp_path / "in" / "bad_demo.hdf5"
    bad.write_bytes(good.read_bytes()[:1000])
    out = tmp_path / "out"
    arguments = ["import", str(tmp_path / "in"), "--out", str(out), "--workers", "1"]
    with pytest.raises(RainError, match="1 of the files"):
        command.main([*arguments, "--no-actions"])
    printed = capsys.readouterr().out
    assert "bad_demo.hdf5" in printed
    assert "1/1" in printed
    made = out / "protocol" / "libero_goal" / "task_07" / "human_00000.hdf5"
    stamp = made.stat().st_mtime_ns

    # A second time there is nothing to do, however a kill left the journal.
    journal = made.with_name(JOURNAL)
    journal.write_text(journal.read_text() + '{"origin": "good_de')
    assert len(read_journal(made.parent)) == 1
    assert command.main(["import", str(good), "--out", str(out), "--no-actions"]) == 0
    assert "1/1" in capsys.readouterr().out
    assert made.stat().st_mtime_ns == stamp

    # Another file of the task, with another demonstration of that number, is refused.
    other = write_published(
        tmp_path / "other_demo.hdf5", stove,
        [Taken(taken.states[:-1], taken.actions[:-1], taken.fixture_poses)],
    )  # fmt: skip
    config = ImportConfig(out, actions=False, workers=1)
    (_, known), (_, (outcome,)) = import_files([open_published(other)], config)
    assert known == []
    assert "already holds good_demo.hdf5/demo_0" in outcome.error
    assert json.loads(journal.read_text().splitlines()[0])["origin"] == "good_demo.hdf5/demo_0"
