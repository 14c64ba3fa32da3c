"""A policy server in a thread, with a fake policy."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench_fakes import NoisyPolicies

from rain.serving.server import PolicyServer, ServerConfig


class Served(NoisyPolicies):
    """The fakes' noisy policies, with a fingerprint that can be exchanged."""

    print = "abc"

    def fingerprint(self) -> str:
        return self.print


@contextmanager
def serving(policies: Any = None, address: str = "tcp://127.0.0.1:*", **more: Any) -> Iterator[Any]:
    """A server that runs meanwhile."""
    made = {name: more.pop(name) for name in ("clock", "secure") if name in more}
    config = ServerConfig(address=address, **more)
    with PolicyServer(policies or Served(), config, **made) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(10)
            assert not thread.is_alive()
