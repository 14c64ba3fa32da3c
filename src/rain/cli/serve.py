"""``rain serve``: the policy server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from rain.bench.sources import CheckpointPolicies
from rain.cli.serving_options import ServingOptions, check_exposed, run_server, server_config
from rain.serving.guests.ports import Guests
from rain.serving.guests.reading import GuestOptions
from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig


@dataclass(frozen=True)
class Serve:
    """Serve a checkpoint's predictions to robots and other programs, until Ctrl-C.

    A client says hello, sends observations with regions, and gets actions, plan and progress
    (rain.client.PolicyClient). Where RAIN_TOKEN is set, clients must bring that token.
    """

    checkpoint: str = "rain-nano"
    """A checkpoint folder, or the name of a shipped one."""
    address: str = ServerConfig.address
    """Where to listen. Anything but this machine's loopback needs a token or keys."""
    device: str = "cpu"
    """Where the network is: cpu or cuda."""
    threads: int = 1
    """CPU threads of the network."""
    batch: int = ServerConfig.batch
    """Most requests that are answered in one batch."""
    execute: int = 8
    """Actions of a chunk that clients are told to execute."""
    openpi_port: int | None = None
    """Also answer openpi's clients (openpi-client) at this port; 0 picks one."""
    gr00t_port: int | None = None
    """Also answer GR00T's clients at this port; 0 picks one."""
    guests: GuestOptions = field(default_factory=GuestOptions)
    """What the clients at these ports mean, and where their regions come from."""
    serving: Annotated[ServingOptions, tyro.conf.arg(name="")] = field(
        default_factory=ServingOptions
    )


def main(args: list[str]) -> int:
    """Run ``rain serve``."""
    options = tyro.cli(Serve, args=args, prog="rain serve")
    config = server_config(options.serving, options.address, options.batch)
    policies = CheckpointPolicies(options.checkpoint, options.threads, options.device)
    service = PolicyService(policies, options.execute)
    with Server(service, config) as server:
        more = ExitStack()
        also = ""
        ports = {"openpi": options.openpi_port, "gr00t": options.gr00t_port}
        asked = {kind: port for kind, port in ports.items() if port is not None}
        if asked:
            check_exposed(options.guests.host, config.token)
            guests = Guests(server, service, config, options.guests)
            for kind, port in asked.items():
                at = more.enter_context(guests.listening(kind, port))
                also += f", {kind} at {options.guests.host}:{at}"
        return run_server(server, config, options.serving, policies.name, more, also)
