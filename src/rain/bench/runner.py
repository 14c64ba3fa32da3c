"""Runs trials over worker processes and appends each record as it arrives.

Only this process writes the record file. A worker that dies (a fault in the simulator or the GL
driver) takes one episode along: that one is recorded as crashed, the rest of its trials go to a
fresh worker.
"""

from __future__ import annotations

import multiprocessing
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Protocol

from rain.bench.records import EpisodeRecord, RecordFile, Trial
from rain.bench.worker import Setup, serve
from rain.types import RainError


class Job(Protocol):
    """A job at work somewhere: a process here, or a task on a cluster."""

    @property
    def exitcode(self) -> int | None:
        """How it ended, where that is known."""

    def terminate(self) -> None:
        """End it now."""

    def join(self) -> None:
        """Wait for its end."""


Launch = Callable[[Connection, list[Trial], Setup], Job]
"""Starts a job that sends what ``rain.bench.worker.report`` yields."""


def launch_process(connection: Connection, trials: list[Trial], setup: Setup) -> BaseProcess:
    """A fresh process of this machine."""
    # A forked child would inherit the parent's threads and GL state.
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=serve, args=(connection, trials, setup), daemon=True)
    process.start()
    return process


@dataclass
class _Worker:
    job: Job
    left: deque[Trial]
    begun: EpisodeRecord | None = None
    noted: int = 0


def split_jobs(trials: Sequence[Trial], workers: int) -> list[list[Trial]]:
    """One job a task; more where there are fewer tasks than workers."""
    tasks: dict[tuple[str, int], list[Trial]] = {}
    for trial in trials:
        tasks.setdefault((trial.suite, trial.task), []).append(trial)
    parts = -(-workers // max(1, len(tasks)))
    pieces = [of_task[i::parts] for of_task in tasks.values() for i in range(parts)]
    return [piece for piece in pieces if piece]


class Runner:
    """Runs trials; ``on_record`` is called in this process after each record is on the disk."""

    def __init__(
        self,
        setup: Setup,
        records: RecordFile,
        workers: int = 1,
        on_record: Callable[[EpisodeRecord], None] = lambda record: None,
        launch: Launch = launch_process,
    ) -> None:
        if workers < 1:
            raise RainError(f"workers: expected at least 1, got {workers}")
        self._setup, self._records, self._workers = setup, records, workers
        self._on_record, self._launch = on_record, launch
        self._active: dict[Connection, _Worker] = {}
        self._jobs: deque[list[Trial]] = deque()

    def run(self, trials: Sequence[Trial]) -> None:
        """Run the trials that are not recorded yet.

        Raises RainError where nothing can be run; KeyboardInterrupt leaves what was recorded.
        """
        done = self._records.done(self._setup.settings_of)
        todo = [trial for trial in trials if trial not in done]
        self._jobs.extend(split_jobs(todo, self._workers))
        try:
            while self._jobs or self._active:
                while self._jobs and len(self._active) < self._workers:
                    self._start(self._jobs.popleft())
                for connection in wait(list(self._active)):
                    assert isinstance(connection, Connection)
                    self._receive(connection)
        finally:
            for worker in self._active.values():
                worker.job.terminate()
            for worker in self._active.values():
                worker.job.join()

    def _start(self, trials: list[Trial]) -> None:
        ours, theirs = multiprocessing.Pipe(duplex=False)
        job = self._launch(theirs, trials, self._setup)
        # The worker holds the other end alone, so its death is an end of file here.
        theirs.close()
        self._active[ours] = _Worker(job, deque(trials))

    def _receive(self, connection: Connection) -> None:
        worker = self._active[connection]
        try:
            kind, content = connection.recv()
        except (EOFError, OSError):
            self._ended(connection)
            return
        if kind == "error":
            raise RainError(content)
        if kind == "bug":
            raise RuntimeError(f"a worker failed before it could run an episode:\n{content}")
        if kind == "begun":
            worker.begun = content
        else:
            self._note(worker, content)

    def _note(self, worker: _Worker, record: EpisodeRecord) -> None:
        worker.begun = None
        worker.noted += 1
        worker.left.remove(record.trial)
        self._records.append(record)
        self._on_record(record)

    def _ended(self, connection: Connection) -> None:
        worker = self._active.pop(connection)
        connection.close()
        worker.job.join()
        code = worker.job.exitcode
        if worker.begun is not None:
            error = f"the worker process died with exit code {code}"
            self._note(worker, replace(worker.begun, error=error))
        if worker.noted == 0:
            first = worker.left[0]
            raise RainError(
                f"a worker died (exit code {code}) while it opened {first.suite} task "
                f"{first.task}: run `rain doctor`, and look at free memory"
            )
        if worker.left:
            self._jobs.appendleft(list(worker.left))
