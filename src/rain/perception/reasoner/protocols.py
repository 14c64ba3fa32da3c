"""What reasoning gives, and who gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Prompt
from rain.perception.segmenter import Frame
from rain.types import RainError, TaskScript


class ReasonError(RainError):
    """A model or endpoint gave no answer, or none that can be used. One line."""


@dataclass(frozen=True)
class PhrasedScript:
    """A script, and for each of its subtasks the phrase by which its target is found in images."""

    script: TaskScript
    phrases: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.phrases) != len(self.script.subtasks):
            raise RainError(
                f"{len(self.script.subtasks)} subtasks have {len(self.phrases)} phrases"
            )

    def phrase_of(self, target: str) -> str:
        """The phrase of a target; the target's own name where the script lacks it."""
        for subtask, phrase in zip(self.script.subtasks, self.phrases, strict=True):
            if subtask.target == target:
                return phrase
        return phrase_from_name(target)


@runtime_checkable
class Reasoner(Protocol):
    """Decomposes instructions."""

    def decompose(self, instruction: str, images: Mapping[str, NDArray[np.uint8]]) -> PhrasedScript:
        """The subtasks of an instruction, given what the views show; ReasonError, RainError."""


@runtime_checkable
class Grounder(Protocol):
    """Points at targets."""

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Prompt]:
        """Where a target is: view -> prompt; a view in which it is not to be seen is absent.

        ReasonError, RainError where that cannot be said.
        """


def phrase_from_name(target: str) -> str:
    """Words for a target's name: ``wooden_cabinet_1:top_drawer`` is the top drawer of its cabinet.

    Of ``plate_1->PLACE`` the pushed object is the target.
    """
    owner, _, part = target.partition("->")[0].partition(":")
    head, _, number = owner.rpartition("_")
    words = (head if number.isdigit() and head else owner).replace("_", " ")
    return f"the {part.replace('_', ' ')} of the {words}" if part else f"the {words}"
