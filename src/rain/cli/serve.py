"""``rain serve``: the policy server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Annotated

import tyro

from rain.bench.sources import CheckpointPolicies
from rain.cli.serving_options import ServingOptions, run_server, server_config
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
        return run_server(server, config, options.serving, policies.name, ExitStack())
