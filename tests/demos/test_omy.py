"""The simulated arm's demonstrations go the way of LIBERO's: files, replay, dataset, samples."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from rain.demos import collect as collecting
from rain.demos.annotate import signed_gripper
from rain.demos.boundaries import compare
from rain.demos.collect import CollectConfig, collect
from rain.demos.dataset import DatasetWriter
from rain.demos.hdf5 import read_recording
from rain.demos.replay import ReplayConfig, replay
from rain.demos.samples import SampleOptions, episode_samples
from rain.types import RainError
from rain.worlds.omy import OmyWorld
from rain.worlds.omy.kinematics import forward

# Not importorskip: the world chooses a GL back end before mujoco is imported for the first time.
pytestmark = pytest.mark.skipif(not find_spec("mujoco"), reason="the simulator is not installed")


@pytest.fixture(scope="module")
def world():
    made = OmyWorld("omy", 0, image_size=64)
    yield made
    made.close()


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory):
    out = tmp_path_factory.mktemp("demos")
    config = CollectConfig(suite="omy", track="protocol", tasks=(0,), demos=1, out=out)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            collecting, "stream_jobs",
            lambda function, jobs, workers: (x for job in jobs for x in function(*job)),
        )  # fmt: skip
        (outcome,) = collect(config)
        assert outcome.made
        assert outcome.action_types == ("grasp", "release")
        assert not list(collect(config))  # what is there is not made again
    return read_recording(config.file("omy", 0, 0), "demo_0")


def test_annotation_finds_the_boundaries_of_the_expert(world, recording):
    checked = compare(world, recording)
    assert not checked.failure
    assert [abs(b.late) <= 5 for b in checked.boundaries] == [True, True]


def test_an_episode_keeps_joints_and_where_the_hand_was(world, recording):
    episode = replay(world, recording, ReplayConfig(image_size=64, stride=30, dense=5))
    assert episode.images.shape[1:] == (3, 64, 64, 3)
    position, rotation = forward(episode.states[:, :6])
    np.testing.assert_allclose(episode.positions, position, atol=1e-5)
    np.testing.assert_allclose(episode.ee_rotation, rotation, atol=1e-5)
    grasp, release = episode.spans
    # It closes on what it grasps, and lets go above the place.
    np.testing.assert_allclose(grasp.position[2], 0.02, atol=0.02)
    assert episode.actions[release.interaction, 6] < 0.4 < episode.actions[grasp.end, 6]
    # Chunks hold the last target past a subtask's end: absolute joints have no zero motion.
    samples = episode_samples(episode, SampleOptions(), world.conventions, 5.0)
    done = samples.take((samples.span == 1) & (samples.step >= release.end))
    assert len(done)
    held = np.broadcast_to(episode.actions[release.end - 1], done.actions.shape)
    np.testing.assert_array_equal(done.actions, held)


def test_the_dataset_has_the_hand_s_pose_among_lerobot_s_features(world, recording, tmp_path):
    from scipy.spatial.transform import Rotation

    episode = replay(world, recording, ReplayConfig(image_size=64, stride=30, dense=5))
    with DatasetWriter(tmp_path / "d", world.conventions, "protocol", images="png") as writer:
        writer.append(episode)
    info = json.loads((tmp_path / "d" / "meta" / "info.json").read_text())
    names = info["features"]["observation.ee_pose"]["names"]
    assert names == ["x", "y", "z", "rx", "ry", "rz"]
    (file,) = (tmp_path / "d" / "data").rglob("*.parquet")
    poses = np.stack(pq.read_table(file)["observation.ee_pose"].to_pylist())
    position, rotation = forward(episode.states[episode.frames, :6])
    np.testing.assert_allclose(poses[:, :3], position, atol=1e-5)
    turned = Rotation.from_rotvec(poses[:, 3:]).as_matrix()
    np.testing.assert_allclose(turned, rotation, atol=1e-4)


def test_a_command_closes_above_its_meaning_s_threshold():
    actions = np.zeros((3, 7))
    actions[:, 6] = [0.1, 0.5, 1.0]
    assert (signed_gripper(actions, "omy_joint_absolute")[:, 6] > 0).tolist() == [False, True, True]
    np.testing.assert_array_equal(signed_gripper(actions, "libero_osc_pose_delta"), actions)


def test_what_cannot_be_collected_is_one_line(tmp_path: Path):
    with pytest.raises(RainError, match="omy has tasks 0 to 8"):
        CollectConfig(suite="omy", tasks=(9,), out=tmp_path).check()
    with pytest.raises(RainError, match="LIBERO only"):
        list(collect(CollectConfig(suite="omy", out=tmp_path), lambda seed: None))
