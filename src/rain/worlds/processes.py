"""Worlds in worker processes: one simulator a process, one process a job."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from typing import Any, TypeVar

T = TypeVar("T")


def run_jobs(
    function: Callable[..., T], jobs: Sequence[tuple[Any, ...]], workers: int
) -> Iterator[T]:
    """Call ``function(*job)`` in worker processes; yield results as they come.

    Every job has a fresh process, because closing a simulator corrupts the images of the next. An
    exception of a job is raised here; jobs not yet begun are then dropped.
    """
    if not jobs:
        return
    # Several workers with a thread per core each spend their time waiting for one another.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
    with ProcessPoolExecutor(
        min(workers, len(jobs)),
        get_context("spawn"),
        initializer=_end_with_parent,
        initargs=(os.getpid(),),
        max_tasks_per_child=1,
    ) as pool:
        futures = [pool.submit(function, *job) for job in jobs]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


def _end_with_parent(parent: int) -> None:
    """End this process when its parent was killed, instead of working on unseen."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
