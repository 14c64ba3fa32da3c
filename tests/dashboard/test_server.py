"""The page's server without a browser: who may talk to it, live frames, commands, the stop."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fastapi", reason="the extra 'dashboard' is not installed")
pytest.importorskip("httpx", reason="the extra 'dev' is not installed")
from dashboard_fakes import Desktop, wait_for
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from rain.dashboard import server as server_module
from rain.dashboard.audit import Audit
from rain.dashboard.guard import is_local
from rain.dashboard.running import serving
from rain.dashboard.server import MOST_COMMANDS, make_app
from rain.dashboard.wire import unpacked
from rain.types import RainError

HERE = "http://localhost"


@pytest.fixture
def audit(tmp_path) -> Path:
    return tmp_path / "deep" / "audit.jsonl"


@pytest.fixture
def session() -> Desktop:
    return Desktop()


@pytest.fixture
def client(session, audit) -> Iterator[TestClient]:
    with TestClient(make_app(session, Audit(audit)), base_url=HERE) as client:
        yield client
        session.close()


def line(client: TestClient, path: str, headers: dict[str, str] | None = None) -> Any:
    """A WebSocket under the client's own name, which the test client forgets."""
    url = str(client.base_url).replace("http", "ws").rstrip("/")
    return client.websocket_connect(url + path, headers=headers or {})


def lines(audit: Path) -> list[dict[str, Any]]:
    return [json.loads(text) for text in audit.read_text().splitlines()]


class Page:
    """What a page does on its live line."""

    def __init__(self, socket: Any, key: str = "") -> None:
        self.socket = socket
        socket.send_text(key)
        self.greeting = json.loads(socket.receive_text())
        self.headers = {"x-rain-viewer": self.greeting["key"]}
        self.state = self.next_state()

    def next_state(self) -> dict[str, Any]:
        return json.loads(self.socket.receive_text())

    def state_where(self, holds) -> dict[str, Any]:
        while not holds(self.state):
            self.state = self.next_state()
        return self.state


def test_the_page_and_its_files_ask_for_nothing_from_elsewhere(client):
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for name in (
        "page.css",
        "page.js",
        "net.js",
        "views.js",
        "panels.js",
        "token.html",
        "icon.svg",
    ):
        found = client.get(f"/static/{name}")
        assert found.status_code == 200
        addresses = re.findall(r"(?:https?:)?//[\w.]+\.\w+", found.text)
        assert [a for a in addresses if "www.w3.org" not in a] == []
    assert client.get("/openapi.json").status_code == 404


def test_a_viewer_gets_state_and_frames(client, session):
    session.show(5)
    with line(client, "/live") as socket:
        page = Page(socket)
        assert page.greeting["about"]["title"] == "nothing"
        assert page.state["state"] == {"mode": "running"}
        assert page.state["desk"]["you"] == "viewer 1"
        header, pictures = unpacked(socket.receive_bytes())
        assert header["facts"] == {"step": 5}
        assert pictures[0].startswith(b"\xff\xd8")


def test_the_latest_frame_wins_for_a_viewer_who_is_slow(client, session):
    with line(client, "/live") as socket:
        page = Page(socket)
        first = session.show(1)
        assert unpacked(socket.receive_bytes())[0]["number"] == first
        second = session.show(2)
        assert unpacked(socket.receive_bytes())[0]["number"] == second
        for value in range(3, 30):  # two are on their way already: none of these is sent
            last = session.show(value)
        session.board.tell(mode="still here")
        page.state_where(lambda told: told["state"]["mode"] == "still here")
        socket.send_text(json.dumps({"got": first}))
        assert unpacked(socket.receive_bytes())[0]["number"] == last


def test_commands_need_control_and_are_answered(client, session, audit):
    with line(client, "/live") as socket:
        page = Page(socket)
        do = lambda name, **args: client.post(f"/do/{name}", json=args, headers=page.headers).json()  # noqa: E731
        assert do("pause") == {"error": "take control first"}
        assert session.asked == []
        assert do("take") == {}
        page.state_where(lambda told: told["desk"]["operator"] == "viewer 1")
        assert do("point", frame=3, view="top", x=1.5, y=2) == {"done": "point"}
        assert session.asked == [("point", {"frame": 3, "view": "top", "x": 1.5, "y": 2})]
        assert do("resume") == {"error": "it does not want to"}
        assert "unknown" in do("shutdown")["error"]
        assert "unknown" in do("clear")["error"]  # a command, but not of this session
        assert client.post("/do/pause", headers=page.headers, content=b"[1]").json()["error"]
        assert client.post("/do/pause", headers=page.headers, content=b"{").json()["error"]
        long = b'{"text": "' + b"a" * 20_000 + b'"}'
        assert (
            "long" in client.post("/do/pause", headers=page.headers, content=long).json()["error"]
        )
        told = page.state_where(lambda told: told["log"] and "refused" in told["log"][-1]["text"])
        assert told["log"][-1]["kind"] == "warning"
    noted = lines(audit)
    assert [(one["viewer"], one["command"]) for one in noted[:4]] == [
        ("viewer 1", "pause"), ("viewer 1", "take"), ("viewer 1", "point"), ("viewer 1", "resume"),
    ]  # fmt: skip
    assert noted[0]["error"] == "take control first"
    assert noted[2]["arguments"]["frame"] == 3
    assert noted[2]["error"] is None


def test_who_has_no_line_has_no_say(client, session):
    for headers in ({}, {"x-rain-viewer": "guessed"}):
        assert "not connected" in client.post("/do/take", json={}, headers=headers).json()["error"]
    assert session.asked == []


def test_control_is_handed_over(client):
    with line(client, "/live") as one, line(client, "/live") as two:
        first, second = Page(one), Page(two)
        client.post("/do/take", headers=first.headers)
        client.post("/do/take", headers=second.headers)
        first.state_where(lambda told: told["desk"]["asks"] == "viewer 2")
        client.post("/do/give", json={"to": "viewer 2"}, headers=first.headers)
        second.state_where(lambda told: told["desk"]["operator"] == "viewer 2")
        assert "error" in client.post("/do/pause", headers=first.headers).json()
        assert client.post("/do/pause", headers=second.headers).json() == {"done": "pause"}


def test_anybody_may_stop(client, session, audit):
    with line(client, "/live") as one:
        page = Page(one)
        with line(client, "/stop") as stop:
            stop.send_text(page.greeting["key"])
            assert stop.receive_text() == "stopped"
        assert len(session.stops) == 1
        assert client.post("/stop", headers=page.headers).json() == {"stopped": True}
        assert client.post("/stop").json() == {"stopped": True}  # even a page that nobody knows
    stops = [one["viewer"] for one in lines(audit) if one["command"] == "stop"]
    assert stops == ["viewer 1", "viewer 1", "unknown"]


def test_a_stop_and_frames_pass_commands_that_wait(session, audit):
    connect = pytest.importorskip("websockets.sync.client").connect
    with serving(session, audit) as address, ThreadPoolExecutor(40) as others:
        far = address.replace("http", "ws")

        def do(name: str) -> dict[str, Any]:
            asked = urllib.request.Request(
                f"{address}/do/{name}",
                b"{}",
                {"x-rain-viewer": key, "content-type": "application/json"},
            )
            return json.load(urllib.request.urlopen(asked, timeout=30))

        with connect(f"{far}/live") as live, connect(f"{far}/stop") as stop:
            live.send("")
            key = json.loads(live.recv(5))["key"]
            assert do("take") == {}
            waiting = [others.submit(do, "hold") for _ in range(40)]
            wait_for(lambda: len(session.asked) == MOST_COMMANDS)
            stop.send(key)
            assert stop.recv(5) == "stopped"
            number = session.show(9)
            while isinstance(message := live.recv(5), str):
                pass
            assert unpacked(message)[0]["number"] == number
            session.go_on.set()
            assert [one.result(20) for one in waiting] == [{"done": "hold"}] * 40
    assert session.stops == ["an operator's emergency stop"]
    with pytest.raises(RainError, match="cannot listen"), serving(session, audit, host="8.8.8.8"):
        pass


def test_other_pages_and_other_names_are_refused(client, session):
    evil = {"origin": "http://evil.example"}
    assert client.post("/stop", headers=evil).status_code == 403
    assert client.get("/", headers={"host": "evil.example"}).status_code == 403
    for path in ("/live", "/stop"):
        with line(client, path, headers=evil) as socket:
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
            assert closed.value.code == 4403
    assert session.stops == []
    assert client.post("/stop", headers={"origin": HERE}).status_code == 200


def test_a_token_is_asked_for_and_exchanged(session, audit, monkeypatch):
    monkeypatch.setattr(server_module, "WRONG_TOKEN_S", 0.0)
    app = make_app(session, Audit(audit), token="sesame")
    with TestClient(app, base_url="http://robot.lan:8765") as client:
        assert 'type="password"' in client.get("/").text
        assert client.post("/stop").status_code == 401
        assert client.post("/do/take").status_code == 401
        with line(client, "/live") as socket:
            with pytest.raises(WebSocketDisconnect) as closed:
                socket.receive_text()
            assert closed.value.code == 4401
        for wrong in ("", "sesam", None, 7):
            assert client.post("/token", json={"token": wrong}).status_code == 401
        assert session.stops == []
        answer = client.post("/token", json={"token": "sesame"})
        assert answer.status_code == 200
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "sesame" not in cookie
        assert 'id="views"' in client.get("/").text
        with line(client, "/live") as socket:
            assert Page(socket).greeting["key"]
        evil = {"origin": "http://evil.example"}
        assert client.post("/stop", headers=evil).status_code == 403
    # The cookie is good for another run of the server, as long as the token is the same.
    for token, sign in (("sesame", 'id="views"'), ("other", 'type="password"')):
        again = make_app(session, Audit(audit), token=token)
        with TestClient(again, base_url="http://robot.lan:8765", cookies=dict(client.cookies)) as c:
            assert sign in c.get("/").text


def test_without_a_token_there_is_nothing_to_exchange(client, monkeypatch):
    monkeypatch.setattr(server_module, "WRONG_TOKEN_S", 0.0)
    assert client.post("/token", json={"token": ""}).status_code == 401


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("0.0.0.0", False), ("", False),
     ("192.168.1.4", False), ("robot.lan", False)],
)  # fmt: skip
def test_what_is_local(host, local):
    assert is_local(host) is local
