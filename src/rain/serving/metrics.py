"""A server's figures in Prometheus' text format."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

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
            "rain_predict_seconds",
            "From a request's arrival to its answer.",
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
