"""Playing action chunks while the next one is on its way.

A period of the control loop has a number, its tick. A prediction holds 16 actions, the first of
which is meant for the tick in which its observation was made. Each chunk serves for ``execute``
ticks; meanwhile the next question is asked, and when its answer comes, its first actions are
dropped: the time they were meant for has passed. Ticks in which the arm held are not counted, for
it is still where it was. The spare actions at a chunk's end bridge the wait for the next; where
they do not last, the tick is starved and the arm holds.

At a seam the chunk that played and the one that comes may disagree. Both are meant for the same
ticks, so they can be mixed there:

- ``cut``: the new one from its first tick on
- ``blend``: from the old to the new one over ``blend`` ticks, linearly (temporal blending)
- ``rtc``: by the soft mask of real-time chunking (Black, Galliker, Levine, 2025, eq. 5): the share
  of the old chunk is 1 for the actions that pass while the network works, and falls exponentially
  over the rest of what both chunks cover. The paper guides the sampler with that mask; here the
  finished chunks are mixed with it, for the sampler is behind a socket.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import HORIZON, RainError

Floats = NDArray[np.float64]
SEAMS = ("cut", "blend", "rtc")
RECENT = 8
"""Answers whose delays are remembered."""


@dataclass(frozen=True)
class PlayOptions:
    """How chunks are played."""

    execute: int = 10
    """Actions of each chunk's 16 that are executed. In ``rain robot run`` --execute decides."""
    seam: str = "blend"
    """How one chunk goes over into the next: cut, blend or rtc."""
    blend: int = 4
    """Ticks over which ``blend`` goes over."""

    def __post_init__(self) -> None:
        if not 1 <= self.execute <= HORIZON:
            raise RainError(f"execute: expected 1 to {HORIZON} actions, got {self.execute}")
        if self.seam not in SEAMS:
            raise RainError(f"seam: expected one of {', '.join(SEAMS)}, got {self.seam!r}")
        if not 0 <= self.blend <= HORIZON:
            raise RainError(f"blend: expected 0 to {HORIZON} ticks, got {self.blend}")


@dataclass(frozen=True)
class Joined:
    """How a chunk came in: actions dropped because their time had passed, the largest change of a
    joint's target between the chunks in the first tick, rad, or None where none played."""

    dropped: int
    jump: float | None


class ChunkPlayer:
    """Plays the latest chunk, joined to the one before."""

    def __init__(self, options: PlayOptions | None = None) -> None:
        self.options = options or PlayOptions()
        self._actions: Floats | None = None
        self._begin = self._observed = 0
        self._played: list[int] = []
        self._delays: list[int] = []

    @property
    def playing(self) -> bool:
        """Whether there is a chunk, be it played to its end."""
        return self._actions is not None

    @property
    def delay(self) -> int:
        """Ticks that the slowest of the recent answers took."""
        return max(self._delays, default=0)

    def clear(self) -> None:
        """Forget the chunk: the subtask ended, or the arm held."""
        self._actions = None
        self._played.clear()

    def put(self, actions: NDArray, observed: int, now: int) -> Joined:
        """Take a chunk (16, 7) whose observation was made in tick ``observed``, to play from now.

        A chunk that is wholly in the past, or older than the one that plays, changes nothing.
        """
        self._delays = [*self._delays[1 - RECENT :], max(0, now - observed)]
        passed = sum(observed <= tick < now for tick in self._played)
        if passed >= HORIZON or (self.playing and observed < self._observed):
            return Joined(HORIZON, None)
        fresh = np.array(actions, dtype=np.float64)
        jump = None
        if (old := self._left(now)) is not None:
            both = min(len(old), HORIZON - passed)
            old, new = old[:both], fresh[passed : passed + both]
            jump = float(np.abs(new[0] - old[0]).max())
            new += self._shares(passed, both)[:, None] * (old - new)
        self._actions, self._begin, self._observed = fresh, now - passed, observed
        return Joined(passed, jump)

    def action(self, tick: int) -> Floats | None:
        """The action of a tick (7,), or None where there is none: the tick is starved."""
        left = self._left(tick)
        if left is None:
            return None
        self._played = [*self._played[-8 * HORIZON :], tick]
        return left[0].copy()

    def due(self, tick: int, soon: int | None = None) -> bool:
        """Whether the next question is to be asked now.

        That is ``execute`` ticks after the last chunk's observation; earlier where answers take so
        long that the chunk would end before, or after ``soon`` ticks.
        """
        if self._actions is None:
            return True
        wait = min(self.options.execute, max(1, HORIZON - self.delay))
        return tick - self._begin >= (wait if soon is None else min(wait, soon))

    def _left(self, tick: int) -> Floats | None:
        """The actions from a tick on, (n, 7), or None."""
        passed = tick - self._begin
        if self._actions is None or not 0 <= passed < HORIZON:
            return None
        return self._actions[passed:]

    def _shares(self, passed: int, count: int) -> Floats:
        """The old chunk's share in each of the ``count`` ticks that both chunks cover from now."""
        if self.options.seam == "cut":
            return np.zeros(count)
        if self.options.seam == "blend":
            steps = self.options.blend + 1
            return np.maximum(0.0, 1 - np.arange(1, count + 1) / steps)
        return soft_mask(passed, passed + count)[passed:]


def soft_mask(delay: int, overlap: int) -> Floats:
    """Real-time chunking's weights of the old chunk on the new one's actions, (``overlap``,).

    1 for the first ``delay`` actions, then exponentially down to the end of what both cover
    (eq. 5: with c from 1 to 0, c (e^c - 1) / (e - 1)).
    """
    c = np.clip((overlap - np.arange(overlap)) / (overlap - delay + 1), 0.0, 1.0)
    return np.where(np.arange(overlap) < delay, 1.0, c * np.expm1(c) / np.expm1(1.0))
