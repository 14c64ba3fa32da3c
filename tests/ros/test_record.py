"""The simulated arm's expert is recorded over real topics: ``make test-ros``."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="make test-ros has it")
pytest.importorskip("mujoco", reason="the simulator is not installed")

from rain.demos.dataset import Dataset
from rain.worlds.omy import omy_conventions
from rain.worlds.omy.kinematics import forward

RAIN = [sys.executable, "-m", "rain.cli.main", "robot"]
TASKS = """
- instruction: put the potato on the red plate
  subtasks: [{action_type: grasp, target: potato}, {action_type: release, target: red_plate}]
"""


def test_an_episode_a_demonstration(tmp_path):
    (tmp_path / "tasks.yaml").write_text(TASKS)
    recorder = subprocess.Popen(
        [*RAIN, "record", "--tasks", str(tmp_path / "tasks.yaml"), "--instruction",
         "put the potato on the red plate", "--out", str(tmp_path / "data"), "--image-size", "64",
         "--regions", "sim", "--recorder.automatic"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        sim = [*RAIN, "sim", "--expert", "1", "--start", "5", "--image-size", "64"]
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
    grasp, release = episode.spans
    assert (str(grasp.subtask), str(release.subtask)) == ("grasp potato", "release red_plate")
    # The arm follows: what is told is what is measured a little later.
    told, measured = episode.actions[:-3, :6], episode.states[3:, :6]
    assert np.abs(told - measured).max() < 0.15
    np.testing.assert_allclose(episode.positions, forward(episode.states[:, :6])[0], atol=1e-5)
    # When the hand closed, it was where the potato is: its region is under the wrist.
    assert episode.region(0, "potato").any()
    assert episode.region(int(grasp.interaction), "potato")[2].any()
