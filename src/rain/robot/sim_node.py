"""The simulated OMY-F3M as a ROS 2 node: what the arm says and hears, in real time.

It hears JointTrajectory and says JointState and three CompressedImages 30 times a second, by the
robot description's topics and names, and beside them its label maps, from which regions come.
Where the machine is too slow to draw as often, there are fewer pictures and the arm moves all the
same: simulated time keeps up with time.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rain.robot.heard import HeardTargets
from rain.robot.images import jpeg, png
from rain.robot.robot import Robot
from rain.robot.ros import Node, newest, trajectory_of
from rain.robot.ros_regions import LABELS, table_out
from rain.robot.timing import Clock, Pace, SystemClock
from rain.types import RainError, TaskScript
from rain.worlds.labels import Labeller
from rain.worlds.libero.experts.demonstrate import ExpertConfig
from rain.worlds.omy import OmyWorld
from rain.worlds.omy.demonstrate import expert_actions
from rain.worlds.omy.hand import StuckError
from rain.worlds.omy.tasks import SUITE, find_omy_task, one_after_another

REST_S = 2.0
"""Between the expert's demonstrations: who records tells them apart by it."""
MOST_STEPS = 30
"""Periods that are made up for after a standstill."""


@dataclass(frozen=True)
class SimOptions:
    """Which scene is simulated, and what of it is sent.

    start: number of an init state, or of a fresh layout where ``fresh`` says so. image_size: px.
    labels: whether regions are sent as well. expert: the scripted expert moves the arm, and its
    targets are said as teleoperation would say them. then: tasks of the same scene that it does
    after the first.
    """

    task: int = 0
    start: int = 0
    fresh: bool = False
    image_size: int = 336
    labels: bool = True
    expert: bool = False
    then: tuple[int, ...] = ()


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
        self.script = _script(options)
        self._clock = clock or SystemClock()
        self._labeller = Labeller(self.world.targets())
        self.targets = HeardTargets(robot, self.world.setpoint)
        self._ros = Node("rain_sim")
        node = self._ros.node
        node.create_subscription(JointTrajectory, robot.topics.command, self.targets.take, 1)
        self._state, self._image = JointState, CompressedImage
        self._commands = (
            node.create_publisher(JointTrajectory, robot.topics.command, 1)
            if options.expert
            else None
        )
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
            if bool(self.world.script_success(self.script)) != done:
                done = not done
                passed = round(time.monotonic() - begin, 3)
                told(json.dumps({"success": done, "seconds": passed, "steps": steps}))
        passed = time.monotonic() - begin
        return {
            "success": done, "steps": steps, "seconds": round(passed, 3),
            "pictures_hz": round(drawn / passed, 2), "heard": self.targets.heard,
            "refused": self.targets.refused,
        }  # fmt: skip

    def demonstrate(
        self,
        count: int,
        ended: Callable[[], bool] = lambda: False,
        told: Callable[[str], None] = print,
    ) -> dict[str, Any]:
        """Let the expert do the task ``count`` times, in layouts from ``start`` on, in real time.

        The arm is still for ``REST_S`` before each. told: gets a line of JSON after each.
        """
        done = 0
        for number in range(count):
            if number:
                self._start(replace(self._options, start=self._options.start + number))
            self.targets.set(self.world.setpoint)
            success = self._demonstrate(self._options.start + number, ended)
            if ended():
                break
            done += success
            told(json.dumps({"start": self._options.start + number, "success": success}))
        return {"success": done, "episodes": count}

    def _demonstrate(self, start: int, ended: Callable[[], bool]) -> bool:
        pace = Pace(self._robot.rate_hz, self._clock)
        for _ in range(round(REST_S * self._robot.rate_hz)):
            pace.wait()
            self.say()
        world, config = self.world, ExpertConfig(pushed=0.0)
        try:
            for action, _, _ in expert_actions(
                world, self.script, np.random.default_rng([start, 1]), config
            ):
                pace.wait()
                if ended():
                    break
                assert self._commands is not None
                self._commands.publish(trajectory_of(self._robot, action))
                # What it does is asked for in the state that it was thought of in.
                self.say()
                world.step(action)
        except StuckError:
            pass
        return bool(world.script_success(self.script))

    def step(self, periods: int = 1) -> None:
        """The servos move for so many periods, then everything is said."""
        for _ in range(periods):
            self.world.step(self.targets.latest)
        self.say()

    def say(self) -> None:
        """Say where the joints are, and what the cameras see."""
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


def _script(options: SimOptions) -> TaskScript:
    """The task's, and after it those of other tasks; RainError where they are of another scene."""
    first = find_omy_task(SUITE, options.task)
    script = first.script
    for index in options.then:
        task = find_omy_task(SUITE, index)
        if task.scene != first.scene:
            raise RainError(f"task {index} is of another scene than task {options.task}")
        script = one_after_another(script, task.script)
    return script
