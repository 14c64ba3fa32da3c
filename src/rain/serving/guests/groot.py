"""GR00T's protocol, the server's side: msgpack over ZeroMQ, arrays as .npy bytes.

Read from NVIDIA/Isaac-GR00T: ``gr00t/eval/service.py`` (N1.5: an observation is answered with its
actions) and ``gr00t/policy/server_client.py`` (N1.6: arrays have a batch axis, the answer is a pair
of actions and information). Which of both a client speaks is seen in what it sends. ``kill`` is
refused.
"""

from __future__ import annotations

import hmac
import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import zmq

from rain.bench.remote.groot import pack, unpack
from rain.serving.guests.reading import Reader
from rain.serving.guests.session import GuestSession
from rain.types import RainError, one_line

POLL_MS = 100


class GrootPort:
    """Answers GR00T's clients one after the other, each with a session of its own."""

    def __init__(
        self,
        session: Callable[[], GuestSession],
        reader: Reader,
        token: str | None,
        most: int,
        old: bool = False,
    ) -> None:
        """session: makes one for a client; most: clients at a time, who was silent longest is
        forgotten; old: describe the modalities as N1.5 does."""
        self._session, self._reader = session, reader
        self._token, self._most, self._old = token, most, old
        self._sessions: OrderedDict[bytes, GuestSession] = OrderedDict()
        self._stop = threading.Event()

    @contextmanager
    def listening(self, host: str, port: int, max_message: int) -> Iterator[int]:
        """Answer meanwhile; gives the port, chosen where 0 is asked. RainError."""
        context = zmq.Context()
        socket = context.socket(zmq.ROUTER)
        socket.setsockopt(zmq.MAXMSGSIZE, max_message)
        socket.setsockopt(zmq.LINGER, 200)
        try:
            socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as error:
            socket.close()
            context.term()
            raise RainError(f"gr00t: cannot listen at {host}:{port}: {error}") from error
        thread = threading.Thread(target=self._run, args=(socket,), name="gr00t", daemon=True)
        thread.start()
        try:
            yield int(socket.getsockopt_string(zmq.LAST_ENDPOINT).rpartition(":")[2])
        finally:
            self._stop.set()
            thread.join()
            context.term()

    def _run(self, socket: zmq.Socket) -> None:
        while not self._stop.is_set():
            if not socket.poll(POLL_MS):
                continue
            identity, *frames = socket.recv_multipart()
            if len(frames) != 2 or frames[0]:
                continue  # no REQ socket's: nobody waits for an answer
            with suppress(zmq.ZMQError):
                answer = self._reply(identity, frames[1])
                socket.send_multipart([identity, b"", answer], zmq.NOBLOCK)
        for session in self._sessions.values():
            session.close()
        socket.close()

    def _reply(self, identity: bytes, data: bytes) -> bytes:
        try:
            return pack(self._answer(identity, unpack(data)))
        except Exception as error:
            if identity in self._sessions and not isinstance(error, RainError):
                self._sessions.pop(identity).close()
            return pack({"error": one_line(error)})

    def _answer(self, identity: bytes, request: Any) -> Any:
        if not isinstance(request, dict):
            raise RainError("expected a request: a mapping with its endpoint")
        given = request.get("api_token")
        given = given if isinstance(given, str) else ""
        if self._token is not None and not hmac.compare_digest(
            given.encode(errors="replace"), self._token.encode()
        ):
            raise RainError("Unauthorized: Invalid API token")
        endpoint = request.get("endpoint", "get_action")
        if endpoint == "ping":
            return {"status": "ok", "message": "Server is running"}
        if endpoint == "get_modality_config":
            return self._modalities()
        if endpoint == "reset":
            self._of(identity).reset()
            return {}
        if endpoint != "get_action":
            raise RainError(f"unknown endpoint {str(endpoint)[:40]!r}")
        data = request.get("data")
        if not isinstance(data, dict):
            raise RainError("expected an observation")
        if isinstance(data.get("observation"), dict):
            return self._act(identity, data["observation"], newer=True)
        return self._act(identity, data, newer=False)

    def _act(self, identity: bytes, sent: dict[str, Any], newer: bool) -> Any:
        acted = self._of(identity).act({key: _bare(v) for key, v in _flat(sent).items()})
        actions = self._reader.answer(acted.prediction)
        if not newer:
            return actions
        progress = acted.prediction.progress
        about = {"completion": progress.completion, "subtask": acted.subtask, "done": acted.done}
        return [{key: value[None] for key, value in actions.items()}, about]

    def _of(self, identity: bytes) -> GuestSession:
        """The client's session."""
        session = self._sessions.pop(identity, None)
        if session is None:
            if len(self._sessions) >= self._most:
                self._sessions.popitem(last=False)[1].close()
            session = self._session()
        self._sessions[identity] = session
        return session

    def _modalities(self) -> dict[str, Any]:
        """Which keys there are, as the library's ModalityConfig."""
        keys = self._reader.keys
        horizon = list(range(16))
        parts = {
            "video": ([0], [key for _, key in keys.images]),
            "state": ([0], list(keys.state)),
            "action": (horizon, [key for key, _ in keys.actions]),
            "language": ([0], [keys.instruction]),
        }
        found = {}
        for name, (indices, names) in parts.items():
            bare = [key.partition(".")[2] if name != "language" else key for key in names]
            config = {"delta_indices": indices, "modality_keys": names if self._old else bare}
            told: Any = json.dumps(config) if self._old else config
            found[name] = {"__ModalityConfig_class__": True, "as_json": told}
        return found


def _flat(sent: dict[str, Any]) -> dict[str, Any]:
    """N1.6's own observations are nested, ``video`` -> ``image``; its wrapper's and N1.5's flat."""
    flat: dict[str, Any] = {}
    for key, value in sent.items():
        if isinstance(value, dict):
            prefix = "" if key == "language" else f"{key}."
            flat |= {f"{prefix}{inner}": item for inner, item in value.items()}
        else:
            flat[key] = value
    return flat


def _bare(value: Any) -> Any:
    """Without axes of one batch and one moment; RainError where there are more of either."""
    if not isinstance(value, np.ndarray):
        return value
    axes = {"b": 2, "u": 3}.get(value.dtype.kind, 1)
    while value.ndim > axes and value.shape[0] == 1:
        value = value[0]
    return value
