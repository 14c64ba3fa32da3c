"""Who a server talks to: greeted clients, each with its own policy, and how fast they may ask."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from rain.serving.wire import WireError
from rain.types import Policy


@dataclass
class Client:
    """A client that said hello. tokens: requests it may still make at once; seen: s."""

    policy: Policy
    tokens: float
    seen: float


@dataclass
class Clients:
    """Takes clients in, bounds how many there are and how fast each asks, and forgets silent ones.

    most: clients at a time; rate: requests a second of each, on average over a second; idle: s of
    silence after which a client is forgotten; token: what ``hello`` must bring, if anything.
    clock: seconds that only rise.
    """

    make_policy: Callable[[int], Policy]
    clock: Callable[[], float]
    most: int
    rate: float
    idle: float
    token: str | None = None
    known: dict[bytes, Client] = field(default_factory=dict)

    def greet(self, identity: bytes, token: object, seed: int) -> Client:
        """Take a client in, or begin anew with one that is known; WireError where refused."""
        if self.token is not None:
            given = token if isinstance(token, str) else ""
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                raise WireError("denied", "the token is missing or wrong")
        self.forget_silent()
        if identity not in self.known and len(self.known) >= self.most:
            raise WireError("too_many_clients", f"the server takes {self.most} clients at a time")
        client = Client(self.make_policy(seed), self.rate, self.clock())
        self.known[identity] = client
        return client

    def ask(self, identity: bytes) -> Client:
        """The client, one request of its allowance used up; WireError where it has none left."""
        client = self.known.get(identity)
        if client is None:
            raise WireError("not_greeted", "say hello first; silent clients are forgotten")
        now = self.clock()
        client.tokens = min(self.rate, client.tokens + (now - client.seen) * self.rate)
        client.seen = now
        if client.tokens < 1:
            raise WireError("too_fast", f"more than {self.rate:g} requests a second")
        client.tokens -= 1
        return client

    def forget_silent(self) -> None:
        """Forget clients that have been silent for too long."""
        now = self.clock()
        for identity in [i for i, c in self.known.items() if now - c.seen > self.idle]:
            del self.known[identity]
