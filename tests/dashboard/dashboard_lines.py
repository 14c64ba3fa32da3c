"""A slow network: everything to a server goes through here, at so many bytes a second."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import suppress


class SlowLine:
    """Forwards TCP connections to ``port``; ``rate`` bytes a second from the server, all in all."""

    def __init__(self, port: int, rate: float) -> None:
        self._port, self._rate = port, rate
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._free_at = time.monotonic()
        self._lock = threading.Lock()
        self._ends: list[socket.socket] = [self._listening]

    def __enter__(self) -> SlowLine:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
                # Little may wait on its way, as on a slow line with short queues.
                far.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
                self._ends += [near, far]
                threading.Thread(target=self._pump, args=(near, far, 0.0), daemon=True).start()
                threading.Thread(
                    target=self._pump, args=(far, near, self._rate), daemon=True
                ).start()

    def _pump(self, source: socket.socket, sink: socket.socket, rate: float) -> None:
        with suppress(OSError):
            while data := source.recv(2048):
                if rate:
                    with self._lock:
                        self._free_at = max(self._free_at, time.monotonic()) + len(data) / rate
                        wait = self._free_at - time.monotonic()
                    time.sleep(max(0.0, wait))
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
