"""The simulated arm's expert is recorded over real topics: ``make test-ros``."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="make test-ros has it")
pytest.importorskip("mujoco", reason="the simulator is not installed")

from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels, pack
from rain.demos.retargeting import retarget_samples
from rain.demos.samples import SampleOptions, dataset_samples
from rain.worlds.omy import omy_conventions
from rain.worlds.omy.kinematics import forward

RAIN = [sys.executable, "-m", "rain.cli.main", "robot"]
INSTRUCTION = "put the potato on the red plate and put the lemon on the green plate"
TASKS = f"""
- instruction: {INSTRUCTION}
  subtasks:
  - {{action_type: grasp, target: potato}}
  - {{action_type: release, target: red_plate}}
  - {{action_type: grasp, target: lemon}}
  - {{action_type: release, target: green_plate}}
"""


def test_an_episode_a_demonstration(tmp_path):
    (tmp_path / "tasks.yaml").write_text(TASKS)
    recorder = subprocess.Popen(
        [*RAIN, "record", "--tasks", str(tmp_path / "tasks.yaml"), "--instruction", INSTRUCTION,
         "--out", str(tmp_path / "data"), "--image-size", "64", "--regions", "sim",
         "--recorder.automatic"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        sim = [*RAIN, "sim", "--expert", "1", "--then", "4", "--start", "5", "--image-size", "64"]
        done = subprocess.run(sim, stdout=subprocess.PIPE, text=True, timeout=90)
        assert '{"success": 1, "episodes": 1}' in done.stdout
        said = ""
        while "steps" not in said:
            said += recorder.stdout.readline()
        out, _ = recorder.communicate("quit\n", timeout=60)
    finally:
        recorder.kill()
    assert "1 episodes were recorded" in out, said + out
    data = Dataset.open(tmp_path / "data")
    assert data.conventions == omy_conventions(64)
    (episode,) = data
    assert [str(span.subtask) for span in episode.spans] == [
        "grasp potato", "release red_plate", "grasp lemon", "release green_plate",
    ]  # fmt: skip
    grasp = episode.spans[0]
    # The arm follows: what is told is what is measured a little later.
    told, measured = episode.actions[:-3, :6], episode.states[3:, :6]
    assert np.abs(told - measured).max() < 0.15
    np.testing.assert_allclose(episode.positions, forward(episode.states[:, :6])[0], atol=1e-5)
    # When the hand closed, it was where the potato is: its region is under the wrist.
    assert episode.region(0, "potato").any()
    assert episode.region(int(grasp.interaction), "potato")[2].any()
    # On its way to the potato the hand could as well go to the lemon, by joint targets.
    pack(data, tmp_path / "cache")
    samples = dataset_samples(data, SampleOptions())
    pixels = PackedPixels.open(data, tmp_path / "cache")
    made = retarget_samples(data, samples, pixels).samples
    assert len(made)
    assert not made.completed.any()
    # Its first targets are near the joints as they are: nothing jumps.
    assert np.abs(made.actions[:, 0, :6] - made.state[:, :6]).max() < 0.2
