"""A small local HTTP server in place of an OpenAI-compatible endpoint."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = tuple[int, Mapping[str, str], bytes]
"""Status, headers, body."""


def completion(text: str) -> Answer:
    """A chat completion of one choice."""
    body = {"object": "chat.completion", "choices": [{"message": {"content": text}}]}
    return 200, {}, json.dumps(body).encode()


class StubServer:
    """Answers each POST by ``answer(body)`` and keeps what was asked: path, headers, body.

    drip_s: seconds between two bytes of an answer.
    """

    def __init__(self, answer: Callable[[Any], Answer], drip_s: float = 0.0) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        kept = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                kept.append((self.path, dict(self.headers), body))
                status, headers, content = answer(body)
                with contextlib.suppress(OSError):  # whoever asked may have gone
                    self._send(status, headers, content)

            def _send(self, status: int, headers: Mapping[str, str], content: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                for byte in (bytes([b]) for b in content) if drip_s else (content,):
                    self.wfile.write(byte)
                    self.wfile.flush()
                    time.sleep(drip_s)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> StubServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
