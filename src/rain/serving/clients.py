"""Who a server talks to: greeted clients, each with its session, and how fast they may ask."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rain.client.wire import WireError


@dataclass
class Client:
    """A client that said hello. session: what the service keeps for it; tokens: requests it may
    still make at once; seen: s."""

    session: Any
    tokens: float
    seen: float


@dataclass
class Clients:
    """Takes clients in, bounds how many there are and how fast each asks, and forgets silent ones.

    open, close: begin a session from what hello brings, and end one. most: clients at a time; rate:
    requests a second of each, on average over a second; idle: s of silence after which a client is
    forgotten; token: what ``hello`` must bring, if anything. clock: seconds that only rise.
    """

    open: Callable[[dict[str, Any]], Any]
    close: Callable[[Any], None]
    clock: Callable[[], float]
    most: int
    rate: float
    idle: float
    token: str | None = None
    known: dict[bytes, Client] = field(default_factory=dict)

    def greet(self, identity: bytes, hello: dict[str, Any]) -> None:
        """Take a client in, or begin anew with one that is known; WireError where refused."""
        if self.token is not None:
            given = hello.get("token")
            given = given if isinstance(given, str) else ""
            if not hmac.compare_digest(given.encode(errors="replace"), self.token.encode()):
                raise WireError("denied", "the token is missing or wrong")
        self.forget_silent()
        if identity not in self.known and len(self.known) >= self.most:
            raise WireError("too_many_clients", f"the server takes {self.most} clients at a time")
        session = self.open(hello)
        self.forget(identity)
        self.known[identity] = Client(session, self.rate, self.clock())

    def ask(self, identity: bytes) -> Any:
        """The client's session; uses up one request of its allowance. WireError for none left."""
        client = self.known.get(identity)
        if client is None:
            raise WireError("not_greeted", "say hello first; silent clients are forgotten")
        now = self.clock()
        client.tokens = min(self.rate, client.tokens + (now - client.seen) * self.rate)
        client.seen = now
        if client.tokens < 1:
            raise WireError("too_fast", f"more than {self.rate:g} requests a second")
        client.tokens -= 1
        return client.session

    def forget(self, identity: bytes) -> None:
        """End a client's session; one that is not known is no error."""
        client = self.known.pop(identity, None)
        if client is not None:
            self.close(client.session)

    def forget_silent(self) -> None:
        """Forget clients that have been silent for too long."""
        now = self.clock()
        for identity in [i for i, c in self.known.items() if now - c.seen > self.idle]:
            self.forget(identity)
