"""A rollout in a simulator, shown and steered: between two steps it shows, listens and waits.

The world belongs to the thread that runs the rollout. That thread alone draws, points and changes
what the policy is told; the server's threads leave commands for it. Only the emergency stop acts
from any thread, by a flag that is looked at before every step.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rain.bench.holding import DELTAS, JOINTS
from rain.bench.operator import Between, Order
from rain.dashboard.board import Board
from rain.dashboard.commands import Answer, Commands, text, whole
from rain.dashboard.pointing import PointingDesk
from rain.dashboard.showing import Latencies, progress_of, shown_views, state_of
from rain.dashboard.telling import instructions_in, told_in
from rain.types import RainError

AXES = {
    DELTAS: ("x", "y", "z", "roll", "pitch", "yaw", "gripper"),
    JOINTS: (*(f"joint {n}" for n in range(1, 7)), "gripper"),
}
"""Meaning of actions -> what their seven numbers are called."""
CHART = 40
"""Actions that travel with a frame: enough for a viewer who misses some frames."""
STEERING = (
    "point", "box", "confirm", "cancel", "clear", "next", "previous", "set", "pause", "hold",
    "resume", "release", "instruct", "instructions", "again", "end",
)  # fmt: skip


@dataclass(frozen=True)
class RolloutOptions:
    """How a rollout is shown.

    pixels: side of a view as it is shown; where regions are perceived, the policy's own images are.
    every: control steps between two frames. speed: simulated seconds a second, at most; 0: as fast
    as it goes. paused: episodes begin paused. pause_at: pause where this subtask begins, from 0.
    """

    pixels: int = 336
    every: int = 2
    speed: float = 1.0
    paused: bool = False
    pause_at: int | None = None

    def __post_init__(self) -> None:
        if self.every < 1 or self.pixels < 16 or not self.speed >= 0:
            raise RainError("every: 1 or more; pixels: 16 or more; speed: 0 or more")


class RolloutSession:
    """A ``Session`` that is a rollout's ``Operator``."""

    def __init__(
        self, title: str, options: RolloutOptions | None = None, *, planned: bool = False
    ) -> None:
        """planned: which episodes there are is settled; an operator begins none."""
        self.options = options or RolloutOptions()
        commands = [name for name in STEERING if not (planned and name == "again")]
        self.about: Mapping[str, Any] = {
            "title": title, "kind": "rollout", "commands": commands, "locked": True,
        }  # fmt: skip
        self.board = Board(mode="waiting", result=None)
        self._commands = Commands()
        self._stopped, self._closed = threading.Event(), threading.Event()
        self._mode = "waiting"
        self._end = False
        self._begin: int | None = None
        self._now: Between | None = None
        self._paused_at: int | None = None
        self._due = 0.0
        self._latencies = Latencies()
        self._actions: deque[list[float]] = deque(maxlen=CHART)
        self._pointing = PointingDesk(self.board)

    # --- Session: called by the server's threads --------------------------------------------------

    def do(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        """Leave a command for the rollout's thread and wait for its answer."""
        return self._commands.ask(command, arguments)

    def stop(self, why: str) -> None:
        """No further step is begun until ``release``."""
        self._stopped.set()
        self.board.tell(mode="stopped")
        self.board.log(f"STOPPED: {why}", "warning")
        self._commands.wake()

    def close(self) -> None:
        """The rollout ends, and no other begins."""
        self._closed.set()
        self._commands.wake()

    # --- Operator: called by the rollout ----------------------------------------------------------

    def between(self, now: Between) -> Order:
        """Show what is, do what was said, wait while paused or stopped."""
        if self._now is None:
            self._started(now)
        elif now.step > self._now.step and now.driver.executed is not None:
            self._actions.append([round(float(v), 4) for v in now.driver.executed])
        self._now = now
        self._pause_where_asked(now)
        self._listen()
        if self._stands() or now.step % self.options.every == 0:
            self._show(now)
        while self._stands():
            with self._commands.news:
                if not self._commands.waiting and self._stands():
                    self._commands.news.wait(0.5)
            self._listen()
        if self._end or self._closed.is_set():
            return "stop"
        self._keep_pace(now)
        # Once more: a stop during the wait above must hold this step back too.
        if self._stopped.is_set():
            return self.between(now)
        return "hold" if self._mode == "holding" else "act"

    def ended(self, now: Between) -> None:
        """Show how it ended."""
        self._show(now)
        self._now = None
        self._pointing.forget()
        told = "success" if now.success else "no success"
        self.board.tell(result=told)
        self.board.log(f"the episode ended after {now.step} steps: {told}")
        self._set_mode("finished")

    def next_episode(self) -> int | None:
        """Wait until an operator wants another episode: which; None where this session is over."""
        while not self._closed.is_set():
            if self._begin is not None and not self._stopped.is_set():
                begin, self._begin = self._begin, None
                return begin
            with self._commands.news:
                if not self._commands.waiting:
                    self._commands.news.wait(0.5)
            self._listen()
        return None

    @property
    def stopped(self) -> bool:
        """Whether the emergency stop holds."""
        return self._stopped.is_set()

    @property
    def closed(self) -> bool:
        """Whether the session is over."""
        return self._closed.is_set()

    # --- inside -----------------------------------------------------------------------------------

    def _started(self, now: Between) -> None:
        self._end, self._paused_at = False, None
        self._actions.clear()
        self._latencies = Latencies()
        self._pointing.begin(now.world)
        self.board.tell(result=None, axes=AXES.get(now.world.conventions.action))
        self.board.log(f"“{now.driver.script.instruction}” begins")
        self._due = time.monotonic()
        self._set_mode("paused" if self.options.paused else "running")

    def _stands(self) -> bool:
        over = self._end or self._closed.is_set()
        return not over and (self._stopped.is_set() or self._mode == "paused")

    def _pause_where_asked(self, now: Between) -> None:
        at = self.options.pause_at
        if at is not None and self._paused_at is None and now.driver.index == at and at > 0:
            self._paused_at = now.step
            self._set_mode("paused")

    def _keep_pace(self, now: Between) -> None:
        if not self.options.speed:
            return
        self._due += 1 / (now.world.conventions.rate_hz * self.options.speed)
        ahead = self._due - time.monotonic()
        if ahead < -0.5:
            self._due = time.monotonic()
        elif ahead > 0:
            self._stopped.wait(ahead)

    def _show(self, now: Between) -> None:
        began = time.perf_counter()
        views = shown_views(now, self.options.pixels)
        self._latencies.note(now, time.perf_counter() - began)
        facts = {
            "step": now.step, "success": now.success, **progress_of(now),
            "latency": self._latencies.as_json(),
            "actions": {"until": now.step, "values": list(self._actions)},
        }  # fmt: skip
        self.board.tell(**state_of(now))
        self._pointing.show(now, self.board.show(views, facts))

    def _set_mode(self, mode: str) -> None:
        self._mode = mode
        self.board.tell(mode="stopped" if self._stopped.is_set() else mode)

    def _listen(self) -> int:
        return self._commands.answer(self._obey)

    def _obey(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        """Do a command, and show what came of it before it is answered."""
        answer = self._do(command, arguments)
        if self._now is not None:
            self._show(self._now)
        return answer

    def _do(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        if command == "again":
            return self._again(arguments)
        if command == "release":
            return self._release()
        now = self._now
        if now is None:
            raise RainError("no episode is running: begin one")
        if command in ("pause", "hold", "resume"):
            return self._go(command)
        if command == "end":
            self._end = True
            return {}
        if command == "instructions":
            return {"instructions": instructions_in(now.world)}
        if command == "instruct":
            now.driver.tell(now.step, told_in(now.world, text(arguments, "text")))
        elif command in ("next", "previous", "set"):
            here = now.driver.index
            to = {"next": here + 1, "previous": here - 1}.get(command)
            now.driver.go_to(now.step, whole(arguments, "index") if to is None else to)
        else:
            return self._pointing.obey(now, command, arguments)
        self._pointing.withdraw()
        return {}

    def _go(self, command: str) -> Answer:
        if self._stopped.is_set():
            raise RainError("the emergency stop holds: release it first")
        self._due = time.monotonic()
        self._set_mode({"pause": "paused", "hold": "holding", "resume": "running"}[command])
        return {}

    def _release(self) -> Answer:
        if not self._stopped.is_set():
            raise RainError("there is no emergency stop to release")
        self._stopped.clear()
        self._set_mode("paused" if self._now is not None else "finished")
        return {}

    def _again(self, arguments: Mapping[str, Any]) -> Answer:
        if self._stopped.is_set():
            raise RainError("the emergency stop holds: release it first")
        episode = whole(arguments, "episode") if "episode" in arguments else 0
        if episode < 0:
            raise RainError("episode: expected 0 or more")
        self._begin = episode
        self._end = self._now is not None
        return {}
