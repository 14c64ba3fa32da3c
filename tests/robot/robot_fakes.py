"""A clock that only moves when it is told to, and ports without a robot, a network or a camera."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace
from typing import Any

import numpy as np

from rain.perception.reasoner.protocols import PhrasedScript
from rain.robot.chunks import PlayOptions
from rain.robot.client import RolloutClient
from rain.robot.client_options import ClientOptions
from rain.robot.ports import Reading
from rain.robot.robot import load_robot
from rain.robot.timing import Beat
from rain.types import (
    ActionChunk,
    Conventions,
    Look,
    Plan,
    Prediction,
    Progress,
    RainError,
    Subtask,
    TaskScript,
)

PERIOD = 1 / 30
SIZE = 8
VIEWS = ("third", "top", "wrist")
ROBOT = load_robot("omy_f3m")
CONVENTIONS = Conventions(VIEWS, SIZE, ROBOT.state, ROBOT.action, ROBOT.rate_hz)
START = np.array([0.386, -0.156, 1.312, 0.4148, np.pi / 2, -0.386, 0.2])
TASK = PhrasedScript(
    TaskScript("potato to the plate", (Subtask("grasp", "potato"), Subtask("release", "plate"))),
    ("the potato", "the plate"),
)


class FakeClock:
    """Sleeping takes no time, but moves the hands."""

    def __init__(self) -> None:
        self.time = 100.0
        self.oversleeps: deque[float] = deque()

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds + (self.oversleeps.popleft() if self.oversleeps else 0.0)


class FakeArm:
    """Is at its target at once, and shows another picture every time."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.state = START.copy()
        self.sent: list[np.ndarray] = []
        self.frozen: set[str] = set()
        self.dead: set[str] = set()
        self.fails = False
        self._pictures: dict[str, tuple[np.ndarray, float]] = {}
        self._state_stamp = clock.now()

    def read(self) -> Reading:
        if self.fails:
            raise OSError("the bus is off")
        now = self.clock.now()
        for view in VIEWS:
            if view in self.dead and view in self._pictures:
                continue
            if view not in self.frozen or view not in self._pictures:
                picture = np.full((SIZE, SIZE, 3), int(now * 1000) % 251, np.uint8)
            else:
                picture = self._pictures[view][0]
            self._pictures[view] = picture, now
        if "state" not in self.dead:
            self._state_stamp = now
        pictures = {view: picture for view, (picture, _) in self._pictures.items()}
        stamps = {view: stamp for view, (_, stamp) in self._pictures.items()}
        return Reading(self.state.astype(np.float32), self._state_stamp, pictures, stamps)

    def send(self, target: np.ndarray) -> None:
        self.sent.append(target)
        self.state = target.copy()


class FakePolicy:
    """Answers ``delay`` s after it was asked; chunks go on from where the arm was, by ``step``."""

    def __init__(self, clock: FakeClock, delay: float = 0.0, step: float = 0.002) -> None:
        self.conventions = CONVENTIONS
        self.clock, self.delay, self.step = clock, delay, step
        self.asked: list[Any] = []
        self.waiting: list[tuple[float, int, Any]] = []
        self.completion = 0.0
        self.completions: list[float] = []
        self.broken: str | None = None
        self.lose = self.twice = False
        self.nan = False

    def ask(self, observation: Any) -> int:
        if self.broken:
            raise RainError(self.broken)
        self.asked.append(observation)
        number = len(self.asked)
        if not self.lose:
            answer = self.prediction(observation)
            for _ in range(1 + self.twice):
                self.waiting.append((self.clock.now() + self.delay, number, answer))
        return number

    def poll(self) -> list[tuple[int, Any]]:
        due = [item for item in self.waiting if item[0] <= self.clock.now()]
        self.waiting = [item for item in self.waiting if item[0] > self.clock.now()]
        return [(number, answer) for _, number, answer in due]

    def prediction(self, observation: Any) -> Any:
        actions = observation.state + self.step * np.arange(1, 17)[:, None] * np.eye(7)[0]
        if self.nan:
            # A port may be careless: what it gives was checked by nobody.
            chunk: Any = SimpleNamespace(actions=np.full((16, 7), np.nan))
        else:
            chunk = ActionChunk(actions)
        completion = self.completions.pop(0) if self.completions else self.completion
        return Prediction(chunk, Plan(np.zeros((8, 3))), Progress(completion, 0.5, 0.5))


class FakeRegions:
    """Marks a corner of every picture, from the frame after ``begin`` on."""

    def __init__(self) -> None:
        self.targets: list[str] = []
        self.pointed: list[Any] = []
        self.silent = self.fails = False
        self.pause: str | None = None
        self._look: Look | None = None

    def begin(self, target: str, phrase: str) -> None:
        self.targets.append(target)
        self._look = None

    def look(self, images: Any, stamp: float) -> None:
        if self.fails:
            raise ValueError("no tracker")
        if not self.silent:
            region = np.zeros((SIZE, SIZE), bool)
            region[:2, :2] = True
            self._look = Look(stamp, dict.fromkeys(("third", "top"), region), pause=self.pause)

    def poll(self) -> Look | None:
        return self._look

    def point(self, prompts: Any) -> None:
        self.pointed.append(dict(prompts))
        self._look = None


class Rig:
    """A client with fakes around it, ticked by hand."""

    def __init__(
        self, *, delay: float = 0.0, play: PlayOptions | None = None, shows: Any = None, **more: Any
    ) -> None:
        self.clock = FakeClock()
        self.arm = FakeArm(self.clock)
        self.policy = FakePolicy(self.clock, delay)
        self.regions = FakeRegions()
        options = ClientOptions(play or PlayOptions(seam="cut"), **more)
        self.client = RolloutClient(
            ROBOT,
            self.arm,
            self.policy,
            self.regions,
            TASK,
            options=options,
            clock=self.clock,
            shows=shows,
        )
        self.count = 0

    def tick(self, ticks: int = 1, *, jumped: float | None = None) -> None:
        for _ in range(ticks):
            self.client.step(Beat(self.count, self.clock.now(), jumped=jumped))
            self.count += 1
            self.clock.time += PERIOD

    def seconds(self, seconds: float) -> None:
        self.tick(round(seconds * 30))

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.client.log.events if event["event"] == kind]

    @property
    def moves(self) -> bool:
        """Whether the arm moved in the last tick."""
        return len(self.arm.sent) > 1 and not np.array_equal(self.arm.sent[-1], self.arm.sent[-2])
