"""Workers as tasks of a Ray cluster. Only the driver writes; it takes what they report as it does
from processes of this machine, so results and resuming are the same."""

from __future__ import annotations

import importlib
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from rain.bench.records import Trial
from rain.bench.runner import Launch
from rain.bench.worker import Message, Setup, report
from rain.types import RainError


@contextmanager
def cluster(address: str | None, threads: int, device: str) -> Iterator[Launch]:
    """A cluster for the ``with`` block, and what starts jobs on it.

    threads: CPUs of each job; device: cuda gives each a GPU. RainError without Ray or cluster.
    """
    try:
        ray = importlib.import_module("ray")
    except ImportError as error:
        raise RainError(f'--ray needs Ray: pip install "rain-robotics[ray]" ({error})') from error
    try:
        ray.init(address=address, ignore_reinit_error=True, log_to_driver=False)
    except ConnectionError as error:
        raise RainError(f"no Ray cluster at {address or 'this machine'}: {error}") from error
    # A simulator renders reliably only in a process that held no other, so each job has a fresh
    # one (max_calls); the driver decides what runs again (max_retries).
    remote = ray.remote(
        num_cpus=threads,
        num_gpus=int(device.startswith("cuda")),
        max_calls=1,
        max_retries=0,
        num_returns="streaming",
    )(report_all)

    def launch(connection: Connection, trials: list[Trial], setup: Setup) -> RayJob:
        return RayJob(ray, remote.remote(trials, setup), connection)

    try:
        yield launch
    finally:
        ray.shutdown()


def report_all(trials: Sequence[Trial], setup: Setup) -> Iterator[Message]:
    """The job on a node: what ``rain.bench.worker.report`` says, as it says it."""
    yield from report(trials, setup)


class RayJob:
    """Passes on what a job says, until it ends or its node dies."""

    exitcode = None

    def __init__(self, ray: Any, messages: Any, connection: Connection) -> None:
        """messages: references to them, as they come."""
        self._ray, self._messages = ray, messages
        # The caller closes its end when this returns, so the thread needs one of its own.
        self._connection = Connection(_duplicated(connection))
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        try:
            for reference in self._messages:
                self._connection.send(self._ray.get(reference))
        except OSError:
            pass  # the driver has stopped listening
        except self._ray.exceptions.RayError:
            pass  # a node or process died: to the driver an end of file, like any death
        finally:
            self._connection.close()

    def terminate(self) -> None:
        """End the job now."""
        self._ray.cancel(self._messages, force=True)

    def join(self) -> None:
        """Wait until everything was passed on."""
        self._thread.join(timeout=60)


def _duplicated(connection: Connection) -> int:
    return os.dup(connection.fileno())
