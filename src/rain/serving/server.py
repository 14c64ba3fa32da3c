"""The policy server: a ZeroMQ ROUTER that answers many clients, those that wait in one batch.

It never dies of a message: what is not understood is answered with an error, or where nobody can be
told, dropped and counted.
"""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import zmq

import rain
from rain.messages import conventions_out, observation_in, prediction_out
from rain.serving.clients import Client, Clients
from rain.serving.metrics import Metrics
from rain.serving.wire import REQUESTS, Message, WireError, failure, read
from rain.types import HORIZON, Observation, Policy, Prediction, RainError

POLL_MS = 200
"""How soon the server notices that it is to stop."""


@dataclass(frozen=True)
class ServerConfig:
    """Where a server listens and what it takes.

    address: by default this machine alone can reach it. batch: most requests answered at once.
    max_message: bytes; larger ones close their connection unread. max_clients, rate (requests a
    second of each), idle (s): see ``Clients``. token: what clients must bring. execute: actions of
    a chunk that clients are told to execute.
    """

    address: str = "tcp://127.0.0.1:5560"
    batch: int = 8
    max_message: int = 16 * 2**20
    max_clients: int = 32
    rate: float = 100.0
    idle: float = 300.0
    token: str | None = None
    execute: int = 8

    def __post_init__(self) -> None:
        for name in ("batch", "max_message", "max_clients", "execute"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.execute > HORIZON:
            raise RainError(f"execute: expected 1 to {HORIZON}, got {self.execute}")
        if not self.rate >= 1 or not self.idle > 0:
            raise RainError("rate: expected at least 1 a second; idle: more than 0 s")


class ServedPolicies(Protocol):
    """Where the policies come from; ``rain.bench.sources.CheckpointPolicies`` is one."""

    @property
    def name(self) -> str:
        """A short name."""

    def fingerprint(self) -> str:
        """Changes when the policy does."""

    def __call__(self, seed: int) -> Policy:
        """A policy with noise of its own."""

    def predict_together(
        self, policies: Sequence[Policy], observations: Sequence[Observation], size: int
    ) -> list[Prediction]:
        """One prediction a policy, from one batch."""


@dataclass(frozen=True, eq=False)
class _Asked:
    identity: bytes
    number: int
    client: Client
    observation: Observation
    arrived: float


class PolicyServer:
    """Serves policies until ``stop``; use as a context manager, then call ``run``."""

    def __init__(
        self,
        policies: ServedPolicies,
        config: ServerConfig,
        secure: Callable[[zmq.Socket], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load the policy and listen; RainError where either cannot be done.

        secure: prepares the socket before it listens, e.g. with CURVE keys.
        """
        self._policies, self._config, self._clock = policies, config, clock
        self._clients = Clients(
            policies, clock, config.max_clients, config.rate, config.idle, config.token
        )
        self.metrics = Metrics(lambda: len(self._clients.known))
        self._about = self._describe(policies(0))
        self._started, self._stop = clock(), threading.Event()
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._socket.setsockopt(zmq.MAXMSGSIZE, config.max_message)
        self._socket.setsockopt(zmq.LINGER, 500)
        self._socket.setsockopt(zmq.SNDHWM, 64)
        self._socket.setsockopt(zmq.RCVHWM, 64)
        if secure is not None:
            secure(self._socket)
        try:
            self._socket.bind(config.address)
        except zmq.ZMQError as error:
            self.close()
            raise RainError(f"{config.address}: cannot listen there: {error}") from error

    @property
    def address(self) -> str:
        """Where it listens, with the port that was chosen for ``tcp://127.0.0.1:*``."""
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def __enter__(self) -> PolicyServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Send what waits to be sent, and let go of the address."""
        self._socket.close()
        self._context.term()

    def stop(self) -> None:
        """Let ``run`` end after the batch at work; from any thread or signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Answer until ``stop``."""
        while not self._stop.is_set():
            if self._socket.poll(POLL_MS):
                self._answer_all(self._waiting())

    def _waiting(self) -> list[_Asked]:
        """Answer what waits and needs no network; return up to a batch of what does."""
        asked: list[_Asked] = []
        while len(asked) < self._config.batch:
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            found = self._take(identity, frames)
            if found is not None:
                asked.append(found)
        return asked

    def _take(self, identity: bytes, frames: list[bytes]) -> _Asked | None:
        """Answer one message, or return what it asks of the network."""
        number = 0
        try:
            message = read(frames)
            number = message.number
            if message.kind not in REQUESTS:
                raise WireError("bad_request", f"unknown request {message.kind[:40]!r}")
            self.metrics.requests.labels(message.kind).inc()
            if message.kind == "predict":
                client = self._clients.ask(identity)
                observation = self._observation(message.content)
                return _Asked(identity, number, client, observation, self._clock())
            self._send(identity, Message(message.kind, number, self._reply(identity, message)))
        except WireError as error:
            self._refuse(identity, number, error)
        return None

    def _reply(self, identity: bytes, message: Message) -> Any:
        """The content of the answer to any request but predict."""
        content = message.content if isinstance(message.content, dict) else {}
        if message.kind == "hello":
            self._clients.greet(identity, content.get("token"), _seed(content))
            return self._about
        self._clients.ask(identity)
        if message.kind == "reset":
            self._clients.known[identity].policy = self._policies(_seed(content))
            return {}
        if message.kind == "metrics":
            return self.metrics.text()
        up = self._clock() - self._started
        return {"status": "ok", "uptime_s": up, "clients": len(self._clients.known)}

    def _observation(self, content: Any) -> Observation:
        try:
            observation = observation_in(content)
            sizes = {view: image.shape[:2] for view, image in observation.images.items()}
        except RainError as error:
            raise WireError("bad_request", str(error)) from error
        wanted = self._about["conventions"]
        size = (wanted["image_size"],) * 2
        if set(sizes) != set(wanted["views"]) or set(sizes.values()) != {size}:
            raise WireError(
                "bad_request",
                f"expected images of {size[0]} × {size[1]} of {', '.join(wanted['views'])}, got "
                + ", ".join(f"{view} {shape[0]} × {shape[1]}" for view, shape in sizes.items()),
            )
        return observation

    def _answer_all(self, asked: list[_Asked]) -> None:
        # Of one client's requests each is a batch of its own: its noise is drawn in their order.
        while asked:
            batch = list({a.identity: a for a in reversed(asked)}.values())[::-1]
            asked = [a for a in asked if a not in batch]
            self._answer(batch)

    def _answer(self, batch: list[_Asked]) -> None:
        self.metrics.batch.observe(len(batch))
        try:
            predictions = self._policies.predict_together(
                [a.client.policy for a in batch], [a.observation for a in batch], len(batch)
            )
        except Exception:
            reason = traceback.format_exc().strip().splitlines()[-1]
            for a in batch:
                self._refuse(a.identity, a.number, WireError("policy_failed", reason))
            return
        for a, prediction in zip(batch, predictions, strict=True):
            self._send(a.identity, Message("predict", a.number, prediction_out(prediction)))
            self.metrics.answer.observe(self._clock() - a.arrived)

    def _refuse(self, identity: bytes, number: int, error: WireError) -> None:
        self.metrics.errors.labels(error.code).inc()
        self._send(identity, failure(number, error))

    def _send(self, identity: bytes, message: Message) -> None:
        # A client that does not read its answers loses them; nobody else waits for it.
        with suppress(zmq.ZMQError):
            self._socket.send_multipart([identity, *message.frames()], zmq.NOBLOCK)

    def _describe(self, policy: Policy) -> dict[str, Any]:
        """What ``hello`` answers."""
        return {
            "server": "rain",
            "version": rain.__version__,
            "policy": self._policies.name,
            "fingerprint": self._policies.fingerprint(),
            "conventions": conventions_out(policy.conventions),
            "horizon": HORIZON,
            "execute": self._config.execute,
        }


def _seed(content: dict[str, Any]) -> int:
    seed = content.get("seed", 0)
    if type(seed) is not int or not 0 <= seed < 2**63:
        raise WireError("bad_request", "seed: expected a whole number, 0 or more")
    return seed
