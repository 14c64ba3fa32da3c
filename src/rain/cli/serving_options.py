"""What ``rain serve`` and ``rain masks`` have in common on the command line."""

from __future__ import annotations

import signal
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rich.console import Console

from rain.cli.token import TOKEN_VARIABLE, given_token
from rain.dashboard.guard import is_local
from rain.serving.server import Server, ServerConfig
from rain.types import RainError


@dataclass(frozen=True)
class ServingOptions:
    """Limits, keys and figures of a server."""

    max_message: int = ServerConfig.max_message
    """Bytes; a larger message closes its connection unread."""
    max_clients: int = ServerConfig.max_clients
    """Clients at a time; silent ones are forgotten."""
    rate: float = ServerConfig.rate
    """Requests a second that one client may make."""
    idle: float = ServerConfig.idle
    """Seconds of silence after which a client is forgotten."""
    curve: Path | None = None
    """Folder of the server's keys (rain keys): all is encrypted, and only its clients come in."""
    metrics_port: int | None = None
    """Also give figures to Prometheus at http://METRICS-HOST:PORT/metrics; 0 picks a port."""
    metrics_host: str = "127.0.0.1"
    """Where that port listens; by default this machine alone can reach it."""


def server_config(options: ServingOptions, address: str, batch: int) -> ServerConfig:
    """The configuration; RainError where others could reach a server that asks for nothing."""
    token = given_token()
    if token is None and options.curve is None and not is_loopback(address):
        raise RainError(
            f"{address} can be reached from other machines: set {TOKEN_VARIABLE} to a token that "
            "clients must bring, or give --curve a folder of keys (rain keys)"
        )
    shared = {field.name for field in fields(ServingOptions)} & {
        field.name for field in fields(ServerConfig)
    }
    given: dict[str, Any] = {name: getattr(options, name) for name in shared}
    return ServerConfig(address=address, batch=batch, token=token, **given)


def check_exposed(host: str, token: str | None) -> None:
    """RainError where others could reach a port of other protocols that asks for no token."""
    if token is None and not is_loopback(f"tcp://{host}:1"):
        raise RainError(
            f"{host} can be reached from other machines: set {TOKEN_VARIABLE} to a token that "
            "openpi's and GR00T's clients must bring (api_key, api_token)"
        )


def run_server(
    server: Server,
    config: ServerConfig,
    options: ServingOptions,
    what: str,
    more: ExitStack,
    also: str = "",
) -> int:
    """Say what is served where, and serve until Ctrl-C or SIGTERM.

    more: ends before the server; also: said at the end of the line.
    """
    console = Console(highlight=False)
    with more:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: server.stop())
        asks = [name for name in ("token", "curve") if getattr(config, name) is not None]
        access = f"with {' and '.join(asks)}" if asks else "without a token"
        console.print(f"{what} at {server.address}, {access}{also}", markup=False, soft_wrap=True)
        if options.metrics_port is not None:
            port = more.enter_context(
                server.metrics.over_http(options.metrics_port, options.metrics_host)
            )
            figures = f"figures at http://{options.metrics_host}:{port}/metrics"
            console.print(figures, markup=False, soft_wrap=True)
        server.run()
    console.print("stopped", markup=False)
    return 0


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine alone; RainError where it is none."""
    parts = urlsplit(address)
    if parts.scheme in ("ipc", "inproc"):
        return True
    if parts.scheme != "tcp" or not parts.netloc:
        raise RainError(f"address: expected tcp://HOST:PORT, got {address!r}")
    return is_local(parts.hostname or "")
