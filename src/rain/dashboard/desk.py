"""Who looks, and who of them is the operator: one at a time, and control can be handed over."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rain.types import RainError

GRACE_S = 15.0
"""How long an operator who lost the connection keeps control."""
MOST_VIEWERS = 32


@dataclass
class Viewer:
    """Someone who looks. key: a secret that only its page has; name: for the others.

    connections: how many it has open now; left: when the last one closed.
    """

    name: str
    key: str = field(default_factory=lambda: secrets.token_urlsafe(18))
    connections: int = 0
    left: float = 0.0


class Desk:
    """Viewers and the operator's lock. Used by the server's one thread."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, grace_s: float = GRACE_S
    ) -> None:
        self._clock, self._grace = clock, grace_s
        self._viewers: dict[str, Viewer] = {}
        self._operator: Viewer | None = None
        self._asks: Viewer | None = None
        self._count = 0
        self.version = 0

    def join(self, key: str | None) -> Viewer:
        """A page connects; with its key it is who it was. RainError where there are too many."""
        self._forget()
        viewer = self._viewers.get(key or "")
        if viewer is None:
            if len(self._viewers) >= MOST_VIEWERS:
                raise RainError(f"there are {MOST_VIEWERS} viewers already")
            self._count += 1
            viewer = Viewer(f"viewer {self._count}")
            self._viewers[viewer.key] = viewer
        viewer.connections += 1
        self.version += 1
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """A page's connection has closed."""
        viewer.connections -= 1
        viewer.left = self._clock()
        self.version += 1

    def of(self, key: str | None) -> Viewer:
        """The viewer with that key; RainError where there is none."""
        viewer = self._viewers.get(key or "")
        if viewer is None:
            raise RainError("this page is not connected: reload it")
        return viewer

    def state(self) -> dict[str, Any]:
        """Who is there, by name, as JSON values."""
        self._forget()
        return {
            "viewers": [v.name for v in self._viewers.values() if v.connections],
            "operator": None if self._operator is None else self._operator.name,
            "asks": None if self._asks is None else self._asks.name,
        }

    def operates(self, viewer: Viewer) -> bool:
        """Whether this viewer is the operator."""
        self._forget()
        return self._operator is viewer

    def take(self, viewer: Viewer) -> None:
        """Become the operator where nobody is; else ask the one who is."""
        self._forget()
        if self._operator is None:
            self._operator, self._asks = viewer, None
        elif self._operator is not viewer:
            self._asks = viewer
        self.version += 1

    def give(self, viewer: Viewer, to: str | None) -> None:
        """Hand control over to a viewer by name; None: leave it to whoever takes it. RainError."""
        if not self.operates(viewer):
            raise RainError("only the operator can hand control over")
        found = next((v for v in self._viewers.values() if v.name == to and v.connections), None)
        if to is not None and found is None:
            raise RainError(f"{to!r} is not there")
        self._operator, self._asks = found, None
        self.version += 1

    def _forget(self) -> None:
        """Those who have been away for too long are gone, and their control with them."""
        now = self._clock()
        for viewer in list(self._viewers.values()):
            if viewer.connections or now - viewer.left <= self._grace:
                continue
            del self._viewers[viewer.key]
            if viewer is self._operator:
                self._operator = None
            if viewer is self._asks:
                self._asks = None
            self.version += 1
