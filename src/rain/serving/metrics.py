"""A server's figures in Prometheus' text format, in an answer or over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    start_http_server,
)

from rain.types import RainError

SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)


class Metrics:
    """Counts requests, errors and batches; measures how long answers take."""

    def __init__(self, clients: Callable[[], int]) -> None:
        """clients: how many there are now."""
        self.registry = CollectorRegistry()
        registry = self.registry
        self.requests = Counter("rain_requests", "By kind.", ["kind"], registry=registry)
        self.errors = Counter("rain_errors", "Refused requests.", ["code"], registry=registry)
        self.answer = Histogram(
            "rain_answer_seconds",
            "From a request's arrival to its answer.",
            ["kind"],
            buckets=SECONDS,
            registry=registry,
        )
        self.batch = Histogram(
            "rain_batch_rows",
            "Requests answered in one batch.",
            buckets=(1, 2, 4, 8, 16, 32),
            registry=registry,
        )
        known = Gauge("rain_clients", "Clients that said hello.", registry=registry)
        known.set_function(clients)

    def text(self) -> str:
        """Everything, in the text format."""
        return generate_latest(self.registry).decode()

    @contextmanager
    def over_http(self, port: int, host: str = "127.0.0.1") -> Iterator[int]:
        """Answer ``http://HOST:PORT/metrics`` meanwhile; gives the port, chosen where 0 is asked.

        RainError where nobody can listen there.
        """
        try:
            server, thread = start_http_server(port, host, self.registry)
        except (OSError, OverflowError) as error:
            raise RainError(f"metrics: cannot listen at {host}:{port}: {error}") from error
        try:
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
