"""CURVE keys in files: who a server is, which clients it lets in, and who a client is.

FOLDER/server.key          the server's public key
FOLDER/server.key_secret   its secret; stays where the server runs
FOLDER/clients/NAME.key    public keys of the clients that it lets in
FOLDER/NAME/               what client NAME is given: its secret, and the server's public key
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import zmq
import zmq.auth

from rain.types import RainError

SERVER, CLIENTS = "server", "clients"
PUBLIC, SECRET = ".key", ".key_secret"


def make_server_keys(folder: Path) -> Path:
    """Make a server's keys in ``folder``; its secret's file. RainError where it has some."""
    secret = folder / f"{SERVER}{SECRET}"
    if secret.exists():
        raise RainError(f"{secret} is there already: clients know that server, it is left as it is")
    _make(folder, SERVER)
    (folder / CLIENTS).mkdir(exist_ok=True)
    return secret


def make_client_keys(folder: Path, name: str) -> Path:
    """Make keys of client ``name`` that the server of ``folder`` lets in; the client's folder."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) or name in (SERVER, CLIENTS):
        raise RainError(f"client {name!r}: expected a name of letters, digits, dots and dashes")
    server = folder / f"{SERVER}{PUBLIC}"
    if not server.is_file():
        raise RainError(f"{folder} holds no keys of a server: rain keys {folder}")
    own = folder / name
    if own.exists() or (folder / CLIENTS / f"{name}{PUBLIC}").exists():
        raise RainError(f"{folder} has keys of client {name!r} already")
    _make(own, name)
    shutil.copy(server, own)
    (folder / CLIENTS).mkdir(exist_ok=True)
    shutil.copy(own / f"{name}{PUBLIC}", folder / CLIENTS)
    return own


def use_client_keys(socket: zmq.Socket, folder: Path) -> None:
    """Let a socket speak as the client of ``folder``, before it connects; RainError."""
    secrets = sorted(folder.glob(f"*{SECRET}"))
    if len(secrets) != 1 or secrets[0].stem == SERVER:
        raise RainError(
            f"{folder}: expected a client's folder, with one NAME{SECRET} and {SERVER}{PUBLIC} "
            "(rain keys FOLDER --client NAME)"
        )
    socket.curve_publickey, socket.curve_secretkey = _pair(secrets[0])
    socket.curve_serverkey = _read(folder / f"{SERVER}{PUBLIC}")[0]


def use_server_keys(socket: zmq.Socket, folder: Path) -> None:
    """Let a socket speak as the server of ``folder``, before it listens; RainError."""
    socket.curve_publickey, socket.curve_secretkey = _pair(folder / f"{SERVER}{SECRET}")
    socket.curve_server = True


def client_keys(folder: Path) -> set[bytes]:
    """Public keys of the clients that the server of ``folder`` lets in; RainError for none."""
    files = sorted((folder / CLIENTS).glob(f"*{PUBLIC}"))
    if not files:
        raise RainError(
            f"{folder} knows no client that may come in: rain keys {folder} --client NAME"
        )
    return {_read(file)[0] for file in files}


def _make(folder: Path, name: str) -> None:
    if not zmq.has("curve"):
        raise RainError("this machine's libzmq was built without CURVE: pip install pyzmq")
    folder.mkdir(parents=True, exist_ok=True)
    # The secret must not be readable by others even for the moment in which it is written.
    before = os.umask(0o077)
    try:
        zmq.auth.create_certificates(folder, name)
    finally:
        os.umask(before)


def _pair(file: Path) -> tuple[bytes, bytes]:
    public, secret = _read(file)
    if secret is None:
        raise RainError(f"{file} holds no secret key")
    return public, secret


def _read(file: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(file)
    except (OSError, ValueError) as error:
        raise RainError(f"{file} is not there or holds no key: {error}") from None
    if public is None or len(public) != 40:
        raise RainError(f"{file} holds no public key")
    return public, secret
