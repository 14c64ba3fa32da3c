"""What is shown now: the latest frame, the state beside it, and a log."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from rain.dashboard.frames import ShownFrame, ShownView

LOG_LINES = 300


class Board:
    """Whoever acts writes, every viewer reads; the latest frame wins.

    state: JSON values that change seldom (mode, subtasks, what is pointed at); what changes with
    every frame is in the frame.
    """

    def __init__(self, **state: Any) -> None:
        self._lock = threading.Lock()
        self._state: dict[str, Any] = state
        self._version = 0
        self._frame: ShownFrame | None = None
        self._number = 0
        self._log: deque[dict[str, Any]] = deque(maxlen=LOG_LINES)
        self._lines = 0
        self._watchers: list[Callable[[], None]] = []

    @property
    def frame(self) -> ShownFrame | None:
        """The latest frame."""
        return self._frame

    def state(self) -> tuple[int, dict[str, Any]]:
        """The state, and a number that grows with every change."""
        with self._lock:
            return self._version, dict(self._state)

    def lines(self, after: int = 0) -> list[dict[str, Any]]:
        """Lines of the log later than number ``after``: number, time (s since the epoch), text."""
        with self._lock:
            return [line for line in self._log if line["number"] > after]

    def show(self, views: Mapping[str, ShownView], facts: Mapping[str, Any]) -> ShownFrame:
        """Show a frame; returns it with its number."""
        with self._lock:
            self._number += 1
            self._frame = frame = ShownFrame(self._number, time.time(), views, facts)
        self._changed()
        return frame

    def tell(self, **changes: Any) -> None:
        """Change the state."""
        with self._lock:
            if all(name in self._state and self._state[name] == v for name, v in changes.items()):
                return
            self._state.update(changes)
            self._version += 1
        self._changed()

    def log(self, text: str, kind: str = "note") -> None:
        """Add a line to the log. kind: note, operator, warning."""
        with self._lock:
            self._lines += 1
            self._log.append(
                {"number": self._lines, "time": time.time(), "text": text, "kind": kind}
            )
            self._version += 1
        self._changed()

    def watch(self, call: Callable[[], None]) -> Callable[[], None]:
        """Call after every change, in the thread that made it; returns what ends that."""
        with self._lock:
            self._watchers.append(call)

        def leave() -> None:
            with self._lock:
                self._watchers.remove(call)

        return leave

    def _changed(self) -> None:
        with self._lock:
            watchers = list(self._watchers)
        for call in watchers:
            call()
