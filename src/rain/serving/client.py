"""A policy behind a policy server. Needs NumPy, pyzmq and msgpack, and nothing of torch's."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import zmq

from rain.messages import MessageError, conventions_in, observation_out, prediction_in
from rain.serving.wire import Message, WireError, read
from rain.types import Conventions, Observation, Prediction, RainError


class ServerError(RainError):
    """The server cannot be reached, is too slow, or refuses; ``code`` says why it refused."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Greeting:
    """What a server says of itself."""

    policy: str
    fingerprint: str
    version: str
    conventions: Conventions
    horizon: int
    execute: int


class PolicyClient:
    """Asks a policy server; a ``Policy`` itself.

    Answers that come late, twice or to nobody's question are dropped. After a server was away the
    next request connects and greets again; the noise then starts anew from the seed.
    """

    def __init__(
        self,
        address: str,
        *,
        seed: int = 0,
        token: str | None = None,
        timeout: float = 5.0,
        secure: Callable[[zmq.Socket], None] | None = None,
    ) -> None:
        """Connect and greet; ServerError where nobody answers within ``timeout`` s.

        secure: prepares the socket before it connects, e.g. with CURVE keys.
        """
        if timeout <= 0:
            raise RainError(f"timeout: expected more than 0 s, got {timeout}")
        self._address, self._timeout, self._secure = address, timeout, secure
        self._hello = {"seed": seed} | ({} if token is None else {"token": token})
        self._number = 0
        self._connect()
        self.greeting = self._greet()
        self.conventions = self.greeting.conventions

    def predict(self, observation: Observation) -> Prediction:
        """The server's prediction; ServerError where none comes in time."""
        return prediction_in(self.ask("predict", observation_out(observation)))

    def reset(self, seed: int) -> None:
        """Start the noise again from ``seed``, e.g. at the start of an episode."""
        self._hello["seed"] = seed
        self.ask("reset", {"seed": seed})

    def health(self) -> dict[str, Any]:
        """The server's state, uptime in s, and number of clients."""
        return dict(self.ask("health"))

    def metrics(self) -> str:
        """The server's figures in Prometheus' text format."""
        return str(self.ask("metrics"))

    def close(self) -> None:
        """Let go of the connection."""
        self._socket.close(0)

    def ask(self, kind: str, content: Any = None) -> Any:
        """The content of the answer; greets again where the server has forgotten this client."""
        try:
            return self._ask(kind, content)
        except ServerError as error:
            if error.code != "not_greeted":
                raise
        again = self._greet()
        if again.fingerprint != self.greeting.fingerprint:
            raise ServerError(
                f"{self._address}: the server has another policy now, {again.policy} in place of "
                f"{self.greeting.policy}"
            )
        return self._ask(kind, content)

    def _greet(self) -> Greeting:
        said = self._ask("hello", self._hello)
        try:
            conventions = conventions_in(said["conventions"])
            return Greeting(
                policy=str(said["policy"]),
                fingerprint=str(said["fingerprint"]),
                version=str(said["version"]),
                conventions=conventions,
                horizon=int(said["horizon"]),
                execute=int(said["execute"]),
            )
        except (KeyError, TypeError, ValueError, MessageError) as error:
            raise ServerError(f"{self._address}: no policy server of RAIN's ({error})") from error

    def _connect(self) -> None:
        self._socket: zmq.Socket = zmq.Context.instance().socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, 4)
        if self._secure is not None:
            self._secure(self._socket)
        try:
            self._socket.connect(self._address)
        except zmq.ZMQError as error:
            raise ServerError(f"{self._address}: {error}; expected tcp://HOST:PORT") from error

    def _ask(self, kind: str, content: Any) -> Any:
        self._number += 1
        deadline = time.monotonic() + self._timeout
        try:
            self._socket.send_multipart(Message(kind, self._number, content).frames(), zmq.NOBLOCK)
        except zmq.ZMQError as error:
            raise self._lost() from error
        while (left := deadline - time.monotonic()) > 0 and self._socket.poll(int(1000 * left) + 1):
            answer = self._receive()
            if answer is not None and answer.number == self._number:
                if answer.kind == "error":
                    said = answer.content if isinstance(answer.content, dict) else {}
                    code, reason = str(said.get("code", "")), said.get("message", "no reason given")
                    raise ServerError(f"{self._address}: {reason}", code)
                if answer.kind == kind:
                    return answer.content
        raise self._lost()

    def _receive(self) -> Message | None:
        try:
            return read(self._socket.recv_multipart(zmq.NOBLOCK))
        except WireError as error:
            if error.code == "version":
                raise ServerError(f"{self._address}: {error}", error.code) from error
            return None  # what is no message answers nothing; the deadline decides

    def _lost(self) -> ServerError:
        """What to raise; what still waits to be sent to a server that is away is thrown away."""
        self._socket.close(0)
        self._connect()
        return ServerError(f"{self._address}: no answer within {self._timeout:g} s", "no_answer")
