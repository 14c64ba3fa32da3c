"""Recording demonstrations on an arm: topics in, a LeRobot v3 dataset out.

What the arm measures, what it is told, what its cameras see, 30 times a second. An episode that was
stopped is on the disk, whole, before the next one's end; a kill costs the one that is recorded.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import DatasetWriter
from rain.robot.ports import Reading
from rain.robot.recorder_options import RecorderOptions
from rain.robot.robot import Robot
from rain.robot.take import Labels, Take, clear_takes
from rain.robot.timing import Beat, Clock, Pace, SystemClock
from rain.types import RainError, TaskScript

COMMANDS = ("start", "stop", "discard", "next", "quit")
TAIL_S = 0.3
"""Kept after the last command of an episode that ended by itself."""


class Recorded(Protocol):
    """What is recorded."""

    def read(self) -> Reading:
        """The latest state and images."""

    def command(self) -> tuple[NDArray, float]:
        """The joint targets (7,) that were heard last, NaN where none were, and when."""

    def labels(self) -> Labels:
        """The newest label map of each view, or none."""


class Recorder:
    """Takes ticks and an operator's words; finished episodes go into the dataset."""

    def __init__(
        self,
        robot: Robot,
        source: Recorded,
        writer: DatasetWriter,
        script: TaskScript,
        *,
        options: RecorderOptions | None = None,
        clock: Clock | None = None,
        told: Callable[[str], None] = print,
    ) -> None:
        """``told``: gets what people should read."""
        self.options = options or RecorderOptions()
        self._robot, self._source, self._writer, self._script = robot, source, writer, script
        self._clock, self._told = clock or SystemClock(), told
        self._session = uuid.uuid4().hex[:12]
        self._count = self.finished = 0
        self._take: Take | None = None
        self._last_step = 0
        self._quiet_since = float("-inf")
        self._quit = False
        self._missing: list[str] = []
        self._writing: list[tuple[Take, Future[None]]] = []
        self._pool = ThreadPoolExecutor(1, "writing")
        if removed := clear_takes(writer.folder):
            told(f"removed the working files of {removed} episodes that a killed recorder left")

    @property
    def recording(self) -> bool:
        """Whether an episode is recorded now."""
        return self._take is not None

    @property
    def over(self) -> bool:
        """Whether an operator said quit."""
        return self._quit

    def run(self, take: Callable[[], list[str]], ended: Callable[[], bool]) -> None:
        """Tick until ``ended`` or quit; then write and pack what was finished.

        take: what an operator said since the last tick.
        """
        pace = Pace(self._robot.rate_hz, self._clock)
        try:
            while not ended() and not self.over:
                beat = pace.wait()
                for word in take():
                    self.say(word)
                self.step(beat)
        finally:
            self.close()

    def say(self, word: str) -> None:
        """An operator's word, one of ``COMMANDS``."""
        if word == "start" and self._take is None:
            self._start()
        elif word in ("stop", "discard", "next") and self._take is not None:
            if word == "next":
                self._take.mark()
                self._told(f"{self._take.name}: subtask {len(self._take.marks)} complete")
            elif word == "stop":
                self._stop()
            else:
                self._discard("as you said")
        elif word == "quit":
            self._quit = True
        else:
            state = "an episode is being recorded" if self._take else "nothing is recorded"
            self._told(f"{word!r}: {state}; known: {', '.join(COMMANDS)}")

    def step(self, beat: Beat) -> None:
        """One tick."""
        self._collect()
        reading = self._source.read()
        wanted, heard = self._source.command()
        if self.options.automatic:
            self._by_itself(beat, heard)
        if self._take is None:
            return
        missing = [view for view in self._views if view not in reading.images]
        if reading.state is None or missing:
            self._told(
                f"waiting for {', '.join(['the state'] * (reading.state is None) + missing)}"
            )
            return
        # Until somebody moves the arm, what it is told is to stay.
        assert reading.state is not None
        action = np.where(np.isfinite(wanted), wanted, reading.state)
        try:
            self._take.add(
                beat, reading.state, action, reading.images, reading.stamps, self._source.labels()
            )
        except (OSError, RainError) as error:
            self._discard(f"it could not be recorded: {getattr(error, 'strerror', None) or error}")
            return
        if beat.now - heard <= 1.5 / self._robot.rate_hz:
            self._last_step = len(self._take)
        if len(self._take) >= self.options.longest_s * self._robot.rate_hz:
            self._told(f"{self._take.name}: longer than {self.options.longest_s:g} s")
            self._stop()

    def close(self) -> None:
        """Wait for what is being written, and pack it. An unfinished episode is discarded."""
        if self._take is not None:
            self._discard("it was not stopped")
        self._pool.shutdown(wait=True)
        self._collect()
        self._writer.commit()

    # --- episodes ---------------------------------------------------------------------------------

    @property
    def _views(self) -> tuple[str, ...]:
        return self._writer.header.conventions.views

    def _by_itself(self, beat: Beat, heard: float) -> None:
        quiet = beat.now - heard >= self.options.quiet_s
        if self._take is None and not quiet and self._quiet_since > float("-inf"):
            self._start()
        elif self._take is not None and quiet:
            self._take.cut(self._last_step + round(TAIL_S * self._robot.rate_hz))
            self._stop()
        if quiet:
            self._quiet_since = beat.now

    def _start(self) -> None:
        self._count += 1
        name = f"{self._session}-{self._count:04d}"
        conventions = self._writer.header.conventions
        try:
            self._take = Take(self._writer.folder, self._robot, conventions, self._script, name)
        except OSError as error:
            self._told(f"{name} cannot be recorded: {error.strerror}")
            return
        self._last_step = 0
        self._told(f"{name}: recording “{self._script.instruction}”")

    def _stop(self) -> None:
        take, self._take = self._take, None
        assert take is not None
        self._writing.append((take, self._pool.submit(self._write, take)))

    def _write(self, take: Take) -> None:
        details = {
            "source": f"robot:{take.name}", "suite": "robot", "robot": self._robot.name,
            "track": self._writer.header.track,
        }  # fmt: skip
        self._writer.append(take.episode(details))

    def _discard(self, why: str) -> None:
        take, self._take = self._take, None
        assert take is not None
        self._told(f"{take.name}: {len(take)} steps discarded, {why}")
        take.remove()

    def _collect(self) -> None:
        """Tell how the writing of finished episodes went."""
        for take, future in [pair for pair in self._writing if pair[1].done()]:
            self._writing.remove((take, future))
            error = future.exception()
            if error is None:
                self.finished += 1
                figures = take.figures()
                repeated = ", ".join(f"{v} {n}" for v, n in figures["repeated"].items())
                self._told(
                    f"{take.name}: {len(take)} steps, {figures['skipped']} missed, pictures "
                    f"repeated: {repeated}; late by {figures['late']['p99_ms']} ms (p99)"
                )
            else:
                self._told(f"{take.name}: not in the dataset: {error}; {self._kept(take)}")
            take.remove()

    def _kept(self, take: Take) -> str:
        try:
            return f"its {len(take)} steps are kept in {take.set_aside()}"
        except OSError as error:
            return f"its {len(take)} steps could not be kept either: {error.strerror}"
