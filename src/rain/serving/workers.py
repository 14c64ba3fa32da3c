"""Threads for what takes long. They end with the process, whatever they are at."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any


class Workers:
    """Runs calls in a few threads, in their order."""

    def __init__(self, threads: int = 2) -> None:
        """Start the threads. A ThreadPoolExecutor's would be waited for when the process ends."""
        self._calls: queue.SimpleQueue[tuple[Callable[[], Any], Future[Any]]] = queue.SimpleQueue()
        for _ in range(threads):
            threading.Thread(target=self._run, name="rain-worker", daemon=True).start()

    def submit(self, call: Callable[[], Any]) -> Future[Any]:
        """Run ``call`` when a thread is free."""
        future: Future[Any] = Future()
        self._calls.put((call, future))
        return future

    def _run(self) -> None:
        while True:
            call, future = self._calls.get()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(call())
            except Exception as error:
                future.set_exception(error)
