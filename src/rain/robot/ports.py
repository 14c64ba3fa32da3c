"""What the control loop needs of the robot, of a policy and of regions. None of them may block.

Whatever a port raises is logged and answered by holding still; a port that blocks would stop the
loop. Stamps are seconds of the loop's own clock, at which something arrived: clocks of other
machines are not compared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Prompt
from rain.types import Conventions, Look, Observation, Prediction


@dataclass(frozen=True)
class Reading:
    """The latest that the robot said.

    state: float (7,) rad, in the order of its joints, or None where nothing came yet. state_stamp:
    when it came. images: view -> uint8 (H, W, 3), upright; a view that never came is absent.
    stamps: view -> when its image came. faults: what is wrong, for people.
    """

    state: NDArray | None = None
    state_stamp: float = float("-inf")
    images: Mapping[str, NDArray[np.uint8]] = field(default_factory=dict)
    stamps: Mapping[str, float] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


class RobotPort(Protocol):
    """An arm and its cameras; one client holds it at a time."""

    def read(self) -> Reading:
        """The latest state and images; the same again where nothing new came."""

    def send(self, target: NDArray[np.float64]) -> None:
        """Ask the joints (7,) rad to be there one control period from now."""


class PolicyPort(Protocol):
    """A policy that is asked now and answers later."""

    conventions: Conventions

    def ask(self, observation: Observation) -> int:
        """Send a question; its number. RainError where it cannot be sent."""

    def poll(self) -> Sequence[tuple[int, Prediction]]:
        """Answers that came since, with their questions' numbers, perhaps none.

        RainError where a question was refused or lost; the loop asks again.
        """


class RegionPort(Protocol):
    """Where the regions of the present target come from (``rain.perception.loop``, elsewhere)."""

    def begin(self, target: str, phrase: str) -> None:
        """A subtask begins: ground this target in the next frame, follow it from there."""

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> None:
        """Hand over a frame."""

    def poll(self) -> Look | None:
        """The newest that is known of this target, None where nothing is known since ``begin``."""

    def point(self, prompts: Mapping[str, Prompt]) -> None:
        """An operator points at another target in the next frame: view -> prompt.

        It is the target from there on, in these views; what was known of the last one is forgotten.
        """
