"""The arm over ROS 2 (rclpy): JointState and CompressedImage in, JointTrajectory out.

Works with an installed ROS 2 (Humble or later) and with the wheels of PyPI
(``ros-jazzy-rclpy[fastrtps] ros-sensor-msgs ros-trajectory-msgs``). ``ROS_DOMAIN_ID`` says which
arm's network it is.

What arrives is stamped with the client's own clock. Stamps of a message's header, which are those
of another computer, are only compared with one another: a message that is sent again is not new.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Points, Prompt
from rain.robot.images import decode, decode_labels
from rain.robot.ports import Reading
from rain.robot.robot import Robot
from rain.robot.timing import Clock, SystemClock
from rain.types import ACTION_DIM, Look, RainError
from rain.worlds.labels import LabelTable

LABELS = "/rain/labels/"
"""Where the simulated arm gives its label maps, followed by the view."""
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
        self._publisher: Any = None
        if claim:
            self._messages()
            topic = robot.topics.command
            self._publisher = self._ros.node.create_publisher(self._trajectory, topic, 1)
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
        message, point = self._trajectory(), self._point()
        message.joint_names = list(self._robot.joints)
        point.positions = [float(angle) for angle in target]
        point.time_from_start.nanosec = round(1e9 / self._robot.rate_hz)
        message.points = [point]
        self._publisher.publish(message)

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

    def _messages(self) -> None:
        from trajectory_msgs.msg import JointTrajectory, JointTrajectoryPoint

        self._trajectory, self._point = JointTrajectory, JointTrajectoryPoint

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


class RosRegions:
    """A ``RegionPort``: the simulated arm's own regions, from its label maps."""

    def __init__(self, views: tuple[str, ...], *, clock: Clock | None = None) -> None:
        """Listen to the label maps of these views."""
        from sensor_msgs.msg import CompressedImage

        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._target = ""
        self._seen: dict[str, tuple[NDArray[np.uint8], LabelTable, float]] = {}
        self._ros = Node("rain_regions")
        for view in views:
            self._ros.node.create_subscription(
                CompressedImage, LABELS + view, self._labels_of(view), newest()
            )
        self._ros.start()

    def begin(self, target: str, phrase: str) -> None:
        """A subtask begins; the simulator knows targets by their names."""
        self._target = target

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> None:
        """The simulator needs no frame."""

    def poll(self) -> Look | None:
        """Where the target is in every view whose label map has come."""
        with self._lock:
            seen = dict(self._seen)
        if not seen or not self._target:
            return None
        stamp = min(stamp for _, _, stamp in seen.values())
        regions, stamps = {}, {}
        for view, (labels, table, came) in seen.items():
            try:
                region = table.lookup(self._target)[labels]
            except RainError as error:
                return Look(stamp, pause=str(error))
            if region.any():
                regions[view], stamps[view] = region, came
        return Look(stamp, regions, stamps, dict.fromkeys(regions, 1.0))

    def click(self, view: str, prompt: Prompt) -> None:
        """Whatever lies under a click becomes the target; RainError where nothing does."""
        with self._lock:
            if view not in self._seen:
                raise RainError(f"click: no regions of the view {view!r} have come")
            labels, table, _ = self._seen[view]
        if not isinstance(prompt, Points):
            raise RainError("click: the simulator takes points")
        column, row = (int(value) for value in prompt.on[0])
        if not (0 <= row < labels.shape[0] and 0 <= column < labels.shape[1]):
            raise RainError(f"click: ({column}, {row}) is not in the image")
        names = table.rows[labels[row, column]]
        if not names:
            raise RainError("click: nothing lies there")
        self._target = names[0]

    def close(self) -> None:
        """Leave the network."""
        self._ros.close()

    def _labels_of(self, view: str) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            try:
                table = table_in(message.header.frame_id)
                labels = decode_labels(bytes(message.data))
                if labels.size and labels.max() >= len(table.rows):
                    return
            except (ValueError, RainError):
                return  # the regions go stale, and the arm holds
            with self._lock:
                self._seen[view] = labels, table, self._clock.now()

        return take


def newest() -> Any:
    """The QoS of cameras: what is lost is not sent again, and only the newest counts."""
    from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT
    )


def table_out(table: LabelTable) -> str:
    """A label table as text, for a header's frame_id."""
    return json.dumps([table.targets, table.rows])


def table_in(text: str) -> LabelTable:
    """What ``table_out`` got; ValueError or RainError where it is something else."""
    try:
        targets, rows = json.loads(text)
        return LabelTable(tuple(map(str, targets)), tuple(tuple(map(str, row)) for row in rows))
    except TypeError as error:
        raise ValueError(f"no label table: {error}") from error
