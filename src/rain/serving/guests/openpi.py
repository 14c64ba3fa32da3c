"""openpi's protocol, the server's side: msgpack over a WebSocket, for openpi-client as it is.

Read from openpi's ``src/openpi/serving/websocket_policy_server.py``: metadata after the handshake,
an answer for every observation, and in place of an answer a text, after which the server closes.
``/healthz`` says OK over HTTP. A token is openpi-client's ``api_key``.
"""

from __future__ import annotations

import hmac
import http
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import Server, ServerConnection, serve

from rain.bench.remote.openpi import pack, unpack
from rain.serving.guests.reading import Reader
from rain.serving.guests.session import GuestSession
from rain.types import RainError, one_line

FAILED = 1011
"""WebSocket's code for an error inside the server."""


class OpenpiPort:
    """Answers openpi's clients, each in a thread of its own with a session of its own."""

    def __init__(
        self,
        session: Callable[[], GuestSession],
        reader: Reader,
        metadata: dict[str, Any],
        token: str | None,
    ) -> None:
        """session: makes one for a client; metadata: what is told about the policy."""
        self._session, self._reader = session, reader
        self._metadata, self._token = metadata, token
        self._open: set[ServerConnection] = set()

    @contextmanager
    def listening(self, host: str, port: int, max_message: int) -> Iterator[int]:
        """Answer meanwhile; gives the port, chosen where 0 is asked. RainError."""
        quiet = logging.getLogger("rain.serving.openpi")
        quiet.addHandler(logging.NullHandler())
        quiet.propagate = False  # a port scan must not fill the terminal with tracebacks
        try:
            server = serve(
                self._talk,
                host,
                port,
                compression=None,
                max_size=max_message,
                process_request=self._admit,
                logger=quiet,
            )
        except (OSError, OverflowError) as error:
            raise RainError(f"openpi: cannot listen at {host}:{port}: {error}") from error
        thread = threading.Thread(target=server.serve_forever, name="openpi", daemon=True)
        thread.start()
        try:
            yield server.socket.getsockname()[1]
        finally:
            self._end(server)
            thread.join()

    def _end(self, server: Server) -> None:
        for connection in list(self._open):
            threading.Thread(target=connection.close, args=(1001,), daemon=True).start()
        server.shutdown()
        end = time.monotonic() + 5
        while self._open and time.monotonic() < end:
            time.sleep(0.01)

    def _admit(self, connection: ServerConnection, request: Any) -> Any:
        """Answer a question over HTTP; None lets the client go on to the WebSocket."""
        if request.path == "/healthz":
            return connection.respond(http.HTTPStatus.OK, "OK\n")
        given = request.headers.get("Authorization", "").encode()
        if self._token is not None and not hmac.compare_digest(
            given, f"Api-Key {self._token}".encode()
        ):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "the api_key is no token\n")
        return None

    def _talk(self, connection: ServerConnection) -> None:
        self._open.add(connection)
        session = None
        try:
            session = self._session()
            connection.send(pack(self._metadata))
            for message in connection:
                connection.send(pack(self._answer(session, message)))
        except ConnectionClosed:
            pass
        except Exception as error:
            self._refuse(connection, error)
        finally:
            if session is not None:
                session.close()
            self._open.discard(connection)

    def _answer(self, session: GuestSession, message: str | bytes) -> dict[str, Any]:
        begin = time.monotonic()
        sent = unpack(message) if isinstance(message, bytes) else None
        if not isinstance(sent, dict):
            raise RainError("expected an observation: a mapping in msgpack")
        acted = session.act(sent)
        progress = acted.prediction.progress
        # No other arrays: openpi's ActionChunkBroker cuts every array as it cuts the actions.
        return {
            **self._reader.answer(acted.prediction),
            "plan": acted.prediction.plan.waypoints.tolist(),
            "completion": progress.completion,
            "subtask": acted.subtask,
            "done": acted.done,
            "server_timing": {"infer_ms": 1000 * (time.monotonic() - begin)},
        }

    def _refuse(self, connection: ServerConnection, error: Exception) -> None:
        """Say why, and close, as openpi's server does."""
        try:
            connection.send(one_line(error))
            connection.close(FAILED, "the reason is in the previous frame")
        except ConnectionClosed:
            pass
