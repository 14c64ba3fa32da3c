"""The server in a thread of its own, beside whoever acts."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from rain.dashboard.audit import Audit
from rain.dashboard.server import make_app
from rain.dashboard.session import Session
from rain.types import RainError

STARTS_IN_S = 20.0


@contextmanager
def serving(
    session: Session,
    audit: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
) -> Iterator[str]:
    """Serve the page while the block runs; gives its address. RainError where it cannot listen.

    port: 0, any free one. token: needed for a host other than this machine's loopback.
    """
    listening = _listen(host, port)
    log = Audit(audit)
    # What waits to be sent is bounded; a viewer that is gone is noticed.
    config = uvicorn.Config(
        make_app(session, log, token),
        log_level="error",
        ws_ping_interval=10,
        ws_ping_timeout=20,
        ws_max_size=65_536,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=1,
        access_log=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(
        target=server.run, kwargs={"sockets": [listening]}, name="dashboard", daemon=True
    )
    thread.start()
    try:
        _wait_for(server, thread)
        shown = f"[{host}]" if ":" in host else host
        yield f"http://{shown}:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(5)
        listening.close()
        log.close()


def _listen(host: str, port: int) -> socket.socket:
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(64)
        return listening
    except (OSError, OverflowError) as error:
        raise RainError(f"{host}:{port}: cannot listen there: {error}") from error


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + STARTS_IN_S
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise RainError("the page's server did not start")
        time.sleep(0.01)
