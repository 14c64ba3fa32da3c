"""The arm over ROS 2 (rclpy): JointState and CompressedImage in, JointTrajectory out.

Works with an installed ROS 2 (Humble or later) and with the wheels of PyPI
(``ros-jazzy-rclpy[fastrtps] ros-sensor-msgs ros-trajectory-msgs``). ``ROS_DOMAIN_ID`` says which
arm's network it is.

What arrives is stamped with the client's own clock. Stamps of a message's header, which are those
of another computer, are only compared with one another: a message that is sent again is not new.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.robot.heard import HeardTargets
from rain.robot.images import decode
from rain.robot.ports import Reading
from rain.robot.robot import Robot
from rain.robot.timing import Clock, SystemClock
from rain.types import ACTION_DIM, RainError

DISCOVERY_S = 2.0
"""How long others are looked for who move the arm; ROS 2 finds them in well under a second."""


class Node:
    """A node of its own context, which another thread spins; several may be in one process."""

    def __init__(self, name: str) -> None:
        """RainError where ROS 2 is not installed."""
        try:
            import rclpy
            from rclpy.executors import SingleThreadedExecutor
            from rclpy.signals import SignalHandlerOptions
        except ImportError as error:
            raise RainError(
                "ROS 2 is not here: source its setup.bash, or pip install "
                f"'ros-jazzy-rclpy[fastrtps]' ros-sensor-msgs ros-trajectory-msgs ({error})"
            ) from error
        self._rclpy = rclpy
        self._context = rclpy.Context()
        # Ctrl-C is ours: the arm is held before anything is shut down.
        rclpy.init(context=self._context, signal_handler_options=SignalHandlerOptions.NO)
        self.node = rclpy.create_node(name, context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, name=name, daemon=True)

    def start(self) -> None:
        """Begin to receive."""
        self._thread.start()

    def close(self) -> None:
        """Leave the network."""
        self._executor.shutdown()
        if self._thread.ident is not None:
            self._thread.join(2.0)
        self.node.destroy_node()
        self._rclpy.shutdown(context=self._context)

    def _spin(self) -> None:
        with suppress(self._rclpy.executors.ExternalShutdownException):
            self._executor.spin()


class RosPort:
    """A ``RobotPort``: the arm of this ROS domain. One client holds it at a time."""

    def __init__(
        self,
        robot: Robot,
        views: tuple[str, ...],
        image_size: int,
        *,
        clock: Clock | None = None,
        claim: bool = True,
    ) -> None:
        """Listen; RainError where somebody else already moves the arm.

        claim: False only listens, and never sends (the recorder).
        """
        self._robot, self._size = robot, image_size
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._positions = np.full(ACTION_DIM, np.nan)
        self._heard = np.full(ACTION_DIM, -np.inf)
        self._images: dict[str, NDArray[np.uint8]] = {}
        self._stamps: dict[str, float] = {}
        self._last: dict[str, tuple[int, int]] = {}
        self._faults: dict[str, str] = {}
        self._told_others = False
        self._ros = Node("rain_client" if claim else "rain_listener")
        self._subscribe(views)
        self.commands = HeardTargets(robot, clock=self._clock)
        self._publisher: Any = None
        if claim:
            from trajectory_msgs.msg import JointTrajectory

            topic = robot.topics.command
            self._publisher = self._ros.node.create_publisher(JointTrajectory, topic, 1)
        else:
            self._hear(robot.topics.command)
        self._ros.start()
        if claim:
            self._claim()

    def read(self) -> Reading:
        """The latest of everything."""
        with self._lock:
            faults, self._faults = tuple(self._faults.values()), {}
            known = bool(np.isfinite(self._heard).all())
            return Reading(
                self._positions.astype(np.float32) if known else None,
                float(self._heard.min()),
                dict(self._images),
                dict(self._stamps),
                faults + self._others(),
            )

    def send(self, target: NDArray[np.float64]) -> None:
        """Ask the joints to be there one period from now."""
        if self._publisher is None:
            raise RainError("this side of the arm only listens")
        self._publisher.publish(trajectory_of(self._robot, target))

    def close(self) -> None:
        """Leave the network."""
        self._ros.close()

    # --- what comes in ----------------------------------------------------------------------------

    def _subscribe(self, views: tuple[str, ...]) -> None:
        from rclpy.qos import qos_profile_sensor_data
        from sensor_msgs.msg import CompressedImage, JointState

        node, topics = self._ros.node, self._robot.topics
        node.create_subscription(JointState, topics.state, self._state, qos_profile_sensor_data)
        for view in views:
            node.create_subscription(
                CompressedImage, self._robot.cameras[view].topic, self._image_of(view), newest()
            )

    def _hear(self, topic: str) -> None:
        from trajectory_msgs.msg import JointTrajectory

        self._ros.node.create_subscription(JointTrajectory, topic, self.commands.take, 1)

    def _state(self, message: Any) -> None:
        """Joints by their names, in whatever order, also in parts."""
        if len(message.name) != len(message.position):
            self._fault("state", f"{len(message.name)} joints have {len(message.position)} angles")
            return
        found = dict(zip(message.name, message.position, strict=True))
        with self._lock:
            if not self._is_new("state:" + ",".join(message.name), message):
                return
            for number, name in enumerate(self._robot.joints):
                if name in found:
                    self._positions[number] = found[name]
                    self._heard[number] = self._clock.now()

    def _image_of(self, view: str) -> Callable[[Any], None]:
        turns = self._robot.cameras[view].quarter_turns

        def take(message: Any) -> None:
            arrived = self._clock.now()
            with self._lock:
                if not self._is_new(view, message):
                    return
            try:
                image = decode(bytes(message.data), turns, self._size)
            except ValueError as error:
                self._fault(view, f"{view}: {error}")
                return
            with self._lock:
                self._images[view], self._stamps[view] = image, arrived

        return take

    def _is_new(self, source: str, message: Any) -> bool:
        stamp = (message.header.stamp.sec, message.header.stamp.nanosec)
        # A driver that does not stamp gives zeros.
        if stamp != (0, 0) and self._last.get(source) == stamp:
            return False
        self._last[source] = stamp
        return True

    def _fault(self, source: str, text: str) -> None:
        with self._lock:
            self._faults[source] = text

    # --- one arm, one client ----------------------------------------------------------------------

    def _claim(self) -> None:
        """RainError where anybody else publishes joint targets: another client, teleoperation.

        Our own publisher is there already, so of two that begin at the same time neither wins.
        """
        end = time.monotonic() + DISCOVERY_S
        while time.monotonic() < end:
            if self._publishers() > 1:
                self.close()
                raise RainError(
                    f"somebody else moves this arm ({self._robot.topics.command} has another "
                    "publisher): end it first; one that was killed is forgotten after 20 s"
                )
            time.sleep(0.05)

    def _publishers(self) -> int:
        return int(self._ros.node.count_publishers(self._robot.topics.command))

    def _others(self) -> tuple[str, ...]:
        """Tells once when somebody begins to move the arm as well."""
        if self._publisher is None:
            return ()
        others = self._publishers() > 1
        new = others and not self._told_others
        self._told_others = others
        return ("somebody else has begun to move this arm",) if new else ()


def trajectory_of(robot: Robot, target: NDArray[np.float64]) -> Any:
    """A JointTrajectory to joint targets (7,) rad, to be reached one period from now."""
    from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

    message, point = JointTrajectory(), JointTrajectoryPoint()
    message.joint_names = list(robot.joints)
    point.positions = [float(angle) for angle in target]
    point.time_from_start.nanosec = round(1e9 / robot.rate_hz)
    message.points = [point]
    return message


def newest() -> Any:
    """The QoS of cameras: what is lost is not sent again, and only the newest counts."""
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT
    )
