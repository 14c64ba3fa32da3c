"""GR00T's protocol: msgpack over ZeroMQ, one request at a time, arrays as NumPy's own .npy bytes.

Read from NVIDIA/Isaac-GR00T: ``gr00t/eval/service.py`` (N1.5) and ``gr00t/policy/server_client.py``
(N1.6). The first release (N1) sent torch pickles, which are not read here.
"""

from __future__ import annotations

import io
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rain.bench.remote.openpi import INSTALL_HELP, LARGEST_ANSWER
from rain.bench.remote.policy import RemoteError
from rain.types import RainError

ACTION_KEYS = tuple(f"action.{k}" for k in ("x", "y", "z", "roll", "pitch", "yaw", "gripper"))

PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
"""How torch's files and pickles begin; no answer in msgpack does, an empty map aside."""

GREETING = 10.0
"""s within which a server that is there answers its first ping."""


def pack(value: Any) -> bytes:
    """A mapping with arrays as GR00T's MsgSerializer packs it."""
    return msgpack.packb(value, default=_encode)


def unpack(data: bytes) -> Any:
    """What ``pack`` made; RemoteError when it is something else. Nothing is unpickled."""
    if data == b"ERROR" or data.startswith(PICKLES):
        raise RemoteError(
            "the server speaks torch pickles (GR00T N1), which are not read: "
            "serve with GR00T N1.5 or later"
        )
    try:
        return msgpack.unpackb(data, object_hook=_decode)
    except Exception as error:  # msgpack raises a dozen unrelated types on broken input
        raise RemoteError(f"this is not GR00T's msgpack ({error})") from error


class GrootChannel:
    """A connection to a GR00T inference server.

    batched: arrays carry a batch axis and requests their options, as from N1.6 on.
    """

    def __init__(self, address: str, timeout: float, batched: bool) -> None:
        """Connect to ``tcp://HOST:PORT``, ping and reset; timeout: s, for each answer."""
        self._address, self._timeout, self._batched = address, timeout, batched
        try:
            import zmq
        except ModuleNotFoundError as error:
            raise RainError(INSTALL_HELP) from error
        self._zmq = zmq
        self._socket: Any = zmq.Context.instance().socket(zmq.REQ)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, LARGEST_ANSWER)
        try:
            self._socket.connect(address)
            # ZeroMQ connects to nothing without complaint: only an answer shows that it is there.
            self._call("ping", None, min(timeout, GREETING), "no policy server there")
            self.metadata = self._call("get_modality_config", None, timeout)
            if batched:
                self._call("reset", {"options": None}, timeout)
        except zmq.ZMQError as error:
            self.close()
            raise RemoteError(f"{address}: not an address of ZeroMQ ({error})") from error
        except RainError:
            self.close()
            raise

    def ask(
        self, images: dict[str, NDArray], state: dict[str, NDArray], instruction: tuple[str, str]
    ) -> NDArray:
        """Send one look; the actions (n, 7) as the server gave them."""
        key, text = instruction
        arrays = {k: self._framed(v) for k, v in {**images, **state}.items()}
        observation = {**arrays, key: [text]}
        if not self._batched:
            return self._actions(self._call("get_action", observation, self._timeout))
        request = {"observation": observation, "options": None}
        answer = self._call("get_action", request, self._timeout)
        if not isinstance(answer, list) or not answer:
            raise RemoteError(f"{self._address}: the answer is no pair of actions and information")
        return self._actions(answer[0])

    def close(self) -> None:
        """Close the connection; never raises."""
        self._socket.close(linger=0)

    def _framed(self, array: NDArray) -> NDArray:
        """With an axis of one moment in front, and one of batches where there is one."""
        return array[None, None] if self._batched else array[None]

    def _actions(self, answer: Any) -> NDArray:
        if not isinstance(answer, dict) or any(key not in answer for key in ACTION_KEYS):
            raise RemoteError(
                f"{self._address}: the answer lacks one of {', '.join(ACTION_KEYS)}: "
                "serve with the embodiment of LIBERO's arm, N1.6 with --use-sim-policy-wrapper"
            )
        parts = [np.asarray(answer[key]) for key in ACTION_KEYS]
        if self._batched:
            parts = [part[0] if part.ndim == 3 and len(part) == 1 else part for part in parts]
        try:
            return np.concatenate([p[:, None] if p.ndim == 1 else p for p in parts], axis=-1)
        except ValueError as error:
            shapes = ", ".join(str(part.shape) for part in parts)
            raise RemoteError(f"{self._address}: actions of shapes {shapes}") from error

    def _call(self, endpoint: str, data: Any, timeout: float, silence: str = "no answer") -> Any:
        request = {"endpoint": endpoint} | ({} if data is None else {"data": data})
        try:
            self._socket.send(pack(request), self._zmq.NOBLOCK)
        except self._zmq.Again as error:
            raise RemoteError(f"{self._address}: {silence}: start it first") from error
        if not self._socket.poll(timeout * 1000):
            raise RemoteError(f"{self._address}: {silence} within {timeout:g} s")
        answer = unpack(self._socket.recv())
        if isinstance(answer, dict) and "error" in answer:
            said = " ".join(str(answer["error"]).split())
            raise RemoteError(f"{self._address}: the server failed: {said}")
        return answer


def _encode(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        file = io.BytesIO()
        np.save(file, value, allow_pickle=False)
        return {"__ndarray_class__": True, "as_npy": file.getvalue()}
    raise TypeError(f"cannot send {type(value).__name__}")


def _decode(value: dict) -> Any:
    if "__ndarray_class__" in value:
        return np.load(io.BytesIO(value["as_npy"]), allow_pickle=False)
    return value
