"""Worlds in worker processes: one simulator a process, one process a job."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, as_completed, wait
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")

POLL = 0.2
"""s between two looks for what workers have sent."""

_outbox: Any = None
"""In a worker of ``stream_jobs``: the queue to the parent."""


def run_jobs(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[T]:
    """Call ``function(*job)`` in worker processes; yield results as they come.

    Every job has a fresh process, because closing a simulator corrupts the images of the next. An
    exception of a job is raised here; jobs not yet begun are then dropped.
    """
    if not jobs:
        return
    with _pool(min(workers, len(jobs))) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def stream_jobs(
    function: Callable[..., Iterable[T]], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[T]:
    """Like ``run_jobs`` for generator functions: yields what they yield while they are at work.

    What a job yielded before it raised comes first. Items must be small and picklable.
    """
    if not jobs:
        return
    # Its put() writes at once, so that a job's items are there before its result is.
    inbox = get_context("spawn").SimpleQueue()
    with _pool(min(workers, len(jobs)), inbox) as pool:
        futures = [pool.submit(_send_all, function, job) for job in jobs]
        waiting = set(futures)
        try:
            while waiting:
                done, waiting = wait(waiting, timeout=POLL, return_when=FIRST_COMPLETED)
                while not inbox.empty():
                    yield inbox.get()
                for future in done:
                    future.result()
        finally:
            for future in futures:
                future.cancel()


def _send_all(function: Callable[..., Iterable[Any]], job: tuple[Any, ...]) -> None:
    for item in function(*job):
        _outbox.put(item)


def _pool(workers: int, outbox: Any = None) -> ProcessPoolExecutor:
    # Several workers with a thread per core each spend their time waiting for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    return ProcessPoolExecutor(
        workers,
        get_context("spawn"),
        initializer=_begin,
        initargs=(os.getpid(), outbox),
        max_tasks_per_child=1,
    )


def is_alive(process: int) -> bool:
    """Say whether a process of this number runs."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def _begin(parent: int, outbox: Any) -> None:
    global _outbox  # a queue reaches a worker only when that is started
    _outbox = outbox
    end_with(parent)


def end_with(parent: int) -> None:
    """End this process when its parent was killed, instead of working on unseen."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
