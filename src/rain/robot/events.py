"""What happens in a run, a line of JSON each: ``{"t": s, "tick": n, "event": kind, ...}``."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TextIO

from rain.types import RainError


class EventLog:
    """Appends events to a file, and counts them. Never raises once it is open.

    Where the disk is full, events are counted as lost and the loop goes on: the arm must not stop
    being held for want of a log.
    """

    def __init__(
        self, path: Path | None = None, hears: Callable[[Mapping[str, Any]], None] | None = None
    ) -> None:
        """Open the file; RainError where that fails. None keeps events in memory only (tests).

        hears: is told every event; it must not wait.
        """
        self.counts: Counter[str] = Counter()
        self.lost = 0
        self._hears = hears
        self.events: list[dict[str, Any]] = []
        self._file: TextIO | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8", buffering=1)
            except OSError as error:
                raise RainError(f"{path}: {error.strerror}") from error

    def add(self, event: str, now: float, tick: int, **facts: Any) -> None:
        """Note one event."""
        self.counts[event] += 1
        entry = {"t": round(now, 6), "tick": tick, "event": event, **facts}
        if self._hears is not None:
            try:
                self._hears(entry)
            except Exception:  # whoever listens must not disturb the loop
                self.lost += 1
        if self._file is None:
            self.events.append(entry)
            return
        try:
            self._file.write(json.dumps(_plain(entry), ensure_ascii=False) + "\n")
        except (OSError, ValueError, TypeError):
            self.lost += 1

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError:
                self.lost += 1


def _plain(value: Any) -> Any:
    """As JSON has it: NaN, which it has not, becomes text."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return value
