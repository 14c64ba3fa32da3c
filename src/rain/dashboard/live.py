"""Frames and state to viewers: each gets the latest frame as soon as it took the one before.

A slow viewer misses frames and delays nobody: no frame waits in a queue.
"""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect

from rain.dashboard.desk import Desk, Viewer
from rain.dashboard.session import Session
from rain.dashboard.wire import packed
from rain.types import RainError

IN_FLIGHT = 2
"""Frames that may be on their way to a viewer at a time."""
TOO_MANY = 4429
EVERY_S = 5.0


class Live:
    """Serves the viewers of one session."""

    def __init__(self, session: Session, desk: Desk) -> None:
        self._session, self._desk = session, desk
        self._waiting: set[asyncio.Event] = set()
        self._packing = asyncio.Lock()
        self._packer = ThreadPoolExecutor(1, thread_name_prefix="packing")

    def changed(self) -> None:
        """Something that viewers see has changed; in the server's thread."""
        for event in self._waiting:
            event.set()

    async def serve(self, socket: WebSocket) -> None:
        """Serve one viewer until it leaves. It first says its key, or nothing."""
        try:
            viewer = self._desk.join(await socket.receive_text())
        except WebSocketDisconnect:
            return
        except RainError:
            await socket.close(TOO_MANY)
            return
        loop, news = asyncio.get_running_loop(), asyncio.Event()
        link = _Link(socket, viewer, news)
        leave = self._session.board.watch(lambda: _wake(loop, news))
        self._waiting.add(news)
        self.changed()
        reader = asyncio.create_task(link.read())
        writer = asyncio.create_task(self._write(link))
        try:
            await asyncio.wait({reader, writer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leave()
            for task in (reader, writer):
                task.cancel()
                with suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await task
            self._waiting.discard(news)
            self._desk.leave(viewer)
            self.changed()

    async def _write(self, link: _Link) -> None:
        """Send what is new."""
        await link.socket.send_text(
            json.dumps({"key": link.viewer.key, "about": dict(self._session.about)})
        )
        while True:
            link.news.clear()
            await self._send_state(link)
            await self._send_frame(link)
            with suppress(TimeoutError):  # look now and then who is gone for good
                async with asyncio.timeout(EVERY_S):
                    await link.news.wait()

    async def _send_state(self, link: _Link) -> None:
        version, state = self._session.board.state()
        desk = {**self._desk.state(), "you": link.viewer.name}
        if (version, self._desk.version) == link.told:
            return
        lines = self._session.board.lines(link.line)
        link.told = version, self._desk.version
        link.line = lines[-1]["number"] if lines else link.line
        await link.socket.send_text(json.dumps({"state": state, "desk": desk, "log": lines}))

    async def _send_frame(self, link: _Link) -> None:
        frame = self._session.board.frame
        if frame is None or frame.number == link.sent or link.flying >= IN_FLIGHT:
            return
        link.sent = frame.number
        link.flying += 1
        # One packs, the others take what it made.
        async with self._packing:
            loop = asyncio.get_running_loop()
            message = await loop.run_in_executor(self._packer, packed, frame)
        await link.socket.send_bytes(message)


class _Link:
    """One viewer's connection. told: versions of the state it has; line, sent: of log and frame."""

    def __init__(self, socket: WebSocket, viewer: Viewer, news: asyncio.Event) -> None:
        self.socket, self.viewer, self.news = socket, viewer, news
        self.told: tuple[int, int] | None = None
        self.line = self.sent = self.flying = 0

    async def read(self) -> None:
        """Take note of frames that arrived; anything else is answered with nothing."""
        try:
            while True:
                said: Any = json.loads(await self.socket.receive_text())
                if isinstance(said, dict) and "got" in said:
                    self.flying = max(0, self.flying - 1)
                    self.news.set()
        except (WebSocketDisconnect, ValueError, KeyError):
            return


def _wake(loop: asyncio.AbstractEventLoop, news: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the server has ended
        loop.call_soon_threadsafe(news.set)
