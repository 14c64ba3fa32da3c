"""One process with the policy, which answers all workers; they hold the worlds.

Requests that are waiting at the same time are answered in one batch. What an episode gets must not
depend on that: each worker has its own policy, with its own noise, and a batch always has the same
number of rows, because networks round differently in batches of other sizes. Some kernels even
round a row by its place in the batch (seen on a CPU in batches of two, not of four or eight); so it
is tried at the start, and a batch size at which that happens is refused.
"""

from __future__ import annotations

import os
import queue
import secrets
import signal
import threading
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from multiprocessing import get_context
from multiprocessing.connection import Client, Connection, Listener
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.bench.protocols import BatchingSource, Needs, PolicySource, WorldPolicy, needs_of
from rain.messages import (
    MessageError,
    conventions_in,
    conventions_out,
    decode,
    encode,
    observation_in,
    observation_out,
    prediction_in,
    prediction_out,
)
from rain.types import STATE_DIM, Conventions, Observation, Policy, Prediction, RainError
from rain.worlds.processes import end_with

MOST_PROBES = 8
"""Orders in which a batch is tried."""


class PolicyLostError(RainError):
    """The policy process is gone: the run cannot go on, and no episode is to blame."""


@dataclass(frozen=True)
class RemotePolicies:
    """Makes policies that ask the policy process at ``address``."""

    address: str
    key: bytes

    def __call__(self, seed: int) -> RemotePolicy:
        """A policy whose noise starts from ``seed``; an earlier one of this process ends."""
        return RemotePolicy(_connect(self.address, self.key), seed)


class RemotePolicy:
    """Asks the policy process. A process has one at a time."""

    conventions: Conventions
    needs: Needs

    def __init__(self, connection: Connection, seed: int) -> None:
        """Begin with noise from ``seed``."""
        self._connection = connection
        said = self._ask("policy", seed)
        self.conventions, self.needs = conventions_in(said["conventions"]), Needs(**said["needs"])

    def predict(self, observation: Observation) -> Prediction:
        """The policy's prediction; RuntimeError holds the traceback where it failed."""
        return prediction_in(self._ask("predict", observation_out(observation)))

    def _ask(self, kind: str, content: Any) -> Any:
        try:
            self._connection.send_bytes(encode([kind, content]))
            answer, content = decode(self._connection.recv_bytes())
        except (EOFError, OSError) as error:
            raise PolicyLostError("the policy process died; look at free memory") from error
        if answer == "failed":
            raise RuntimeError(f"the policy failed:\n{content}")
        return content


@lru_cache(maxsize=1)
def _connect(address: str, key: bytes) -> Connection:
    try:
        return Client(address, "AF_UNIX", authkey=key)
    except OSError as error:
        raise PolicyLostError(f"the policy process cannot be reached: {error}") from error


class PolicyProcess:
    """Starts the policy process and ends it; use as a context manager.

    batch: rows of a batch, and so the most requests that are answered together.
    """

    def __init__(self, source: PolicySource, batch: int = 1) -> None:
        if batch < 1:
            raise RainError(f"batch: expected at least 1, got {batch}")
        self._source, self._batch = source, batch
        self._key = secrets.token_bytes(16)

    def __enter__(self) -> RemotePolicies:
        """Load the policy; RainError where that cannot be done."""
        context = get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_serve, args=(theirs, self._source, self._batch, self._key), daemon=True
        )
        self._process.start()
        theirs.close()
        try:
            kind, content = ours.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            raise RainError(f"the policy process died (exit code {code}) at its start") from None
        if kind == "error":
            raise RainError(content)
        if kind == "bug":
            raise RuntimeError(f"the policy could not be made:\n{content}")
        return RemotePolicies(content, self._key)

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.join()


def _serve(starter: Connection, source: PolicySource, batch: int, key: bytes) -> None:
    """Entry point: tell the address, then answer until the parent ends this process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(os.getppid())
    try:
        first = source(0)
        if isinstance(first, WorldPolicy):
            raise RainError(f"{source.name} acts on the world itself: give --policy-process 0")
        if batch > 1 and isinstance(source, BatchingSource):
            check_batches(source, first.conventions, batch)
        listener = Listener(None, "AF_UNIX", backlog=64, authkey=key)
        starter.send(("address", listener.address))
    except RainError as error:
        starter.send(("error", str(error)))
        return
    except Exception:
        starter.send(("bug", traceback.format_exc()))
        return
    desk: queue.Queue[_Request] = queue.Queue()
    threading.Thread(target=_accept, args=(listener, desk), daemon=True).start()
    Answerer(source, batch).run(desk)


class _Together(BatchingSource, PolicySource, Protocol):
    """A source whose policies can be asked together."""


def check_batches(source: _Together, conventions: Conventions, batch: int) -> None:
    """RainError where a prediction depends on its place in a batch or on what else is in it.

    Tried on random observations, to the bit; which kernels run depends on shapes, not on values.
    """
    rng = np.random.default_rng(0)
    seen = [_random_observation(conventions, rng) for _ in range(batch)]

    def ask(rows: Sequence[int]) -> dict[int, NDArray]:
        policies = [source(row) for row in rows]
        asked = [policy for policy in policies if not isinstance(policy, WorldPolicy)]
        given = source.predict_together(asked, [seen[row] for row in rows], batch)
        return {row: p.action_chunk.actions for row, p in zip(rows, given, strict=True)}

    alone = {row: ask([row])[row] for row in range(batch)}
    for first in range(min(batch, MOST_PROBES)):
        rows = [*range(first, batch), *range(first)]
        for row, actions in ask(rows).items():
            if not np.array_equal(actions, alone[row]):
                raise RainError(
                    f"batches of {batch} are rounded by a request's place among the others here, "
                    f"so results would depend on chance: give --policy-process 1 or {2 * batch}"
                )


def _random_observation(conventions: Conventions, rng: np.random.Generator) -> Observation:
    size = conventions.image_size
    return Observation(
        {v: rng.integers(0, 256, (size, size, 3), dtype=np.uint8) for v in conventions.views},
        {v: rng.random((size, size)) < 0.1 for v in conventions.views},
        rng.normal(size=STATE_DIM).astype(np.float32),
        "grasp",
    )


@dataclass(frozen=True)
class _Request:
    connection: Connection
    kind: str
    content: Any


def _accept(listener: Listener, desk: queue.Queue[_Request]) -> None:
    while True:
        connection = listener.accept()
        threading.Thread(target=_read, args=(connection, desk), daemon=True).start()


def _read(connection: Connection, desk: queue.Queue[_Request]) -> None:
    try:
        while True:
            kind, content = decode(connection.recv_bytes())
            desk.put(_Request(connection, kind, content))
    except (EOFError, OSError, MessageError):
        desk.put(_Request(connection, "gone", None))


class Answerer:
    """Answers requests, those that wait at the same time together."""

    def __init__(self, source: PolicySource, batch: int) -> None:
        self._source, self._batch = source, batch
        self._policies: dict[Connection, Policy] = {}

    def run(self, desk: queue.Queue[_Request]) -> None:
        """Answer for ever."""
        while True:
            waiting = [desk.get()]
            while len(waiting) < self._batch and not desk.empty():
                waiting.append(desk.get())
            for request in waiting:
                if request.kind != "predict":
                    self._begin_or_end(request)
            self._predict([request for request in waiting if request.kind == "predict"])

    def _begin_or_end(self, request: _Request) -> None:
        if request.kind == "gone":
            self._policies.pop(request.connection, None)
            return
        try:
            policy = self._source(request.content)
        except Exception:
            _answer(request, "failed", traceback.format_exc())
            return
        assert not isinstance(policy, WorldPolicy)
        self._policies[request.connection] = policy
        said = conventions_out(policy.conventions)
        _answer(request, "policy", {"conventions": said, "needs": asdict(needs_of(policy))})

    def _predict(self, requests: list[_Request]) -> None:
        requests = [r for r in requests if r.connection in self._policies]
        if not requests:
            return
        try:
            together = self._together(requests)
        except Exception:
            # Noise may have been drawn: asked again, the others would get other predictions than
            # alone. Their episodes count as crashed and run again.
            for request in requests:
                _answer(request, "failed", traceback.format_exc())
            return
        for request, prediction in zip(requests, together, strict=True):
            _answer(request, "prediction", prediction_out(prediction))

    def _together(self, requests: Sequence[_Request]) -> list[Prediction]:
        policies = [self._policies[request.connection] for request in requests]
        observations = [observation_in(request.content) for request in requests]
        if self._batch > 1 and isinstance(self._source, BatchingSource):
            return self._source.predict_together(policies, observations, self._batch)
        return [p.predict(o) for p, o in zip(policies, observations, strict=True)]


def _answer(request: _Request, kind: str, content: Any) -> None:
    with suppress(OSError):  # the worker is gone; its reader says so next
        request.connection.send_bytes(encode([kind, content]))
