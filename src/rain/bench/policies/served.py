"""A checkpoint behind RAIN's own policy server: ``rain:tcp://127.0.0.1:5560``."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from urllib.parse import parse_qsl

from rain.client import PolicyClient
from rain.types import Observation, Prediction, RainError

TOKEN_VARIABLE = "RAIN_TOKEN"
TIMEOUT = 60.0
"""s that an answer may take; a server on a busy machine answers late, and a crash costs more."""


@dataclass(frozen=True)
class ServedPolicies:
    """Makes policies that ask one server; picklable.

    address: tcp://HOST:PORT. label: what the checkpoint is called; timeout: s; curve: folder of a
    client's keys. The token, where the server asks for one, is in RAIN_TOKEN.
    """

    address: str
    label: str
    timeout: float = field(default=TIMEOUT, compare=False)
    curve: str | None = field(default=None, compare=False)

    @classmethod
    def from_text(cls, text: str) -> ServedPolicies:
        """Read ``ADDRESS?name=…&timeout=…&curve=…`` and greet the server; RainError."""
        address, _, query = text.partition("?")
        options = dict(parse_qsl(query, keep_blank_values=True))
        label, curve = options.pop("name", ""), options.pop("curve", None)
        try:
            timeout = float(options.pop("timeout", TIMEOUT))
        except ValueError:
            timeout = 0.0
        if options:
            raise RainError(f"policy rain:{text}: there are name, timeout and curve")
        if not 0 < timeout < 1e6:
            raise RainError(f"policy rain:{text}: timeout is no number of seconds")
        source = cls(address, label, timeout, curve)
        return source if label else cls(address, source._client().greeting.policy, timeout, curve)

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        return self.label

    def fingerprint(self) -> str:
        """The served weights', as the server says."""
        return self._client().greeting.fingerprint

    def __call__(self, seed: int) -> ServedPolicy:
        """A policy whose noise starts from ``seed``; an earlier one of this process ends."""
        client = self._client()
        client.reset(seed)
        return ServedPolicy(client)

    def _client(self) -> PolicyClient:
        return _connect(self.address, self.timeout, self.curve)


class ServedPolicy:
    """A policy behind the server. A process has one at a time."""

    def __init__(self, client: PolicyClient) -> None:
        """Ask with ``client``."""
        self.conventions = client.conventions
        self._client = client

    def predict(self, observation: Observation) -> Prediction:
        """The server's prediction; ServerError where none comes in time."""
        return self._client.predict(observation)


@lru_cache(maxsize=4)
def _connect(address: str, timeout: float, curve: str | None) -> PolicyClient:
    """A process connects once, however many episodes it runs."""
    return PolicyClient(
        address,
        token=os.environ.get(TOKEN_VARIABLE) or None,
        timeout=timeout,
        curve=None if curve is None else Path(curve),
    )
