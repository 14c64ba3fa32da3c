"""A vision-language model as Reasoner and Grounder: prompts, one retry, then a clear failure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Box, Prompt
from rain.perception.reasoner.answers import AnswerError, Units, read_box, read_script
from rain.perception.reasoner.protocols import PhrasedScript, ReasonError
from rain.perception.segmenter import Frame

T = TypeVar("T")


@dataclass(frozen=True)
class Message:
    """One turn of a conversation. role: user or assistant; images come before the text."""

    role: str
    text: str
    images: tuple[NDArray[np.uint8], ...] = ()


class ChatModel(Protocol):
    """Anything that answers a conversation: a local model, an endpoint."""

    @property
    def name(self) -> str:
        """What messages to a person call it."""

    def ask(self, messages: Sequence[Message]) -> str:
        """The answer's text; ReasonError where there is none."""


class ChatReasoner:
    """Decomposes and points by asking a model; a bad answer is asked for once more.

    views: in which a target is looked for; by default in all. units: of the model's coordinates.
    """

    def __init__(
        self, model: ChatModel, *, views: tuple[str, ...] | None = None, units: Units = "auto"
    ) -> None:
        self._model, self._views, self._units = model, views, units

    def decompose(self, instruction: str, images: Mapping[str, NDArray[np.uint8]]) -> PhrasedScript:
        """The subtasks of an instruction; ReasonError."""
        asked = Message(
            "user",
            prompt("decompose").format(instruction=instruction),
            tuple(images.values()),
        )
        what = f"the subtasks of {instruction!r}"
        return self._answer(asked, lambda text: read_script(text, instruction), what)

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Prompt]:
        """The target's box in every view that shows it; ReasonError."""
        found: dict[str, Prompt] = {}
        for view, image in frame.images.items():
            if self._views is not None and view not in self._views:
                continue
            height, width = image.shape[:2]
            asked = Message("user", prompt("locate").format(phrase=phrase), (image,))

            def read(text: str, height: int = height, width: int = width) -> Box | None:
                return read_box(text, height, width, self._units)

            box = self._answer(asked, read, f"{phrase!r} in view {view}")
            if box is not None:
                found[view] = box
        return found

    def _answer(self, asked: Message, read: Callable[[str], T], what: str) -> T:
        """Read an answer; where that fails quote the error back once."""
        first = self._model.ask([asked])
        try:
            return read(first)
        except AnswerError as error:
            again = Message("user", prompt("again").format(error=error))
        second = self._model.ask([asked, Message("assistant", first), again])
        try:
            return read(second)
        except AnswerError as error:
            raise ReasonError(
                f"{self._model.name} gave no usable answer to {what}, twice: {error}"
            ) from None


@cache
def prompt(name: str) -> str:
    """A prompt's text, from the package's files."""
    path = files("rain.perception.reasoner") / "prompts" / f"{name}.txt"
    return path.read_text(encoding="utf-8").strip()
