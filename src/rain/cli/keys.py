"""``rain keys``: CURVE keys, with which servers and clients know each other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console

from rain.client.keys import make_client_keys, make_server_keys


@dataclass(frozen=True)
class Keys:
    """Make a server's keys in a folder, or a client's that the server then lets in.

    rain keys FOLDER makes the server's; serve with --curve FOLDER. rain keys FOLDER --client NAME
    makes FOLDER/NAME, which the client is given (PolicyClient(..., curve="NAME")). To shut a client
    out, delete FOLDER/clients/NAME.key.
    """

    folder: Annotated[Path, tyro.conf.Positional]
    """Where the server's keys are; only its owner can read the secrets."""
    client: str | None = None
    """Make keys of a client with this name."""


def main(args: list[str]) -> int:
    """Run ``rain keys``."""
    options = tyro.cli(Keys, args=args, prog="rain keys")
    if options.client is None:
        make_server_keys(options.folder)
        told = (
            f"serve with --curve {options.folder}; then: rain keys {options.folder} --client NAME"
        )
    else:
        own = make_client_keys(options.folder, options.client)
        told = f"give {own} to the client: it holds its secret and the server's public key"
    Console(highlight=False).print(told, markup=False, soft_wrap=True)
    return 0
