"""Servers that end with the test."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from serving_fakes import serving

from rain.serving.guests.ports import Guests
from rain.serving.guests.reading import GuestOptions
from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Starts servers that end with the test."""
    with ExitStack() as stack:
        yield lambda *given, **more: stack.enter_context(serving(*given, **more))


@pytest.fixture
def guests():
    """Starts a server with a port for guests: (policies, kind, options …) -> (address, server)."""
    with ExitStack() as stack:

        def start(policies: Any, kind: str, *, token: str | None = None, most: int = 32, **options):
            service = PolicyService(policies)
            config = ServerConfig("tcp://127.0.0.1:*", token=token, max_clients=most)
            server = stack.enter_context(Server(service, config))
            thread = threading.Thread(target=server.run)
            thread.start()
            stack.callback(thread.join, 10)
            stack.callback(server.stop)
            opened = Guests(server, service, config, GuestOptions(**options))
            port = stack.enter_context(opened.listening(kind, 0))
            scheme = "ws" if kind == "openpi" else "tcp"
            return f"{scheme}://127.0.0.1:{port}", server

        yield start
