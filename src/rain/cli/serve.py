"""``rain serve``: the policy server."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass, fields
from ipaddress import ip_address
from urllib.parse import urlsplit

import tyro
from rich.console import Console

from rain.bench.sources import CheckpointPolicies
from rain.serving.server import PolicyServer, ServerConfig
from rain.types import RainError

TOKEN_VARIABLE = "RAIN_TOKEN"


@dataclass(frozen=True)
class Serve:
    """Serve a checkpoint's predictions to robots and other programs, until Ctrl-C.

    A client says hello, sends observations with regions, and gets actions, plan and progress
    (rain.serving.client.PolicyClient). Where RAIN_TOKEN is set, clients must bring that token.
    """

    checkpoint: str = "rain-nano"
    """A checkpoint folder, or the name of a shipped one."""
    address: str = ServerConfig.address
    """Where to listen. Anything but this machine's loopback needs a token."""
    device: str = "cpu"
    """Where the network is: cpu or cuda."""
    threads: int = 1
    """CPU threads of the network."""
    batch: int = ServerConfig.batch
    """Most requests that are answered in one batch."""
    max_message: int = ServerConfig.max_message
    """Bytes; a larger message closes its connection unread."""
    max_clients: int = ServerConfig.max_clients
    """Clients at a time; silent ones are forgotten."""
    rate: float = ServerConfig.rate
    """Requests a second that one client may make."""
    idle: float = ServerConfig.idle
    """Seconds of silence after which a client is forgotten."""
    execute: int = ServerConfig.execute
    """Actions of a chunk that clients are told to execute."""


def main(args: list[str]) -> int:
    """Run ``rain serve``."""
    options = tyro.cli(Serve, args=args, prog="rain serve")
    token = os.environ.get(TOKEN_VARIABLE) or None
    if token is None and not is_loopback(options.address):
        raise RainError(
            f"{options.address} can be reached from other machines: set {TOKEN_VARIABLE} to a "
            "token that clients must bring"
        )
    shared = {field.name for field in fields(ServerConfig)} & {f.name for f in fields(Serve)}
    config = ServerConfig(token=token, **{name: getattr(options, name) for name in shared})
    policies = CheckpointPolicies(options.checkpoint, options.threads, options.device)
    console = Console(highlight=False)
    with PolicyServer(policies, config) as server:
        for name in (signal.SIGINT, signal.SIGTERM):
            signal.signal(name, lambda *_: server.stop())
        told = f"{policies.name} at {server.address}, {'with' if token else 'without'} a token"
        console.print(told, markup=False, soft_wrap=True)
        server.run()
    console.print("stopped", markup=False)
    return 0


def is_loopback(address: str) -> bool:
    """Whether an address is reached from this machine alone; RainError where it is none."""
    parts = urlsplit(address)
    if parts.scheme in ("ipc", "inproc"):
        return True
    try:
        host = parts.hostname or ""
        if parts.scheme != "tcp" or not host:
            raise ValueError
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        if parts.scheme == "tcp" and parts.netloc:
            return False  # a name, an interface, or * for all of them
        raise RainError(f"address: expected tcp://HOST:PORT, got {address!r}") from None
