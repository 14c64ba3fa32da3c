"""The simulated OMY-F3M as a ROS 2 node: what the arm says and hears, in real time.

It hears JointTrajectory and says JointState and three CompressedImages 30 times a second, by the
robot description's topics and names, and beside them its label maps, from which regions come.
Where the machine is too slow to draw as often, there are fewer pictures and the arm moves all the
same: simulated time keeps up with time.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.robot.images import jpeg, png
from rain.robot.robot import Robot
from rain.robot.ros import LABELS, Node, newest, table_out
from rain.robot.timing import Clock, Pace, SystemClock
from rain.types import RainError
from rain.worlds.labels import Labeller
from rain.worlds.omy import OmyWorld

MOST_STEPS = 30
"""Periods that are made up for after a standstill."""


@dataclass(frozen=True)
class SimOptions:
    """Which scene is simulated, and what of it is sent.

    start: number of an init state, or of a fresh layout where ``fresh`` says so. image_size: px.
    labels: whether regions are sent as well.
    """

    task: int = 0
    start: int = 0
    fresh: bool = False
    image_size: int = 336
    labels: bool = True


class Targets:
    """The joint targets that were heard last, by name; NaN and strangers are refused."""

    def __init__(self, robot: Robot, begin: NDArray) -> None:
        self._robot = robot
        self._lock = threading.Lock()
        self._latest = np.array(begin, dtype=np.float64)
        self.heard = self.refused = 0

    @property
    def latest(self) -> NDArray[np.float64]:
        """(7,) rad."""
        with self._lock:
            return self._latest.copy()

    def take(self, message: Any) -> None:
        """Take a trajectory's last point; joints it does not name stay."""
        names = list(message.joint_names)
        positions = list(message.points[-1].positions) if message.points else []
        fits = names and len(names) == len(positions) and set(names) <= set(self._robot.joints)
        if not fits or not np.isfinite(positions).all():
            self.refused += 1
            return
        with self._lock:
            for name, angle in zip(names, positions, strict=True):
                self._latest[self._robot.joints.index(name)] = angle
            self.heard += 1


class SimNode:
    """One arm in one scene."""

    def __init__(self, robot: Robot, options: SimOptions, *, clock: Clock | None = None) -> None:
        """Make the scene and join the network; RainError where either cannot be."""
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CompressedImage, JointState
        from trajectory_msgs.msg import JointTrajectory

        self.world = OmyWorld("omy", options.task, image_size=options.image_size)
        robot.conventions(self.world.conventions.views, options.image_size).check(
            self.world.conventions, robot.name, "the simulated arm"
        )
        if any(robot.cameras[view].quarter_turns for view in self.world.conventions.views):
            raise RainError("the simulated cameras are upright: quarter_turns must be 0")
        self._start(options)
        self._robot, self._options = robot, options
        self._clock = clock or SystemClock()
        self._labeller = Labeller(self.world.targets())
        self.targets = Targets(robot, self.world.setpoint)
        self._ros = Node("rain_sim")
        node = self._ros.node
        node.create_subscription(JointTrajectory, robot.topics.command, self.targets.take, 1)
        self._state, self._image = JointState, CompressedImage
        self._states = node.create_publisher(
            JointState, robot.topics.state, qos_profile_sensor_data
        )
        views = self.world.conventions.views
        self._cameras = {
            view: node.create_publisher(CompressedImage, robot.cameras[view].topic, newest())
            for view in views
        }
        self._labels = {
            view: node.create_publisher(CompressedImage, LABELS + view, newest())
            for view in (views if options.labels else ())
        }
        self._ros.start()

    def run(
        self,
        seconds: float | None = None,
        ended: Callable[[], bool] = lambda: False,
        told: Callable[[str], None] = print,
    ) -> dict[str, Any]:
        """Simulate until ``ended`` or for so long; what happened.

        told: gets a line of JSON whenever the task comes to be done or undone.
        """
        pace = Pace(self._robot.rate_hz, self._clock)
        begin, steps, drawn, done = time.monotonic(), 0, 0, False
        while not ended() and (seconds is None or time.monotonic() - begin < seconds):
            missed = pace.wait().skipped
            self.step(1 + min(missed, MOST_STEPS))
            steps += 1 + missed
            drawn += 1
            if self.world.success() != done:
                done = not done
                passed = round(time.monotonic() - begin, 3)
                told(json.dumps({"success": done, "seconds": passed, "steps": steps}))
        passed = time.monotonic() - begin
        return {
            "success": done, "steps": steps, "seconds": round(passed, 3),
            "pictures_hz": round(drawn / passed, 2), "heard": self.targets.heard,
            "refused": self.targets.refused,
        }  # fmt: skip

    def step(self, periods: int = 1) -> None:
        """The servos move for so many periods, then everything is said."""
        for _ in range(periods):
            self.world.step(self.targets.latest)
        stamp = self._ros.node.get_clock().now().to_msg()
        state = self._state()
        state.header.stamp = stamp
        state.name = list(self._robot.joints)
        state.position = self.world.state().astype(float).tolist()
        state.velocity = self.world.velocity().astype(float).tolist()
        self._states.publish(state)
        for view, camera in self._cameras.items():
            image = self.world.render(view, self._options.image_size)
            self._publish(camera, stamp, view, "jpeg", jpeg(image))
        for view, labels in self._labels.items():
            found = self.world.label_map(view, self._labeller)
            self._publish(labels, stamp, table_out(self._labeller.table), "png", png(found))

    def close(self) -> None:
        """Leave the network and free the renderer."""
        self._ros.close()
        self.world.close()

    def _start(self, options: SimOptions) -> None:
        if options.fresh:
            self.world.reset(seed=options.start)
        else:
            self.world.reset(init_state=options.start)

    def _publish(self, publisher: Any, stamp: Any, frame: str, kind: str, data: bytes) -> None:
        message = self._image()
        message.header.stamp, message.header.frame_id = stamp, frame
        message.format, message.data = kind, data
        publisher.publish(message)
