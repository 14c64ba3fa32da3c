"""Options that every command has that serves the operator's page."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from rain.cli.token import TOKEN_VARIABLE, given_token
from rain.dashboard.guard import is_local
from rain.dashboard.session import Session
from rain.types import RainError


@dataclass(frozen=True)
class PageOptions:
    """Where the operator's page is served, and how views are shown."""

    host: str = "127.0.0.1"
    """Where to listen. Anything but this machine's loopback needs a token in RAIN_TOKEN, which the
    page asks for."""
    port: int = 8765
    """0: any free one."""
    audit: Path = Path("runs/dashboard/audit.jsonl")
    """File of what operators did, one JSON object a line; appended to."""
    pixels: int = 336
    """Side of a view as it is shown, where the simulator gives the regions."""
    every: int = 2
    """Control steps between two frames."""
    speed: float = 1.0
    """Simulated seconds a second, at most; 0: as fast as it goes."""

    def token(self) -> str | None:
        """The token of RAIN_TOKEN; RainError where one is needed and there is none."""
        token = given_token()
        if token is None and not is_local(self.host):
            raise RainError(
                f"{self.host} can be reached from other machines: set {TOKEN_VARIABLE} to a token "
                "that the page asks for"
            )
        return token

    def served(self, session: Session) -> AbstractContextManager[str]:
        """Serve a session's page while the block runs; gives its address."""
        from rain.dashboard.running import serving

        return serving(session, self.audit, host=self.host, port=self.port, token=self.token())
