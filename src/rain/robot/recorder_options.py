"""How episodes are recorded; without what records them, so that a command line is light."""

from __future__ import annotations

from dataclasses import dataclass

from rain.types import RainError


@dataclass(frozen=True)
class RecorderOptions:
    """How episodes are recorded."""

    automatic: bool = False
    """An episode begins with the first joint target after a silence and ends with the next one."""
    quiet_s: float = 1.0
    """Without a joint target for so long, it is silent."""
    longest_s: float = 120.0
    """An episode that is longer ends by itself."""

    def __post_init__(self) -> None:
        for name in ("quiet_s", "longest_s"):
            if getattr(self, name) <= 0:
                raise RainError(f"{name}: expected more than 0 s, got {getattr(self, name)}")
