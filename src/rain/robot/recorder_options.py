"""How episodes are recorded; without what records them, so that a command line is light."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class RecorderOptions:
    """How episodes are recorded.

    automatic: an episode begins with the first command after a silence of ``quiet_s`` and ends with
    the next such silence. longest_s: an episode that is longer ends by itself.
    """

    automatic: bool = False
    quiet_s: float = 1.0
    longest_s: float = 120.0
