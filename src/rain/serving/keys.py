"""Lets in the clients whose keys a server's folder holds, and nobody else."""

from __future__ import annotations

from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator

from rain.client.keys import client_keys, use_server_keys
from rain.types import RainError


class ClientGate:
    """Checks the keys of whoever connects. The folder is read anew each time, so that a client can
    be added or shut out while the server runs."""

    def __init__(self, context: zmq.Context, folder: Path) -> None:
        """Begin to check; RainError where the folder holds no server's keys, or lets in nobody."""
        self._folder = folder
        client_keys(folder)
        self._authenticator = ThreadAuthenticator(context)
        self._authenticator.start()
        self._authenticator.configure_curve_callback("*", credentials_provider=self)

    def guard(self, socket: zmq.Socket) -> None:
        """Let a socket ask for keys, before it listens; RainError."""
        use_server_keys(socket, self._folder)

    def close(self) -> None:
        """Stop checking."""
        self._authenticator.stop()

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether a client with this public key (Z85) may come in; pyzmq asks."""
        try:
            return key in client_keys(self._folder)
        except RainError:
            return False
