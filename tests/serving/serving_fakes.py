"""A policy server in a thread, with a fake policy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench_fakes import NoisyPolicies

from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig


class Served(NoisyPolicies):
    """The fakes' noisy policies, with a fingerprint that can be exchanged."""

    print = "abc"

    def fingerprint(self) -> str:
        return self.print


@contextmanager
def serving(policies: Any = None, address: str = "tcp://127.0.0.1:*", **more: Any) -> Iterator[Any]:
    """A server that runs meanwhile."""
    service = PolicyService(policies or Served(), more.pop("execute", 8))
    with running(service, address, **more) as server:
        yield server


@contextmanager
def running(service: Any, address: str = "tcp://127.0.0.1:*", **more: Any) -> Iterator[Server]:
    """A server of any service that runs meanwhile."""
    made = {"clock": more.pop("clock")} if "clock" in more else {}
    with Server(service, ServerConfig(address=address, **more), **made) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(10)
            assert not thread.is_alive()
