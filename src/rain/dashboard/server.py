"""The page's server: the files of the page, live frames, commands, and the emergency stop.

GET  /            the page; a form for the token where one is needed
POST /token       exchanges the token for a cookie
WS   /live        frames and state to a viewer, who says which frame it has got
POST /do/NAME     a command, answered when it is done
WS   /stop        any message is an emergency stop; also POST /stop
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response, WebSocket, WebSocketDisconnect
from fastapi.responses import FileResponse, JSONResponse
from fastapi.staticfiles import StaticFiles

from rain.dashboard.audit import Audit
from rain.dashboard.desk import Desk, Viewer
from rain.dashboard.guard import COOKIE, Guard
from rain.dashboard.live import Live
from rain.dashboard.session import COMMANDS, Session
from rain.types import RainError

PAGE = Path(__file__).parent / "static"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; "
    "frame-ancestors 'none'; base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
WRONG_TOKEN_S = 1.0
"""How long the answer to a wrong token takes."""
REFUSED = 4403
"""Code with which a WebSocket is closed that must not be opened; 4401: the token is missing."""
MOST_COMMANDS = 24
"""That are at work at a time; the session refuses before."""
MOST_BYTES = 16_384
"""Of a command."""


def make_app(session: Session, audit: Audit, token: str | None = None) -> FastAPI:
    """The server of one session; without a token for this machine's own pages alone."""
    app = FastAPI(title="RAIN dashboard", openapi_url=None)
    server = _Server(session, audit, Guard(token))
    app.middleware("http")(server.check)
    app.get("/")(server.page)
    app.post("/token")(server.exchange)
    app.post("/do/{command}")(server.do)
    app.post("/stop")(server.stop)
    app.websocket("/live")(server.live)
    app.websocket("/stop")(server.stop_line)
    app.mount("/static", StaticFiles(directory=PAGE), name="static")
    return app


class _Server:
    """What is behind each address."""

    def __init__(self, session: Session, audit: Audit, guard: Guard) -> None:
        self._session, self._audit, self._guard = session, audit, guard
        self._desk = Desk()
        # Of its own: commands that wait must not keep frames from being packed.
        self._workers = ThreadPoolExecutor(MOST_COMMANDS, thread_name_prefix="commands")
        self._live = Live(session, self._desk)

    async def check(
        self, request: Request, go_on: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        """Refuse what comes from elsewhere, and without the token all but the page itself."""
        why = self._guard.from_elsewhere(request.headers)
        open_to_all = request.url.path in ("/", "/token") or request.url.path.startswith("/static/")
        if why is not None:
            response: Response = _refusal(403, why)
        elif not open_to_all and not self._guard.admits(request.cookies):
            response = _refusal(401, "the token is missing")
        else:
            response = await go_on(request)
        response.headers.update(HEADERS)
        return response

    async def page(self, request: Request) -> Response:
        """The page, or the form for the token."""
        admitted = self._guard.admits(request.cookies)
        return FileResponse(PAGE / ("index.html" if admitted else "token.html"))

    async def exchange(self, request: Request) -> Response:
        """The token for a cookie that no script and no other site's page can use."""
        given = await _body(request)
        if not self._guard.asks or not self._guard.knows(given.get("token")):
            await asyncio.sleep(WRONG_TOKEN_S)
            return _refusal(401, "that is not the token")
        answer = JSONResponse({})
        answer.set_cookie(COOKIE, self._guard.cookie(), httponly=True, samesite="strict")
        return answer

    async def do(self, command: str, request: Request) -> Response:
        """A command of the operator's, or of a viewer who wants to be it."""
        viewer, arguments = None, {}
        error: str | None = None
        answer: dict[str, Any] = {}
        try:
            viewer = self._desk.of(request.headers.get("x-rain-viewer"))
            arguments = await _body(request)
            answer = await self._obey(viewer, command, arguments)
        except RainError as refused:
            error = str(refused)
        self._note(viewer, request, command, arguments, error)
        # Refused is an answer like another, which a browser must not take for a fault.
        return JSONResponse(answer if error is None else {"error": error})

    async def _obey(
        self, viewer: Viewer, command: str, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        if command == "take":
            self._desk.take(viewer)
        elif command == "give":
            self._desk.give(viewer, arguments.get("to"))
        elif command not in COMMANDS or command not in self._session.about["commands"]:
            raise RainError(f"command {command!r} is unknown here")
        elif self._session.about["locked"] and not self._desk.operates(viewer):
            raise RainError("take control first")
        else:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._workers, self._session.do, command, arguments)
        self._live.changed()
        return {}

    async def stop(self, request: Request) -> Response:
        """The emergency stop, for whom its own line is cut. Anybody may."""
        self._stop(request.headers.get("x-rain-viewer"), request)
        return JSONResponse({"stopped": True})

    async def stop_line(self, socket: WebSocket) -> None:
        """The emergency stop: a line of its own, that nothing else is ever sent on."""
        if not await self._admitted(socket):
            return
        try:
            while True:
                key = await socket.receive_text()
                self._stop(key, socket)
                await socket.send_text("stopped")
        except WebSocketDisconnect:
            return

    def _stop(self, key: str | None, source: Request | WebSocket) -> None:
        # First of all: whatever else goes wrong, the arm stands still.
        self._session.stop("an operator's emergency stop")
        try:
            viewer = self._desk.of(key)
        except RainError:
            viewer = None
        self._note(viewer, source, "stop", {}, None)

    async def live(self, socket: WebSocket) -> None:
        """Frames and state, as fast as the viewer takes them."""
        if not await self._admitted(socket):
            return
        await self._live.serve(socket)

    async def _admitted(self, socket: WebSocket) -> bool:
        """Open a WebSocket, or close it again with a code that the page understands."""
        await socket.accept()
        if self._guard.from_elsewhere(socket.headers) is not None:
            await socket.close(REFUSED)
            return False
        if not self._guard.admits(socket.cookies):
            await socket.close(4401)
            return False
        return True

    def _note(
        self,
        viewer: Viewer | None,
        source: Request | WebSocket,
        command: str,
        arguments: dict[str, Any],
        error: str | None,
    ) -> None:
        address = source.client.host if source.client else ""
        name = "unknown" if viewer is None else viewer.name
        self._audit.note(name, address, command, arguments, error)
        if command not in ("seek", "instructions"):
            told = f"{name}: {_worded(command, arguments)}"
            told += f" (refused: {error})" if error else ""
            self._session.board.log(told, "warning" if error else "operator")


def _worded(command: str, arguments: dict[str, Any]) -> str:
    """A command for the log."""
    said = {k: f"{v:.0f}" if isinstance(v, float) else str(v) for k, v in arguments.items()}
    view, frame = said.pop("view", None), said.pop("frame", None)
    where = f" in {view}, frame {frame}," if view is not None else ""
    return f"{command}{where} {' '.join(said.values())}".strip()[:300]


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; RainError where there is none."""
    raw = await request.body()
    if len(raw) > MOST_BYTES:
        raise RainError("that command is too long")
    try:
        found = await request.json() if raw else {}
    except ValueError:
        raise RainError("a command's arguments are a JSON object") from None
    if not isinstance(found, dict):
        raise RainError("a command's arguments are a JSON object")
    return found


def _refusal(code: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, code)
