"""The ROS 2 adapter against nodes of an arm, over real DDS: ``make test-ros``."""

from __future__ import annotations

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="make test-ros has it")

from sensor_msgs.msg import CompressedImage, JointState
from trajectory_msgs.msg import JointTrajectory

from rain.perception.prompts import Box, Mask, Points
from rain.robot import ros
from rain.robot.images import jpeg, png
from rain.robot.robot import load_robot
from rain.robot.ros import Node, RosPort
from rain.robot.ros_regions import LABELS, RosRegions, table_out
from rain.types import RainError
from rain.worlds.labels import LabelTable

ROBOT = load_robot("omy_f3m")
VIEWS = ("third", "top", "wrist")
ANGLES = np.array([0.1, -0.2, 0.3, -0.4, 0.5, -0.6, 0.7])


def until(found, seconds=10.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found():
            return True
        time.sleep(0.01)
    return False


class Arm:
    """Says what it is told to say, and keeps what it hears."""

    def __init__(self):
        self.ros = Node("arm")
        node = self.ros.node
        self.states = node.create_publisher(JointState, ROBOT.topics.state, 10)
        self.cameras = {
            view: node.create_publisher(CompressedImage, ROBOT.cameras[view].topic, 10)
            for view in VIEWS
        }
        self.labels = node.create_publisher(CompressedImage, LABELS + "top", 10)
        self.heard = []
        node.create_subscription(JointTrajectory, ROBOT.topics.command, self.heard.append, 10)
        self.ros.start()
        self.stamp = 0

    def say(self, names, angles, stamp=None):
        message = JointState()
        self.stamp += 1
        message.header.stamp.sec = self.stamp if stamp is None else stamp
        message.name, message.position = list(names), [float(a) for a in angles]
        self.states.publish(message)

    def show(self, publisher, data, frame="", stamp=None):
        message = CompressedImage()
        self.stamp += 1
        message.header.stamp.sec = self.stamp if stamp is None else stamp
        message.header.frame_id, message.format, message.data = frame, "jpeg", data
        publisher.publish(message)


@pytest.fixture
def arm():
    arm = Arm()
    yield arm
    arm.ros.close()


@pytest.fixture
def port(arm, monkeypatch):
    # Nobody else is there: only the tests of a second client look for one as long as users do.
    with monkeypatch.context() as hasty:
        hasty.setattr(ros, "DISCOVERY_S", 0.3)
        port = RosPort(ROBOT, VIEWS, 32)
    yield port
    port.close()


def heard(arm, port, *said, **more):
    """Say it until the port has a state (discovery takes a moment); the state."""
    assert until(lambda: arm.say(*said, **more) or port.read().state is not None)
    return port.read().state


class TestState:
    def test_joints_are_found_by_their_names_in_any_order_among_others(self, arm, port):
        assert port.read().state is None
        order = [6, 3, 0, 5, 1, 4, 2]
        names = ["rh_l1", *(ROBOT.joints[i] for i in order)]
        state = heard(arm, port, names, [9.0, *ANGLES[order]])
        np.testing.assert_allclose(state, ANGLES, atol=1e-6)

    def test_parts_come_together_and_are_as_old_as_the_oldest(self, arm, port):
        def both():
            arm.say(ROBOT.joints[:4], ANGLES[:4])
            arm.say(ROBOT.joints[4:], ANGLES[4:])
            return port.read().state is not None

        assert until(both)
        time.sleep(0.2)
        old = port.read().state_stamp
        before = time.monotonic()
        arm.say(ROBOT.joints[:4], ANGLES[:4] + 1)
        assert until(lambda: port.read().state[0] > 1)
        assert old <= port.read().state_stamp < before
        arm.say(ROBOT.joints[4:], ANGLES[4:])
        assert until(lambda: port.read().state_stamp >= before)

    def test_a_message_that_is_sent_again_is_not_new(self, arm, port):
        heard(arm, port, ROBOT.joints, ANGLES, stamp=5)
        time.sleep(0.1)
        stamp = port.read().state_stamp
        for _ in range(5):
            arm.say(ROBOT.joints, ANGLES, stamp=5)
            time.sleep(0.02)
        assert port.read().state_stamp == stamp
        arm.say(ROBOT.joints, ANGLES, stamp=4)  # the arm's clock was set back: this is new
        assert until(lambda: port.read().state_stamp > stamp)

    def test_names_without_angles_are_told_and_left_out(self, arm, port):
        heard(arm, port, ROBOT.joints, ANGLES)
        arm.say(ROBOT.joints, ANGLES[:3])
        faults = []
        assert until(lambda: faults.extend(port.read().faults) or faults)
        assert faults == ["7 joints have 3 angles"]
        np.testing.assert_allclose(port.read().state, ANGLES, atol=1e-6)


class TestImages:
    def test_three_views_in_the_policys_size(self, arm, port):
        image = np.full((48, 80, 3), (200, 30, 30), np.uint8)

        def all_shown():
            for view in VIEWS:
                arm.show(arm.cameras[view], jpeg(image))
            return set(port.read().images) == set(VIEWS)

        assert until(all_shown)
        reading = port.read()
        for view in VIEWS:
            assert reading.images[view].shape == (32, 32, 3)
            assert abs(int(reading.images[view][16, 16, 0]) - 200) < 8
            assert time.monotonic() - reading.stamps[view] < 5

    def test_a_picture_that_is_broken_is_told_and_the_last_one_gets_old(self, arm, port):
        good = jpeg(np.zeros((32, 32, 3), np.uint8))
        top = arm.cameras["top"]
        assert until(lambda: arm.show(top, good) or "top" in port.read().images)
        time.sleep(0.2)
        stamp = port.read().stamps["top"]
        faults = []
        arm.show(top, good[: len(good) // 2])
        assert until(lambda: faults.extend(port.read().faults) or faults)
        assert "top: no picture" in faults[0]
        assert port.read().stamps["top"] == stamp


class TestSending:
    def test_targets_go_out_by_name(self, arm, port):
        assert until(lambda: port.send(ANGLES) or arm.heard)
        message = arm.heard[-1]
        assert tuple(message.joint_names) == ROBOT.joints
        np.testing.assert_array_equal(message.points[0].positions, ANGLES)
        assert message.points[0].time_from_start.nanosec == round(1e9 / 30)

    def test_a_second_client_is_refused_and_the_first_goes_on(self, arm, port):
        with pytest.raises(RainError, match="somebody else moves this arm"):
            RosPort(ROBOT, VIEWS, 32)
        assert until(lambda: port.send(ANGLES) or arm.heard)

    def test_who_only_listens_is_not_refused_and_cannot_send(self, arm, port):
        listener = RosPort(ROBOT, VIEWS, 32, claim=False)
        try:
            heard(arm, listener, ROBOT.joints, ANGLES)
            with pytest.raises(RainError, match="only listens"):
                listener.send(ANGLES)
        finally:
            listener.close()

    def test_teleoperation_that_begins_later_is_told_once(self, arm, port):
        assert port.read().faults == ()
        arm.ros.node.create_publisher(JointTrajectory, ROBOT.topics.command, 1)
        faults = []
        assert until(lambda: faults.extend(port.read().faults) or faults)
        assert faults == ["somebody else has begun to move this arm"]
        time.sleep(0.1)
        assert port.read().faults == ()


class TestRegions:
    TABLE = LabelTable(("potato", "red_plate"), ((), ("potato",), ("red_plate",)))

    def shown(self, arm, regions, labels=None, frame=None):
        labels = np.zeros((8, 8), np.uint8) if labels is None else labels
        arm.show(arm.labels, png(labels), table_out(self.TABLE) if frame is None else frame)

    def test_regions_of_the_target_and_clicks(self, arm):
        regions = RosRegions(("top",))
        try:
            assert regions.poll() is None
            labels = np.zeros((8, 8), np.uint8)
            labels[:2, :3], labels[5:, 5:] = 1, 2
            regions.begin("potato", "the potato")
            assert until(lambda: self.shown(arm, regions, labels) or regions.poll())
            np.testing.assert_array_equal(regions.poll().regions["top"], labels == 1)
            regions.point({"top": Points(((6.0, 7.0),))})
            np.testing.assert_array_equal(regions.poll().regions["top"], labels == 2)
            with pytest.raises(RainError, match="nothing lies there"):
                regions.point({"top": Points(((4.0, 4.0),))})
            around = np.zeros((8, 8), bool)
            around[:4, :4] = True
            regions.point({"top": Mask(around)})
            np.testing.assert_array_equal(regions.poll().regions["top"], labels == 1)
            regions.point({"top": Box(4, 4, 8, 8)})
            np.testing.assert_array_equal(regions.poll().regions["top"], labels == 2)
            for view, prompt, why in (
                ("side", Mask(around), "no regions of the view"),
                ("top", Mask(around[:4]), r"\(4, 8\)"),
                ("top", Points(((9.0, 0.0),)), "not in the image"),
            ):
                with pytest.raises(RainError, match=why):
                    regions.point({view: prompt})
            regions.begin("moon", "the moon")
            assert "moon" in regions.poll().pause
        finally:
            regions.close()

    def test_what_is_no_label_map_changes_nothing(self, arm):
        regions = RosRegions(("top",))
        try:
            regions.begin("potato", "the potato")
            assert until(lambda: self.shown(arm, regions) or regions.poll())
            stamp = regions.poll().stamp
            for frame in ("", "7", '[["a"], 3]', '[["a"], [["a"]]]'):
                self.shown(arm, regions, frame=frame)
            self.shown(arm, regions, np.full((8, 8), 9, np.uint8))
            time.sleep(0.2)
            assert regions.poll().stamp == stamp
        finally:
            regions.close()
