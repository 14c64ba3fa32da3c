"""The description of a robot: the preset, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from rain.robot.robot import PRESETS, load_robot, robot_from
from rain.types import RainError
from rain.worlds.omy import arm, omy_conventions

PRESET = yaml.safe_load((PRESETS / "omy_f3m.yaml").read_text())


def changed(**paths):
    """The preset with values at dotted paths changed; None takes the key out."""
    content = yaml.safe_load(yaml.safe_dump(PRESET))
    for path, value in paths.items():
        *above, last = path.split("__")
        place = content
        for key in above:
            place = place[key]
        if value is None:
            del place[last]
        else:
            place[last] = value
    return content


def test_the_preset_means_what_the_simulated_arm_means():
    robot = load_robot("omy_f3m")
    assert robot.joints == arm.NAMES
    assert robot.conventions(("third", "top", "wrist"), 336) == omy_conventions()


def test_the_presets_limits_are_within_those_published():
    robot = load_robot("omy_f3m")
    assert (robot.low[:6] >= arm.LIMITS[:, 0]).all()
    assert (robot.high[:6] <= arm.LIMITS[:, 1]).all()
    assert (robot.low[6], robot.high[6]) == arm.GRIPPER_LIMITS
    assert (robot.velocity <= np.append(np.full(6, arm.SPEED), arm.GRIPPER_SPEED)).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hold": None}, "hold must be given; there is no default"),
        ({"hold": "zero"}, "hold: expected one of last_target, measured"),
        ({"speed": 1.0}, "unknown speed"),
        ({"joints__joint2": None}, "expected 7 joints with the gripper's, 6"),
        ({"joints__joint2__velocity": None}, "joint2: velocity must be given"),
        ({"joints__joint2__velocity": 0}, "joint2.velocity: expected a number, more than 0"),
        ({"joints__joint2__position": [1, -1]}, "joint2.position: expected [lower, upper]"),
        ({"joints__joint2__step": float("nan")}, "joint2.step: expected a number"),
        ({"gripper": {}}, "gripper: expected one joint"),
        ({"workspace__z": None}, "workspace: z must be given"),
        ({"slow_start__share": 2}, "slow_start.share: expected at most 1"),
        ({"cameras__top__quarter_turns": 4}, "quarter_turns: expected 0, 1, 2 or 3"),
        ({"topics__command": ""}, "topics.command: expected text"),
        ({"rate_hz": True}, "rate_hz: expected a number"),
        ({"kinematics": "ur5"}, "kinematics: expected one of omy_f3m"),
    ],
)
def test_what_is_missing_or_wrong_is_named(change, said):
    with pytest.raises(RainError) as caught:
        robot_from(changed(**change), "robot mine.yaml")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(changed(name="mine", hold="measured")))
    assert load_robot(path).hold == "measured"
    path.write_text("[: no")
    with pytest.raises(RainError, match="it is no YAML"):
        load_robot(path)
    with pytest.raises(RainError, match=r"no robot 'his': no file, and no preset \(omy_f3m\)"):
        load_robot("his")


def test_a_view_without_camera_is_refused():
    with pytest.raises(RainError, match="no view 'agentview'"):
        load_robot("omy_f3m").conventions(("agentview",), 336)
