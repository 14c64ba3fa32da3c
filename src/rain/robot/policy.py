"""A policy that blocks while it thinks, as a ``PolicyPort``: it thinks in a thread."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Protocol

from rain.types import Conventions, Observation, Prediction, RainError


class Predicts(Protocol):
    """Any ``Policy``."""

    conventions: Conventions

    def predict(self, observation: Observation) -> Prediction: ...


class ThreadedPolicy:
    """Asks one question at a time; a newer one that waits takes the place of an older one."""

    def __init__(self, policy: Predicts, close: Callable[[], None] = lambda: None) -> None:
        """``close``: called by the thread at the end; sockets belong to the thread that used them.

        From here on ``policy`` is the thread's alone.
        """
        self.conventions = policy.conventions
        self._policy, self._close = policy, close
        self._number = 0
        self._questions: queue.Queue[tuple[int, Observation] | None] = queue.Queue(maxsize=1)
        self._answers: queue.SimpleQueue[tuple[int, Prediction | Exception]] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="policy", daemon=True)
        self._thread.start()

    def ask(self, observation: Observation) -> int:
        """Hand a question to the thread."""
        self._number += 1
        self._put((self._number, observation))
        return self._number

    def poll(self) -> list[tuple[int, Prediction]]:
        """Answers that came since; RainError for a question that failed."""
        found: list[tuple[int, Prediction]] = []
        while not self._answers.empty():
            number, answer = self._answers.get()
            if isinstance(answer, Exception):
                if number == self._number:
                    raise RainError(f"the policy failed: {answer}") from answer
                continue
            found.append((number, answer))
        return found

    def close(self) -> None:
        """End the thread; a question at work is waited for a moment."""
        self._put(None)
        self._thread.join(2.0)

    def _put(self, item: tuple[int, Observation] | None) -> None:
        while True:
            try:
                self._questions.put_nowait(item)
                return
            except queue.Full:
                try:
                    self._questions.get_nowait()
                except queue.Empty:
                    continue

    def _work(self) -> None:
        while (question := self._questions.get()) is not None:
            number, observation = question
            try:
                self._answers.put((number, self._policy.predict(observation)))
            except Exception as error:  # a bug of the policy's must not end the thread
                self._answers.put((number, error))
        self._close()
