"""A world with things to point at and no physics, and a session without a world."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from bench_fakes import FakePolicy, FakeWorld, script
from numpy.typing import NDArray

from rain.bench.episode import EpisodeResult, RolloutConfig
from rain.bench.rollouts import rollout
from rain.dashboard.board import Board
from rain.dashboard.frames import ShownView
from rain.dashboard.rollout_session import RolloutOptions, RolloutSession
from rain.types import RainError

SIZE = 64
PLACES = {"milk_1": 0, "soup_1": 1, "butter_1": 2, "basket_1": 3}
"""Thing -> the quarter of a view that it fills the middle of, in reading order."""
COLOURS = ((240, 240, 235), (200, 60, 40), (240, 200, 60), (120, 90, 60))


def middle(target: str) -> tuple[float, float]:
    """Where a thing is in a view of ``SIZE`` pixels, (x, y)."""
    row, column = divmod(PLACES[target], 2)
    return column * SIZE / 2 + SIZE / 4, row * SIZE / 2 + SIZE / 4


class Table(FakeWorld):
    """Four things in the quarters of each view; all have moved after ``shift_at`` actions."""

    shift_at = 10_000

    def poses(self) -> NDArray:
        return np.array([len(self.actions) >= self.shift_at], float)

    @contextmanager
    def seen_at(self, poses: NDArray) -> Iterator[None]:
        self._past = bool(poses[0])
        try:
            yield
        finally:
            del self._past

    def _quarter(self, target: str) -> int:
        moved = getattr(self, "_past", len(self.actions) >= self.shift_at)
        return (PLACES[target] + moved) % 4

    def targets(self) -> tuple[str, ...]:
        return tuple(PLACES)

    def graspable(self) -> list[str]:
        return ["milk_1", "soup_1", "butter_1"]

    def regions(self, targets: list[str], view: str, size: int) -> NDArray[np.bool_]:
        found = np.zeros((len(targets), size, size), bool)
        for i, target in enumerate(targets):
            row, column = divmod(self._quarter(target), 2)
            half, eighth = size // 2, size // 8
            found[i, row * half + eighth : row * half + 3 * eighth,
                  column * half + eighth : column * half + 3 * eighth] = True  # fmt: skip
        return found

    def render(self, view: str, size: int) -> NDArray[np.uint8]:
        image = np.full((size, size, 3), 70 if view == "agentview" else 110, np.uint8)
        for target, region in zip(PLACES, self.regions(list(PLACES), view, size), strict=True):
            image[region] = COLOURS[PLACES[target]]
        step = len(self.actions) % size
        image[:2, step : step + 2] = 255
        return image

    def project(self, points: NDArray, view: str, size: int = SIZE) -> NDArray:
        return np.asarray(points)[:, :2] * size


def quick(**options: Any) -> RolloutSession:
    """A session that shows every step of a rollout and waits for nothing."""
    return RolloutSession(
        "a table", RolloutOptions(**{"pixels": SIZE, "every": 1, "speed": 0.0, **options})
    )


class Playing:
    """A rollout of a table in a thread of its own; leaving the ``with`` block ends it."""

    def __init__(
        self, session: RolloutSession, steps: int = 100_000, completions: Any = (0.0,),
        world: Table | None = None,
    ) -> None:  # fmt: skip
        self.session, self.world = session, world or Table()
        self.result: EpisodeResult | None = None
        self.error: BaseException | None = None
        self.next: int | None = None
        self._config, self._completions = RolloutConfig(horizon=steps), completions
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _run(self) -> None:
        try:
            policy = FakePolicy(self._completions)
            self.result = rollout(self.world, policy, script(), self._config, operator=self.session)
            self.next = self.session.next_episode()
        except BaseException as error:
            self.error = error

    def __enter__(self) -> Playing:
        self.thread.start()
        wait_for(lambda: self.session.board.frame is not None)
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()
        self.thread.join(10)
        assert self.error is None, self.error


def wait_for(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until something is true, and return it."""
    waiting = threading.Event()
    for _ in range(int(seconds / 0.01)):
        if found := holds():
            return found
        waiting.wait(0.01)
    raise AssertionError("it did not come true")


class Desktop:
    """A session without anything behind it: it notes what it is asked and shows what it is told."""

    def __init__(self, **about: Any) -> None:
        commands = ("pause", "resume", "point", "hold")
        self.about: Mapping[str, Any] = {
            "title": "nothing", "kind": "rollout", "commands": commands, "locked": True, **about
        }  # fmt: skip
        self.board = Board(mode="running")
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.stops: list[str] = []
        self.go_on = threading.Event()

    def do(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        self.asked.append((command, dict(arguments)))
        if command == "hold":
            self.go_on.wait(20)
        if command == "resume":
            raise RainError("it does not want to")
        return {"done": command}

    def stop(self, why: str) -> None:
        self.stops.append(why)
        self.board.tell(mode="stopped")

    def close(self) -> None:
        self.go_on.set()

    def show(self, value: int = 0, size: int = 8) -> int:
        """Show a frame; returns its number."""
        image = np.full((size, size, 3), value, np.uint8)
        return self.board.show({"top": ShownView(image, image[..., 0] > 0)}, {"step": value}).number
