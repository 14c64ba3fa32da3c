"""One session of recording, from its parts: ROS 2, the dataset, an operator's words."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from numpy.typing import NDArray

from rain.demos.dataset import DatasetWriter
from rain.perception.reasoner.registry import TaskRegistry
from rain.robot.ports import Reading
from rain.robot.recorder import Recorder
from rain.robot.recorder_options import RecorderOptions
from rain.robot.robot import Robot
from rain.robot.ros import RosPort
from rain.robot.ros_regions import RosRegions
from rain.robot.session import ending
from rain.robot.take import Labels
from rain.robot.timing import SystemClock


@dataclass(frozen=True)
class RecordingOptions:
    """What is recorded into which dataset.

    views, image_size: of the dataset. regions: record the simulated arm's label maps. track: of the
    dataset. images: ``video`` or ``png``.
    """

    tasks: Path
    instruction: str
    out: Path
    views: tuple[str, ...]
    image_size: int
    track: str
    images: str
    regions: bool
    recorder: RecorderOptions


class RosSource:
    """The arm's topics, as the recorder reads them."""

    def __init__(self, port: RosPort, regions: RosRegions | None) -> None:
        self._port, self._regions = port, regions

    def read(self) -> Reading:
        """The latest state and images."""
        return self._port.read()

    def command(self) -> tuple[NDArray, float]:
        """The joint targets that were heard last, and when."""
        return self._port.commands.latest, self._port.commands.stamp

    def labels(self) -> Labels:
        """The newest label maps."""
        return {} if self._regions is None else self._regions.labels()


def run_recording(
    robot: Robot, options: RecordingOptions, said: TextIO, told: Callable[[str], None]
) -> int:
    """Record until an operator quits or a signal comes; how many episodes were finished."""
    registry = TaskRegistry.load(options.tasks)
    script = registry.decompose(options.instruction, {}).script
    conventions = robot.conventions(options.views, options.image_size)
    writer = DatasetWriter(options.out, conventions, options.track, images=options.images)
    with ExitStack() as stack:
        clock = SystemClock()
        port = RosPort(robot, options.views, options.image_size, clock=clock, claim=False)
        stack.callback(port.close)
        regions = RosRegions(options.views, clock=clock) if options.regions else None
        if regions is not None:
            stack.callback(regions.close)
        recorder = Recorder(
            robot, RosSource(port, regions), writer, script,
            options=options.recorder, clock=clock, told=told,
        )  # fmt: skip
        words = _words(said)
        with ending() as ended:
            recorder.run(words, ended)
    return recorder.finished


def _words(said: TextIO) -> Callable[[], list[str]]:
    """What was said since the last call, heard by a thread of its own."""
    heard: queue.SimpleQueue[str] = queue.SimpleQueue()

    def hear() -> None:
        for line in said:
            if word := line.strip():
                heard.put(word)

    threading.Thread(target=hear, name="keyboard", daemon=True).start()

    def take() -> list[str]:
        found = []
        while not heard.empty():
            found.append(heard.get())
        return found

    return take
