"""Where standing cameras are, read from YAML; the simulated arm's agree with the simulator."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
import yaml

from rain.robot.calibration import load_calibration
from rain.types import RainError

GOOD = {
    "position": [0, 0, 1],
    "rotation": [[0, -1, 0], [-1, 0, 0], [0, 0, -1]],
    "field_of_view": 90,
}


@pytest.mark.skipif(not find_spec("mujoco"), reason="the simulator is not installed")
def test_the_simulated_arm_s_cameras_are_where_the_simulator_has_them():
    from rain.worlds.omy import OmyWorld

    points = np.random.default_rng(0).uniform((0.2, -0.3, 0.0), (0.6, 0.3, 0.4), (20, 3))
    world = OmyWorld("omy", 0, image_size=64)
    try:
        world.reset(seed=0)
        for view, camera in load_calibration("omy_f3m_sim").items():
            np.testing.assert_allclose(
                camera.project(points, 64), world.project(points, view, 64), atol=0.01
            )
    finally:
        world.close()


def test_right_down_and_what_is_behind(tmp_path):
    path = tmp_path / "cameras.yaml"
    path.write_text(yaml.safe_dump({"top": GOOD}))
    camera = load_calibration(path)["top"]
    # It looks straight down from 1 m with x up in its picture: half of it shows 1 m.
    seen = camera.project(np.array([[0, 0, 0], [0.5, 0, 0], [0, -0.5, 0], [0, 0, 2]]), 101)
    np.testing.assert_allclose(seen[:3], [[50, 50], [50, 24.75], [75.25, 50]])
    assert np.isnan(seen[3]).all()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"position": [0, 0]}, "position: expected numbers"),
        ({"position": [0, 0, "x"]}, "position: expected numbers"),
        ({"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 2]]}, "no right-hand axes"),
        ({"rotation": [[1, 0, 0], [0, 1, 0], [0, 0, -1]]}, "no right-hand axes"),
        ({"field_of_view": 0}, "0 to 180"),
        ({"zoom": 2}, "exactly position"),
    ],
)
def test_what_is_no_calibration(tmp_path, change, why):
    path = tmp_path / "cameras.yaml"
    path.write_text(yaml.safe_dump({"top": {**GOOD, **change}}))
    with pytest.raises(RainError, match=why):
        load_calibration(path)


def test_files_that_are_none(tmp_path):
    (tmp_path / "a.yaml").write_text("- 1")
    with pytest.raises(RainError, match="expected views"):
        load_calibration(tmp_path / "a.yaml")
    with pytest.raises(RainError, match="cannot be read"):
        load_calibration(tmp_path / "none.yaml")
