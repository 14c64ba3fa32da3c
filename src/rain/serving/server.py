"""What RAIN's servers have in common: a ZeroMQ ROUTER that answers many clients.

It greets clients, holds them to their limits, counts, and hands requests to its service, those that
wait at the same time together. It never dies of a message: what is not understood is answered with
an error, or where nobody can be told, dropped and counted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import zmq

import rain
from rain.client.wire import Message, WireError, failure, read
from rain.serving.clients import Clients
from rain.serving.keys import ClientGate
from rain.serving.metrics import Metrics
from rain.types import RainError, one_line

POLL_MS, BUSY_MS = 200, 5
"""How soon the server notices that it is to stop; how soon that a slow answer is there."""

INPROC = "inproc://rain"
"""Where the server listens too, for translators of other protocols in its own process."""


@dataclass(frozen=True)
class ServerConfig:
    """Where a server listens and what it takes.

    address: by default this machine alone can reach it. batch: most requests worked on at once.
    max_message: bytes of a frame; larger ones close their connection unread. max_clients, rate
    (requests a second of each), idle (s): see ``Clients``. token: what clients must bring. curve:
    folder of the server's keys (``rain keys``); clients must then have keys too.
    """

    address: str = "tcp://127.0.0.1:5560"
    batch: int = 8
    max_message: int = 16 * 2**20
    max_clients: int = 32
    rate: float = 100.0
    idle: float = 300.0
    token: str | None = None
    curve: Path | None = None

    def __post_init__(self) -> None:
        for name in ("batch", "max_message", "max_clients"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not self.rate >= 1 or not self.idle > 0:
            raise RainError("rate: expected at least 1 a second; idle: more than 0 s")


@dataclass(frozen=True, eq=False)
class Request:
    """What a greeted client asks. session: what the service keeps for it; arrived: s."""

    identity: bytes
    number: int
    kind: str
    content: Any
    session: Any
    arrived: float


@dataclass(frozen=True)
class Later:
    """The answer to a request that is worked on together with others; what it asks, read."""

    content: Any


class Service(Protocol):
    """What a server serves. RainError in its methods is a bad request, WireError says more."""

    kinds: frozenset[str]
    """Requests it answers, beside hello, bye, health and metrics."""

    def about(self) -> dict[str, Any]:
        """What ``hello`` answers."""

    def open(self, hello: dict[str, Any]) -> Any:
        """The session of a client that greets."""

    def close(self, session: Any) -> None:
        """The client is gone."""

    def answer(self, request: Request) -> Any:
        """The answer's content; a Future of it where it takes long; ``Later`` for ``work``."""

    def work(self, asked: Sequence[tuple[Request, Any]]) -> Iterator[tuple[Request, Any]]:
        """Work on what was put off; each request with its answer's content or a WireError."""


class Server:
    """Serves until ``stop``; use as a context manager, then call ``run``."""

    def __init__(
        self,
        service: Service,
        config: ServerConfig,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Listen; RainError where that cannot be done. clock: seconds that only rise."""
        self._service, self._config, self._clock = service, config, clock
        self._clients = Clients(
            service.open,
            service.close,
            clock,
            config.max_clients,
            config.rate,
            config.idle,
            config.token,
        )
        self.metrics = Metrics(lambda: len(self._clients.known))
        self._started, self._stop = clock(), threading.Event()
        self._slow: list[tuple[Request, Future[Any]]] = []
        self.context = zmq.Context()
        self._gate: ClientGate | None = None
        self._socket = self.context.socket(zmq.ROUTER)
        try:
            self._listen()
        except (zmq.ZMQError, RainError) as error:
            self.close()
            if isinstance(error, RainError):
                raise
            raise RainError(f"{config.address}: cannot listen there: {error}") from error

    @property
    def address(self) -> str:
        """Where it listens, with the port that was chosen for ``tcp://127.0.0.1:*``."""
        return self._address

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send what waits to be sent, and let go of the address."""
        self._socket.close()
        if self._gate is not None:
            self._gate.close()
        self.context.term()

    def stop(self) -> None:
        """Let ``run`` end after the batch at work; from any thread or signal handler."""
        self._stop.set()

    @property
    def stopping(self) -> bool:
        """Whether ``stop`` was called."""
        return self._stop.is_set()

    def run(self) -> None:
        """Answer until ``stop``."""
        while not self._stop.is_set():
            if self._socket.poll(BUSY_MS if self._slow else POLL_MS):
                self._work(self._waiting())
            self._answer_finished()

    # --- requests ---------------------------------------------------------------------------------

    def _waiting(self) -> list[tuple[Request, Any]]:
        """Answer what waits and is quick; return up to a batch of what is put off."""
        asked: list[tuple[Request, Any]] = []
        while len(asked) < self._config.batch:
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            found = self._take(identity, frames)
            if found is not None:
                asked.append(found)
        return asked

    def _take(self, identity: bytes, frames: list[bytes]) -> tuple[Request, Any] | None:
        """Answer one message, or return what is to be worked on with others."""
        number = 0
        try:
            message = read(frames)
            number = message.number
            if message.kind in self._service.kinds:
                return self._ask(identity, message)
            content = self._own(identity, message)
            if message.kind != "bye":
                self._send(identity, Message(message.kind, number, content))
        except Exception as error:
            self._refuse(identity, number, error)
        return None

    def _ask(self, identity: bytes, message: Message) -> tuple[Request, Any] | None:
        self.metrics.requests.labels(message.kind).inc()
        session = self._clients.ask(identity)
        request = Request(
            identity, message.number, message.kind, message.content, session, self._clock()
        )
        answer = self._service.answer(request)
        if isinstance(answer, Later):
            return request, answer.content
        if isinstance(answer, Future):
            self._slow.append((request, answer))
        else:
            self._reply(request, answer)
        return None

    def _own(self, identity: bytes, message: Message) -> Any:
        """The content of the answer to what every server knows."""
        if message.kind not in ("hello", "bye", "health", "metrics"):
            raise WireError("bad_request", f"unknown request {message.kind[:40]!r}")
        self.metrics.requests.labels(message.kind).inc()
        if message.kind == "hello":
            self._clients.greet(identity, fields_of(message.content))
            return {"version": rain.__version__, **self._service.about()}
        if message.kind == "bye":
            return self._clients.forget(identity)
        self._clients.ask(identity)
        if message.kind == "metrics":
            return self.metrics.text()
        up = self._clock() - self._started
        return {"status": "ok", "uptime_s": up, "clients": len(self._clients.known)}

    def _work(self, asked: list[tuple[Request, Any]]) -> None:
        if not asked:
            return
        self.metrics.batch.observe(len(asked))
        left = {request: None for request, _ in asked}
        try:
            for request, answer in self._service.work(asked):
                del left[request]
                if isinstance(answer, WireError):
                    self._refuse(request.identity, request.number, answer)
                else:
                    self._reply(request, answer)
        except Exception as error:
            for request in left:
                self._refuse(request.identity, request.number, error)

    def _answer_finished(self) -> None:
        finished = [(request, future) for request, future in self._slow if future.done()]
        self._slow = [(request, future) for request, future in self._slow if not future.done()]
        for request, future in finished:
            try:
                self._reply(request, future.result())
            except Exception as error:
                self._refuse(request.identity, request.number, error)

    # --- answers ----------------------------------------------------------------------------------

    def _reply(self, request: Request, content: Any) -> None:
        self._send(request.identity, Message(request.kind, request.number, content))
        self.metrics.answer.labels(request.kind).observe(self._clock() - request.arrived)

    def _refuse(self, identity: bytes, number: int, error: Exception) -> None:
        if not isinstance(error, WireError):
            code = "bad_request" if isinstance(error, RainError) else "failed"
            error = WireError(code, one_line(error))
        self.metrics.errors.labels(error.code).inc()
        self._send(identity, failure(number, error))

    def _send(self, identity: bytes, message: Message) -> None:
        # A client that does not read its answers loses them; nobody else waits for it.
        with suppress(zmq.ZMQError):
            self._socket.send_multipart([identity, *message.frames()], zmq.NOBLOCK)

    def _listen(self) -> None:
        socket, config = self._socket, self._config
        socket.setsockopt(zmq.MAXMSGSIZE, config.max_message)
        socket.setsockopt(zmq.LINGER, 500)
        socket.setsockopt(zmq.SNDHWM, 64)
        socket.setsockopt(zmq.RCVHWM, 64)
        # A client whose connection broke comes back under its name before the old one is given up.
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        if config.curve is not None:
            self._gate = ClientGate(self.context, config.curve)
            self._gate.guard(socket)
        socket.bind(config.address)
        self._address = socket.getsockopt_string(zmq.LAST_ENDPOINT)
        socket.bind(INPROC)


def fields_of(content: Any) -> dict[str, Any]:
    """A request's content as fields; none where it is something else."""
    return content if isinstance(content, dict) else {}
