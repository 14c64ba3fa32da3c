"""Who may talk to the server: the token, the page's own origin, names that stay this machine's."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit

COOKIE = "rain"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def is_local(host: str) -> bool:
    """Whether an address to listen on is reached from this machine alone."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False  # a name, or nothing, which means all


class Guard:
    """Judges requests by their headers.

    Without a token only a page under a name of this machine's loopback is served, so that no other
    name can be made to point here. A browser says where a page comes from; another page's request
    is refused. What says nothing is no browser's page, and needs the token like any other.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    @property
    def asks(self) -> bool:
        """Whether a token is needed."""
        return self._token is not None

    def cookie(self) -> str:
        """What a page is given for the token; good for another run of the server too."""
        return hmac.new((self._token or "").encode(), b"rain dashboard", hashlib.sha256).hexdigest()

    def knows(self, token: object) -> bool:
        """Whether it is the token."""
        given = token if isinstance(token, str) else ""
        return hmac.compare_digest(given.encode(), (self._token or "").encode())

    def from_elsewhere(self, headers: Mapping[str, str]) -> str | None:
        """Why a request comes from where it must not, or None."""
        host = headers.get("host", "")
        if not self.asks and (urlsplit(f"//{host}").hostname or "") not in LOOPBACK:
            return f"{host}: without a token this is served as localhost only"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return f"the page {origin} must not talk to {host}"
        return None

    def admits(self, cookies: Mapping[str, str]) -> bool:
        """Whether a request brings what the token was exchanged for, where one is needed."""
        if not self.asks:
            return True
        return hmac.compare_digest(cookies.get(COOKIE, "").encode(), self.cookie().encode())
