"""What passes the safety layer, against bounds computed here."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robot_fakes import ROBOT, START

from rain.robot.safety import Safety
from rain.worlds.omy.kinematics import forward

PERIOD = 1 / 30


def warm(safety, seconds=3.0, at=START):
    """Past the slow start: the arm has moved, as far as standing targets are a motion."""
    for _ in range(round(seconds * 30)):
        safety.check(at, at)
    return safety


def whats(checked):
    return [clamp.what for clamp in checked.clamps]


class TestTargets:
    def test_a_safe_target_passes_unchanged(self):
        wanted = START + 0.01
        checked = warm(Safety(ROBOT)).check(wanted, START)
        np.testing.assert_array_equal(checked.target, wanted)
        assert checked.clamps == ()

    @given(st.lists(st.floats(-10, 10), min_size=70, max_size=70), st.integers(0, 2**32 - 1))
    @settings(max_examples=60, deadline=None)
    def test_no_sequence_of_targets_gets_beyond_any_limit(self, numbers, seed):
        safety, here, last = Safety(ROBOT), START.copy(), START.copy()
        rng = np.random.default_rng(seed)
        for wanted in np.array(numbers).reshape(10, 7):
            target = safety.check(wanted, here).target
            assert (target >= ROBOT.low).all()
            assert (target <= ROBOT.high).all()
            assert (np.abs(target - last) <= ROBOT.velocity * PERIOD + 1e-9).all()
            hand = forward(target[:6])[0]
            assert (hand >= ROBOT.workspace[:, 0] - 1e-9).all()
            assert (hand <= ROBOT.workspace[:, 1] + 1e-9).all()
            last = target
            # The arm follows as well as it likes, never backwards.
            here = here + rng.uniform(0, 1) * (target - here)

    def test_each_limit_says_what_it_changed(self):
        wanted = START.copy()
        wanted[2], wanted[6] = 3.0, -0.5
        checked = warm(Safety(ROBOT)).check(wanted, START)
        by_kind = {clamp.what: clamp for clamp in checked.clamps}
        assert by_kind["position"].joints == ("joint3",)
        assert by_kind["position"].wanted[2] == 3.0
        assert by_kind["position"].given[2] == 2.66
        assert by_kind["gripper"].joints == ("rh_r1_joint",)
        assert by_kind["gripper"].given[6] == 0.0
        assert by_kind["step"].given[2] == pytest.approx(START[2] + 0.35)
        assert by_kind["velocity"].given[2] == pytest.approx(START[2] + 3.2 / 30)

    def test_a_blocked_arm_is_not_pressed_on(self):
        safety, wanted = warm(Safety(ROBOT)), START.copy()
        for _ in range(60):
            wanted[0] += 0.02
            target = safety.check(wanted, START).target
        assert target[0] == pytest.approx(START[0] + ROBOT.step[0])

    def test_the_first_motion_is_slow(self):
        far = START.copy()
        far[0] += 0.25
        first = Safety(ROBOT).check(far, START)
        assert first.target[0] - START[0] == pytest.approx(0.2 * 2.2 / 30)
        assert "slow_start" in whats(first)
        later = warm(Safety(ROBOT)).check(far, START)
        assert later.target[0] - START[0] == pytest.approx(2.2 / 30)

    def test_one_missed_period_does_not_slow_the_arm_to_its_start(self):
        safety, far = warm(Safety(ROBOT)), START.copy()
        far[0] += 0.25
        safety.check(None, START)
        share = (safety.check(far, START).target[0] - START[0]) / (2.2 / 30)
        assert 0.9 < share < 1
        for _ in range(30):
            safety.check(None, START)
        held = safety.check(None, START).target
        slow = (safety.check(held + 0.2, held).target[0] - held[0]) / (2.2 / 30)
        assert slow == pytest.approx(0.2)


class TestWorkspace:
    def test_the_hand_stops_at_the_wall_and_the_gripper_goes_on(self):
        safety, here = warm(Safety(ROBOT)), START.copy()
        down = 0
        for _ in range(200):
            wanted = here.copy()
            wanted[1] += 0.03
            wanted[6] = 0.9
            checked = safety.check(wanted, here)
            down += "workspace" in whats(checked)
            here = checked.target
        assert down > 0
        assert forward(here[:6])[0][2] == pytest.approx(0.0, abs=2e-3)
        assert here[6] == pytest.approx(0.9)

    def test_an_arm_that_is_outside_may_come_back_and_get_no_farther_out(self):
        outside = START.copy()
        outside[0] += 1.5
        assert forward(outside[:6])[0][0] < ROBOT.workspace[0, 0]
        safety = warm(Safety(ROBOT), at=outside)
        away, back = outside.copy(), outside.copy()
        away[0] += 0.05
        back[0] -= 0.05
        assert safety.check(away, outside).target[0] == pytest.approx(outside[0], abs=1e-3)
        assert safety.check(back, outside).target[0] == pytest.approx(back[0], abs=1e-9)


class TestHolding:
    def test_before_any_target_the_joints_as_they_are_are_held(self):
        np.testing.assert_array_equal(Safety(ROBOT).check(None, START).target, START)

    def test_nothing_is_sent_while_nothing_is_known(self):
        assert Safety(ROBOT).check(None, None).target is None
        assert Safety(ROBOT).check(START, None).target is None

    def test_the_last_target_is_held(self):
        safety = Safety(ROBOT)
        sent = safety.check(START + 0.005, START).target
        np.testing.assert_array_equal(safety.check(None, START + 0.1).target, sent)

    @pytest.mark.parametrize("stopped", [False, True])
    def test_an_arm_that_sank_without_power_does_not_jump_back(self, stopped):
        safety, sunk = Safety(ROBOT), START.copy()
        sent = safety.check(START, START).target
        if stopped:
            safety.e_stop("stop")
            safety.check(None, START)
        sunk[1] += 0.8
        checked = safety.check(None, sunk)
        assert checked.target[1] == pytest.approx(sunk[1] - ROBOT.step[1])
        assert sent[1] < checked.target[1]
        assert whats(checked) == ["step"]

    def test_holding_as_measured_keeps_the_grip(self):
        safety = Safety(dataclasses.replace(ROBOT, hold="measured"))
        grip = START.copy()
        grip[6] += 0.02
        sent = safety.check(grip, START).target
        held = safety.check(None, START - 0.05).target
        np.testing.assert_allclose(held[:6], START[:6] - 0.05)
        assert held[6] == sent[6] > START[6]

    @pytest.mark.parametrize("bad", [np.full(7, np.nan), np.zeros(6), "up", [1.0, None], np.inf])
    def test_what_is_no_target_is_refused_and_told(self, bad):
        safety = Safety(ROBOT)
        sent = safety.check(START + 0.001, START).target
        checked = safety.check(bad, START)
        np.testing.assert_array_equal(checked.target, sent)
        assert whats(checked) == ["refused"]


class TestEStop:
    def test_it_wins_over_every_target_and_stays(self):
        safety = warm(Safety(ROBOT))
        safety.e_stop("a person in the way")
        safety.e_stop("another")
        for number in range(5):
            checked = safety.check(START + 0.01 * number, START - 0.02)
            np.testing.assert_allclose(checked.target[:6], START[:6] - 0.02)
            assert whats(checked) == ["e_stop"]
        assert safety.stopped == "a person in the way"

    def test_the_arm_stays_where_it_was_and_the_fingers_keep_their_command(self):
        safety, ahead = warm(Safety(ROBOT)), START + 0.01
        safety.check(ahead, START)
        safety.e_stop("stop")
        target = safety.check(None, START).target
        np.testing.assert_allclose(target[:6], START[:6])
        assert target[6] == pytest.approx(ahead[6])
        # It does not creep with a joint that sags.
        np.testing.assert_array_equal(safety.check(None, START - 0.3).target, target)

    def test_after_release_the_arm_starts_slowly(self):
        safety, far = warm(Safety(ROBOT)), START.copy()
        safety.e_stop("stop")
        safety.check(None, START)
        safety.release()
        far[0] += 0.25
        assert safety.check(far, START).target[0] - START[0] == pytest.approx(0.2 * 2.2 / 30)
