"""A person between two control steps: sees what the policy sees, and can change its mind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

from rain.bench.drivers import Driver
from rain.bench.episode import PartClock

Order = Literal["act", "hold", "stop"]
"""act: the policy's action; hold: the arm holds still for a step; stop: the episode ends here."""


@dataclass(frozen=True)
class Between:
    """What an operator is shown, and what can be changed through ``driver``.

    step: actions executed so far. success: the episode would be a success if it ended now.
    """

    world: Any
    driver: Driver
    clock: PartClock
    step: int
    success: bool


class Operator(Protocol):
    """Asked before every action; may take its time, and the world waits."""

    def between(self, now: Between) -> Order:
        """What happens next."""

    def ended(self, now: Between) -> None:
        """The episode is over; nothing that is changed now has an effect."""
