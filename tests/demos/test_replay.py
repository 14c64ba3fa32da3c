from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.cli.demos_import import find_hdf5
from rain.demos.annotate import annotate, trace
from rain.demos.collect import CollectConfig, collect
from rain.demos.dataset import Dataset
from rain.demos.hdf5 import read_recordings, write_demonstration
from rain.demos.replay import ReplayConfig, kept_frames, process, replay, source_of
from rain.types import HORIZON, RainError
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.demonstrate import ExpertConfig, demonstrate
from rain.worlds.mujoco_world import LIFTED


@pytest.fixture(scope="module")
def recorded(libero_world: LiberoWorld, tmp_path_factory: pytest.TempPathFactory) -> Path:
    demonstration = demonstrate(libero_world, "open", 2, ExpertConfig(pushed=1.0))
    assert isinstance(demonstration, Demonstration), demonstration
    path = tmp_path_factory.mktemp("demos") / "task_00" / "demo_00000.hdf5"
    write_demonstration(path, demonstration, "scene.bddl")
    return path


def test_subtasks_are_found_where_they_happened(libero_world: LiberoWorld, recorded: Path) -> None:
    (recording,) = read_recordings(recorded)
    assert recording.script is not None
    seen = trace(libero_world, recording.states, recording.script)
    grasp, release = annotate(recording.script, seen, recording.actions)
    # Closing begins at the interaction, opening at that of the release.
    assert recording.actions[grasp.interaction, 6] > 0
    assert recording.actions[grasp.interaction - 1, 6] < 0
    assert recording.actions[release.interaction, 6] < 0
    assert recording.actions[release.interaction - 1, 6] > 0
    height = seen.heights[grasp.subtask.target]
    assert height[grasp.end] - height[0] >= LIFTED > height[grasp.end - 1] - height[0]
    assert grasp.end == release.start
    np.testing.assert_allclose(grasp.position, seen.states[grasp.interaction, :3])


def test_episode_shows_the_recorded_states(libero_world: LiberoWorld, recorded: Path) -> None:
    (recording,) = read_recordings(recorded)
    episode = replay(libero_world, recording, ReplayConfig(stride=25, dense=10))
    assert episode.images.shape[1:] == (2, 128, 128, 3)
    assert len(episode.targets) == 2
    step = int(episode.frames[0])
    libero_world.set_state(recording.states[step])
    np.testing.assert_array_equal(episode.images[0, 0], libero_world.render("agentview", 128))
    # Every target of the scene has its region, not only those of the script.
    assert set(episode.targets) < set(libero_world.targets())
    expected = libero_world.regions(list(libero_world.targets()), "agentview")
    for name, region in zip(libero_world.targets(), expected, strict=True):
        np.testing.assert_array_equal(episode.region(0, name)[0], region, err_msg=name)
    np.testing.assert_allclose(episode.states[step], libero_world.state(), atol=1e-6)


def test_frames_before_a_disturbance_are_left_out(
    libero_world: LiberoWorld, recorded: Path
) -> None:
    (recording,) = read_recordings(recorded)
    assert recording.script is not None
    spans = annotate(
        recording.script, trace(libero_world, recording.states, recording.script), recording.actions
    )
    frames = kept_frames(spans, recording.disturbed, ReplayConfig())
    assert recording.disturbed.any()
    for frame in frames:
        assert not recording.disturbed[frame : frame + HORIZON].any()
    calm = kept_frames(spans, np.zeros_like(recording.disturbed), ReplayConfig())
    assert len(calm) > len(frames)
    near = [f for f in calm if abs(f - spans[0].interaction) <= 6]
    assert len(near) >= 5


def test_a_recording_without_a_frame_to_keep_is_named_not_written(
    libero_world: LiberoWorld, recorded: Path
) -> None:
    (recording,) = read_recordings(recorded)
    led = dataclasses.replace(recording, disturbed=np.ones_like(recording.disturbed))
    with pytest.raises(RainError, match="nothing to learn from"):
        replay(libero_world, led, ReplayConfig())


def test_collecting_and_processing_continue_where_they_stopped(tmp_path: Path) -> None:
    def config(demos: int) -> CollectConfig:
        return CollectConfig(demos=demos, tasks=(3,), workers=1, out=tmp_path / "demos")

    assert [o.number for o in collect(config(1)) if o.made] == [0]
    first = config(1).file("libero_object", 3, 0)
    stamp = first.stat().st_mtime_ns
    assert [o.number for o in collect(config(2)) if o.made] == [1]
    assert first.stat().st_mtime_ns == stamp
    assert list(collect(config(2))) == []
    folder, out = tmp_path / "demos", tmp_path / "dataset"
    fast = ReplayConfig(stride=40, dense=20, workers=1)
    files = find_hdf5((folder,))
    list(process(files[:1], out, "open", fast))
    assert len(Dataset.open(out)) == 1
    list(process(files, out, "open", fast))
    dataset = Dataset.open(out)
    assert len(dataset) == 2
    assert len({entry.details["source"] for entry in dataset.entries}) == 2
    list(process(files, out, "open", fast))
    assert len(Dataset.open(out)) == 2


def test_demonstrations_of_two_suites_are_told_apart() -> None:
    """Or a resumed run takes one suite's for the other's, and leaves it out."""
    files = [Path(f"data/protocol/{s}/task_00/demo_00000.hdf5") for s in ("one", "other")]
    assert source_of(files[0], "demo_0") != source_of(files[1], "demo_0")
    assert source_of(files[0], "demo_0") == "one/task_00/demo_00000.hdf5/demo_0"


def test_processing_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RainError, match="rain collect"):
        list(process([], tmp_path / "out", "open", ReplayConfig()))
