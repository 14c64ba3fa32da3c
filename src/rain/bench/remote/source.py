"""Served policies by their address: ``openpi:ws://127.0.0.1:8000?execute=5``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol
from urllib.parse import parse_qsl, urlsplit

from rain.bench.remote.conventions import RemoteConventions, preset
from rain.bench.remote.policy import Channel, RemotePolicy
from rain.types import RainError

TIMEOUT = 120.0
"""s; the first answer of a large model compiles it."""


class _Told(Channel, Protocol):
    metadata: Any
    """What the server says about itself."""


@dataclass(frozen=True)
class Scheme:
    """A protocol: what its addresses begin with, its usual conventions, how to connect."""

    transport: str
    usual: str
    connect: Callable[[str, float, RemoteConventions], _Told]


def _openpi(address: str, timeout: float, means: RemoteConventions) -> _Told:
    from rain.bench.remote.openpi import OpenpiChannel

    return OpenpiChannel(address, timeout)


def _groot(address: str, timeout: float, means: RemoteConventions) -> _Told:
    from rain.bench.remote.groot import GrootChannel

    return GrootChannel(address, timeout, means.batched)


SCHEMES = {
    "openpi": Scheme("ws", "openpi-libero", _openpi),
    "lerobot": Scheme("ws", "lerobot-libero", _openpi),
    "groot": Scheme("tcp", "groot-n1.6-libero", _groot),
}


@dataclass(frozen=True)
class RemotePolicies:
    """Makes policies that ask one server; a policy source, picklable.

    address: what the transport connects to. timeout: s that an answer may take.
    label: what the checkpoint is called in folders and tables, as the server may not say it.
    """

    scheme: str
    address: str
    means: RemoteConventions
    label: str
    timeout: float = field(default=TIMEOUT, compare=False)

    @classmethod
    def from_text(cls, text: str) -> RemotePolicies:
        """Read ``SCHEME:ADDRESS?name=…&conventions=…&execute=…&size=…&timeout=…``."""
        scheme, _, rest = text.partition(":")
        if scheme not in SCHEMES:
            raise RainError(
                f"policy {text!r}: expected one of {', '.join(SCHEMES)}, then an address"
            )
        protocol = SCHEMES[scheme]
        address, _, query = rest.partition("?")
        if urlsplit(address).scheme not in (protocol.transport, protocol.transport + "s"):
            raise RainError(f"policy {text!r}: expected {scheme}:{protocol.transport}://HOST:PORT")
        options = dict(parse_qsl(query, keep_blank_values=True))
        means = preset(options.pop("conventions", protocol.usual))
        label = options.pop("name", means.name)
        timeout = _number(text, options, "timeout", TIMEOUT)
        means = means.changed(
            execute=int(_number(text, options, "execute", means.execute)),
            sent_size=int(_number(text, options, "size", means.sent_size)),
        )
        if options:
            raise RainError(
                f"policy {text!r}: {', '.join(options)} unknown; there are name, conventions, "
                "execute, size, timeout"
            )
        return cls(scheme, address, means, label, timeout)

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        return self.label

    @property
    def execute(self) -> int:
        """Actions of a chunk to execute before the next look."""
        return self.means.execute

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits of the name, the conventions and what the server tells.

        A server that tells nothing about its checkpoint is known by ``name`` alone. RemoteError
        when it does not answer.
        """
        channel = self._connect()
        try:
            told = repr(channel.metadata)
        finally:
            channel.close()
        described = json.dumps([self.scheme, self.label, asdict(self.means), told])
        return hashlib.sha256(described.encode()).hexdigest()[:12]

    def __call__(self, seed: int) -> RemotePolicy:
        """A policy with a connection of its own. The seed does not reach the server."""
        return RemotePolicy(self._connect(), self.means, self.address)

    def _connect(self) -> _Told:
        return SCHEMES[self.scheme].connect(self.address, self.timeout, self.means)


def _number(text: str, options: dict[str, str], name: str, default: float) -> float:
    written = options.pop(name, None)
    try:
        number = default if written is None else float(written)
    except ValueError:
        number = 0.0
    if not 0 < number < 1e6 or (name != "timeout" and number != int(number)):
        raise RainError(f"policy {text!r}: {name} is not a number of at least 1")
    return number
