"""How a run on an arm is done."""

from __future__ import annotations

from dataclasses import dataclass, field

from rain.robot.chunks import PlayOptions
from rain.robot.watch import WatchLimits
from rain.types import RainError


@dataclass(frozen=True)
class ClientOptions:
    """How a run is done."""

    play: PlayOptions = field(default_factory=PlayOptions)
    watch: WatchLimits = field(default_factory=WatchLimits)
    threshold: float = 0.7
    """A subtask is complete after looks above it,"""
    consecutive: int = 2
    """so many of them in a row."""
    confirm_after: int = 1
    """Ticks between a look above the threshold and the next question."""
    automatic: bool = True
    """Go on to the next subtask without being told to."""
    retry_s: float = 0.2
    """Between a question that failed and the next."""
    settle_s: float = 1.0
    """The arm holds so long after the last subtask before the run ends."""
    stay: bool = False
    """The run never ends by itself."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.threshold <= 1.0:
            raise RainError(f"threshold: expected a value in [0, 1], got {self.threshold}")
        for name in ("consecutive", "confirm_after"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")
