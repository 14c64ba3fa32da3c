"""openpi's protocol: msgpack over a WebSocket; also spoken by ``packages/rain_lerobot_serve``.

After the handshake the server sends its metadata; then every observation (a flat mapping) is
answered with a mapping that holds ``actions`` (n, 7). A text frame is a traceback, after which the
server closes. Read from openpi's ``src/openpi/serving/websocket_policy_server.py`` and from the
package openpi-client 0.1.2, to whose bytes ``pack`` is equal. It is not imported: it needs NumPy 1.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rain.bench.remote.policy import RemoteError
from rain.types import RainError, one_line

INSTALL_HELP = "this policy needs the extra remote: pip install 'rain-robotics[remote]'"
LARGEST_ANSWER = 64 * 2**20
"""Bytes; an answer is a few kilobytes, whatever the policy says beside its actions."""

PLAIN = "biuf"
"""Kinds of arrays that are read: truth values and numbers."""


def pack(value: Any) -> bytes:
    """A mapping with arrays as openpi-client packs it."""
    return msgpack.packb(value, default=_encode)


def unpack(data: bytes) -> Any:
    """What ``pack`` made; RemoteError when it is something else. Nothing is unpickled."""
    try:
        return msgpack.unpackb(data, object_hook=_decode)
    except Exception as error:  # msgpack raises a dozen unrelated types on broken input
        raise RemoteError(f"this is not openpi's msgpack ({error})") from error


class OpenpiChannel:
    """A connection to an openpi policy server."""

    def __init__(self, address: str, timeout: float) -> None:
        """Connect to ``ws://HOST:PORT`` and read the metadata; timeout: s, for each answer."""
        self._address, self._timeout = address, timeout
        try:
            from websockets.sync.client import connect
        except ModuleNotFoundError as error:
            raise RainError(INSTALL_HELP) from error
        try:
            opening = connect(
                address,
                compression=None,
                max_size=LARGEST_ANSWER,
                open_timeout=min(timeout, 10.0),
                close_timeout=1.0,
                # A server that computes does not answer pings: only ``timeout`` counts.
                ping_interval=None,
                proxy=None,
            )
            self._open = ExitStack()
            self._connection = self._open.enter_context(opening)
        except Exception as error:  # OSError, TimeoutError, InvalidURI, InvalidHandshake …
            raise RemoteError(
                f"{address}: no policy server there ({one_line(error)}): start it first"
            ) from error
        self.metadata = self._receive()

    def ask(
        self, images: dict[str, NDArray], state: dict[str, NDArray], instruction: tuple[str, str]
    ) -> NDArray:
        """Send one look; the actions (n, 7) as the server gave them."""
        key, text = instruction
        try:
            self._connection.send(pack({**images, **state, key: text}))
        except Exception as error:
            raise self._lost(error) from error
        answer = self._receive()
        if not isinstance(answer, dict) or "actions" not in answer:
            raise RemoteError(f"{self._address}: the answer has no actions")
        return np.asarray(answer["actions"])

    def close(self) -> None:
        """Close the connection; never raises."""
        try:
            self._open.close()
        except Exception:
            return

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv(timeout=self._timeout)
        except TimeoutError as error:
            raise RemoteError(
                f"{self._address}: no answer within {self._timeout:g} s: is it still loading? "
                "timeout=SECONDS allows more"
            ) from error
        except Exception as error:
            raise self._lost(error) from error
        if isinstance(answer, str):
            raise RemoteError(f"{self._address}: the server failed: {_last_line(answer)}")
        return unpack(answer)

    def _lost(self, error: Exception) -> RemoteError:
        return RemoteError(f"{self._address}: the connection was lost ({one_line(error)})")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it did not say why"


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray) and value.dtype.kind in PLAIN:
        return {
            b"__ndarray__": True,
            b"data": value.tobytes(),
            b"dtype": value.dtype.str,
            b"shape": value.shape,
        }
    if isinstance(value, np.generic) and value.dtype.kind in PLAIN:
        return {b"__npgeneric__": True, b"data": value.item(), b"dtype": value.dtype.str}
    raise TypeError(f"cannot send {type(value).__name__}")


def _decode(value: dict) -> Any:
    if b"__ndarray__" in value:
        array = np.frombuffer(value[b"data"], dtype=_plain(value[b"dtype"]))
        return array.reshape(value[b"shape"])
    if b"__npgeneric__" in value:
        return _plain(value[b"dtype"]).type(value[b"data"])
    return value


def _plain(name: Any) -> np.dtype:
    dtype = np.dtype(name)
    if dtype.kind not in PLAIN:
        raise ValueError(f"arrays of {dtype} are not read")
    return dtype
