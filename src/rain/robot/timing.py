"""The loop's clock, its ticks, and how evenly they came."""

from __future__ import annotations

import time
from array import array
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

JUMP_S = 1.0
"""A tick that comes so much too late is no delay: the clock jumped, or the machine slept."""


class Clock(Protocol):
    """Where time comes from; tests have one of their own."""

    def now(self) -> float:
        """Seconds."""

    def sleep(self, seconds: float) -> None:
        """Wait about so long."""


class SystemClock:
    """The machine's monotonic clock, which nobody sets."""

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        """Wait at least so long."""
        time.sleep(seconds)


@dataclass(frozen=True)
class Beat:
    """One tick: its number, the time, how late it is, how many were left out before it, and by how
    many seconds the clock jumped, if it did."""

    tick: int
    now: float
    late: float = 0.0
    skipped: int = 0
    jumped: float | None = None


class Pace:
    """Gives a tick every period. Ticks that were missed are left out, never made up for."""

    def __init__(self, rate_hz: float, clock: Clock) -> None:
        self._period, self._clock = 1 / rate_hz, clock
        self._origin = self._before = clock.now()
        self._tick = -1

    def wait(self) -> Beat:
        """Wait for the next tick."""
        due = self._origin + (self._tick + 1) * self._period
        now = self._clock.now()
        if due > now:
            # Never longer than a period, whatever the clock says.
            self._clock.sleep(min(due - now, self._period))
            now = self._clock.now()
        late = now - due
        if late > JUMP_S or now < self._before or late < -self._period / 2:
            self._tick += 1
            self._origin, self._before = now - self._tick * self._period, now
            return Beat(self._tick, now, jumped=late)
        skipped = max(0, int(late / self._period))
        self._tick += 1 + skipped
        self._before = now
        return Beat(self._tick, now, max(0.0, late - skipped * self._period), skipped)


class Spread:
    """Many durations, in seconds, and what is told of them."""

    def __init__(self) -> None:
        self.values = array("d")

    def add(self, seconds: float) -> None:
        """Note one."""
        self.values.append(seconds)

    @property
    def last(self) -> float | None:
        """The last that was noted, s."""
        return self.values[-1] if self.values else None

    def told(self) -> dict[str, Any]:
        """Count, and p50, p99 and the largest in ms."""
        return {"count": len(self.values)} | percentiles_ms(self.values)


def percentiles_ms(seconds: Iterable[float]) -> dict[str, float | None]:
    """p50, p99 and the largest of durations in s, in ms; None where there are none."""
    values = np.fromiter(seconds, np.float64) * 1000
    if not len(values):
        return {"p50_ms": None, "p99_ms": None, "max_ms": None}
    p50, p99 = np.percentile(values, (50, 99))
    return {
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "max_ms": round(float(values.max()), 3),
    }
