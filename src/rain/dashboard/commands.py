"""Commands from the page to the loop that acts: few, in order, each with its answer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as LateError
from typing import Any

from rain.types import RainError

MOST = 16
"""Commands that may wait."""
ANSWER_S = 30.0
"""How long a command may take; a model that reads an instruction takes seconds."""

Answer = dict[str, Any]


class Commands:
    """A small queue. What is refused is refused at once; what nobody takes is taken back."""

    def __init__(self, answer_s: float = ANSWER_S) -> None:
        self._queue: queue.Queue[tuple[str, Mapping[str, Any], Future[Answer]]] = queue.Queue(MOST)
        self._answer_s = answer_s
        self.news = threading.Condition()

    def ask(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        """Wait for a command's answer; RainError where it is refused or nobody answers."""
        future: Future[Answer] = Future()
        try:
            self._queue.put_nowait((command, arguments, future))
        except queue.Full:
            raise RainError(f"{MOST} commands are waiting already; this one is dropped") from None
        self.wake()
        try:
            return future.result(self._answer_s)
        except LateError:
            future.cancel()
            raise RainError(f"{command}: nobody answered within {self._answer_s:g} s") from None

    def wake(self) -> None:
        """Wake the loop that waits on ``news``."""
        with self.news:
            self.news.notify_all()

    @property
    def waiting(self) -> bool:
        """Whether there is something to answer."""
        return not self._queue.empty()

    def answer(self, do: Callable[[str, Mapping[str, Any]], Answer]) -> int:
        """Do what waits, in the thread of the loop that acts; returns how many were done.

        A RainError is the command's answer. Anything else is too, and is raised: it is a bug.
        """
        done = 0
        while True:
            try:
                command, arguments, future = self._queue.get_nowait()
            except queue.Empty:
                return done
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(do(command, arguments))
            except RainError as error:
                future.set_exception(error)
            except Exception as error:
                future.set_exception(RainError(f"{command} failed: {error}"))
                raise
            done += 1


def number(arguments: Mapping[str, Any], name: str) -> float:
    """A finite number of a command's; RainError."""
    value = arguments.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e9:
        raise RainError(f"{name}: expected a number, got {value!r}")
    return float(value)


def whole(arguments: Mapping[str, Any], name: str) -> int:
    """A whole number of a command's; RainError."""
    value = number(arguments, name)
    if value != int(value):
        raise RainError(f"{name}: expected a whole number, got {value:g}")
    return int(value)


def text(arguments: Mapping[str, Any], name: str, most: int = 500) -> str:
    """A text of a command's, not empty; RainError."""
    value = arguments.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > most:
        raise RainError(f"{name}: expected a text of at most {most} characters")
    return value.strip()
