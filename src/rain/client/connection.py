"""A connection to one of RAIN's servers: numbers its requests and knows their answers.

Every request has exactly one outcome, its answer or a ``ServerError``. What comes late, twice or to
nobody's question is dropped. A server that was away and is back is greeted again, and what waited
for that is asked again. Nothing here is thread-safe: a connection is used by one thread.
"""

from __future__ import annotations

import secrets
import time
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import zmq

from rain.client.keys import use_client_keys
from rain.client.wire import Message, WireError, read
from rain.types import RainError

MOST_WAITING = 8
"""Requests that may wait for their answers; of more, the oldest is given up."""


class ServerError(RainError):
    """The server cannot be reached, is too slow, or refuses. code: why (``rain.client.wire.CODES``,
    and of our own no_answer, bad_answer, other_policy, closed); number: of the request."""

    def __init__(self, message: str, code: str = "", number: int | None = None) -> None:
        super().__init__(message)
        self.code, self.number = code, number


Reader = Callable[[Any], Any]
"""Makes something of an answer's content; RainError where it is not what was asked for."""


@dataclass
class _Asked:
    """A request without an answer. deadline: s; sent: whether the socket has it."""

    kind: str
    content: Any
    reader: Reader
    deadline: float
    sent: bool = False


class Connection:
    """Greets a server, then asks it: ``ask`` waits, ``send`` and ``poll`` do not."""

    def __init__(
        self,
        address: str,
        hello: Mapping[str, Any],
        greeted: Callable[[Any], None],
        *,
        timeout: float = 5.0,
        curve: Path | None = None,
        context: zmq.Context | None = None,
    ) -> None:
        """Connect and greet; ServerError where nobody answers within ``timeout`` s.

        hello: what the greeting brings, read anew each time; greeted: takes the answer, the first
        and later ones, and raises ServerError where it is not the right server's. curve: folder of
        a client's keys (``rain keys``).
        """
        if timeout <= 0:
            raise RainError(f"timeout: expected more than 0 s, got {timeout}")
        self.address, self.timeout = address, timeout
        self._hello, self._greeted, self._secure = hello, greeted, curve is not None
        self._number = 0
        self._greeting: int | None = None
        self._asked: dict[int, _Asked] = {}
        self._outcomes: dict[int, Any] = {}
        self._socket = _connected(address, curve, context)
        self._finalizer = weakref.finalize(self, _say_goodbye, self._socket)
        try:
            greeted(self.ask("hello", dict(hello)))
        except ServerError:
            self.close()
            raise

    @property
    def readable(self) -> zmq.Socket:
        """The socket, for a poller that waits for several; it must not be read."""
        return self._socket

    def close(self) -> None:
        """Say goodbye, and let go of the connection; answers still out are lost."""
        self._finalizer()

    def ask(self, kind: str, content: Any = None, reader: Reader = lambda said: said) -> Any:
        """What ``reader`` makes of the answer; ServerError where none comes in time."""
        number = self.send(kind, content, reader)
        while number not in self._outcomes:
            self._step(wait=True)
        outcome = self._outcomes.pop(number)
        if isinstance(outcome, ServerError):
            raise outcome
        return outcome

    def send(self, kind: str, content: Any = None, reader: Reader = lambda said: said) -> int:
        """Ask without waiting; the request's number, by which ``poll`` gives the answer."""
        if self._socket.closed:
            raise ServerError(f"{self.address}: the connection is closed", "closed")
        waiting = [n for n in self._asked if n != self._greeting]
        if len(waiting) >= MOST_WAITING:
            self._fail(waiting[0], f"given up for {MOST_WAITING} newer requests", "overtaken")
        self._number += 1
        deadline = time.monotonic() + self.timeout
        self._asked[self._number] = _Asked(kind, content, reader, deadline)
        self._send_waiting()
        return self._number

    def poll(self) -> list[tuple[int, Any]]:
        """Numbers and their answers that have come since the last call, perhaps none.

        Where there is none but a request has failed, its ServerError is raised; each once.
        """
        self._step(wait=False)
        failed = {n: o for n, o in self._outcomes.items() if isinstance(o, ServerError)}
        answers = [(n, o) for n, o in self._outcomes.items() if n not in failed]
        self._outcomes = failed
        if failed and not answers:
            raise failed.pop(min(failed))
        return answers

    # --- the way of a request ---------------------------------------------------------------------

    def _step(self, wait: bool) -> None:
        """Send what waits, take what has come, give up what is too late."""
        self._send_waiting()
        if wait:
            first = min((a.deadline for a in self._asked.values()), default=0.0)
            unsent = any(self._may_go(n, a) for n, a in self._asked.items())
            events = zmq.POLLIN | (zmq.POLLOUT if unsent else 0)
            self._socket.poll(max(0, int(1000 * (first - time.monotonic()))) + 1, events)
        while (message := self._receive()) is not None:
            self._take(message)
        now = time.monotonic()
        for number in [n for n, a in self._asked.items() if a.deadline <= now]:
            self._fail(number, f"no answer within {self.timeout:g} s{self._hint()}", "no_answer")

    def _may_go(self, number: int, asked: _Asked) -> bool:
        """While the server is greeted again, all else waits."""
        return not asked.sent and self._greeting in (None, number)

    def _send_waiting(self) -> None:
        for number, asked in sorted(self._asked.items()):
            if self._may_go(number, asked):
                message = Message(asked.kind, number, asked.content)
                try:
                    self._socket.send_multipart(message.frames(), zmq.NOBLOCK)
                except zmq.Again:  # nobody is connected: it waits here until somebody is
                    return
                asked.sent = True

    def _receive(self) -> Message | None:
        while True:
            try:
                return read(self._socket.recv_multipart(zmq.NOBLOCK))
            except zmq.Again:
                return None
            except WireError as error:
                if error.code == "version":  # whatever was asked, it will not be answered
                    for number in list(self._asked):
                        self._fail(number, str(error), error.code)

    def _take(self, message: Message) -> None:
        number = message.number
        asked = self._asked.get(number)
        if asked is None or not asked.sent or message.kind not in (asked.kind, "error"):
            return
        if message.kind == "error":
            said = message.content if isinstance(message.content, dict) else {}
            code, reason = str(said.get("code", "")), str(said.get("message", "no reason given"))
            if code == "not_greeted" and asked.kind != "hello":
                self._greet_again(asked)
            else:
                self._fail(number, reason, code)
        elif number == self._greeting:
            del self._asked[number]
            self._greeting = None
            self._greet_done(message.content)
        else:
            del self._asked[number]
            try:
                self._outcomes[number] = asked.reader(message.content)
            except RainError as error:
                self._outcomes[number] = self._error(str(error), "bad_answer", number)

    def _greet_again(self, asked: _Asked) -> None:
        """The server has forgotten this client, or is another one now."""
        asked.sent = False
        if self._greeting is None:
            self._number += 1
            self._greeting = self._number
            deadline = time.monotonic() + self.timeout
            hello = dict(self._hello)
            self._asked[self._greeting] = _Asked("hello", hello, lambda said: said, deadline)
        self._send_waiting()

    def _greet_done(self, content: Any) -> None:
        try:
            self._greeted(content)
        except ServerError as error:
            for number in list(self._asked):
                del self._asked[number]
                self._outcomes[number] = ServerError(str(error), error.code, number)
        self._send_waiting()

    def _fail(self, number: int, reason: str, code: str) -> None:
        if self._asked.pop(number, None) is None:
            return
        if number == self._greeting:  # what waited for the greeting has the same outcome
            self._greeting = None
            for waiting in [n for n, a in self._asked.items() if not a.sent]:
                del self._asked[waiting]
                self._outcomes[waiting] = self._error(reason, code, waiting)
        else:
            self._outcomes[number] = self._error(reason, code, number)

    def _error(self, reason: str, code: str, number: int) -> ServerError:
        return ServerError(f"{self.address}: {reason}", code, number)

    def _hint(self) -> str:
        if self._secure:
            return "; is it there, and do the keys of both sides fit?"
        return "; is it there, and does it ask for keys (rain keys)?"


def _connected(address: str, curve: Path | None, context: zmq.Context | None) -> zmq.Socket:
    socket: zmq.Socket = (context or zmq.Context.instance()).socket(zmq.DEALER)
    # One name for as long as the client lives: a server knows it again after a broken connection.
    socket.setsockopt(zmq.IDENTITY, b"r" + secrets.token_bytes(16))
    socket.setsockopt(zmq.LINGER, 0)
    socket.setsockopt(zmq.SNDHWM, MOST_WAITING)
    # Nothing is queued for a server that is away: it would get stale frames when it is back.
    socket.setsockopt(zmq.IMMEDIATE, 1)
    socket.setsockopt(zmq.RECONNECT_IVL, 50)
    socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
    # After a long pause of the network the system itself would try again only after many seconds.
    socket.setsockopt(zmq.CONNECT_TIMEOUT, 1000)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 3000)
    socket.setsockopt(zmq.HEARTBEAT_IVL, 1000)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, 3000)
    try:
        if curve is not None:
            use_client_keys(socket, Path(curve))
        socket.connect(address)
    except zmq.ZMQError as error:
        socket.close(0)
        raise ServerError(f"{address}: {error}; expected tcp://HOST:PORT") from error
    except RainError:
        socket.close(0)
        raise
    return socket


def _say_goodbye(socket: zmq.Socket) -> None:
    """So that the server has room for another client at once."""
    try:
        socket.send_multipart(Message("bye", 0).frames(), zmq.NOBLOCK)
    except zmq.ZMQError:  # nobody is connected, or the context has ended
        socket.close(0)
    else:
        socket.close(200)


class Client:
    """What a client of either server has besides its questions."""

    _connection: Connection

    @property
    def readable(self) -> zmq.Socket:
        """For pollers that wait for several sockets; not to be read."""
        return self._connection.readable

    def health(self) -> dict[str, Any]:
        """The server's state, uptime in s, and number of clients."""
        return dict(self._connection.ask("health"))

    def metrics(self) -> str:
        """The server's figures in Prometheus' text format."""
        return str(self._connection.ask("metrics"))

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
