"""Batches made by a thread while the network computes."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")


class Prefetch(Generic[T]):
    """Iterates over ``make(step)`` for the given steps, ``depth`` ahead, in order.

    An error in ``make`` is raised where its batch would have come. Close it to stop early.
    """

    def __init__(self, make: Callable[[int], T], steps: range, depth: int = 2) -> None:
        self._queue: queue.Queue[tuple[int, T | None, BaseException | None]] = queue.Queue(depth)
        self._stopped = threading.Event()
        self._thread = threading.Thread(
            target=self._work, args=(make, steps), name="batches", daemon=True
        )
        self._steps = steps
        self._thread.start()

    def __iter__(self) -> Iterator[tuple[int, T]]:
        for _ in self._steps:
            step, batch, error = self._queue.get()
            if error is not None:
                raise error
            assert batch is not None
            yield step, batch

    def close(self) -> None:
        """Stop the thread and wait for it."""
        self._stopped.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)
            except queue.Empty:
                self._thread.join(timeout=0.05)

    def __enter__(self) -> Prefetch[T]:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _work(self, make: Callable[[int], T], steps: range) -> None:
        for step in steps:
            if self._stopped.is_set():
                return
            try:
                self._queue.put((step, make(step), None))
            except BaseException as error:  # handed to the reader, which raises it
                self._queue.put((step, None, error))
                return
