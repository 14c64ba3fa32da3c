"""An OpenAI-compatible endpoint over real HTTP: what is sent, and every way it can fail."""

from __future__ import annotations

import base64
import io
import json
import time

import numpy as np
import pytest
from perception_server import StubServer, completion
from PIL import Image

from rain.perception.reasoner.chat import Message
from rain.perception.reasoner.endpoint import Endpoint, EndpointOptions
from rain.perception.reasoner.protocols import ReasonError
from rain.types import RainError

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
ASKED = [Message("user", "where?", (IMAGE,))]


def endpoint(server: StubServer, **changes) -> tuple[Endpoint, list[float]]:
    slept: list[float] = []
    options = EndpointOptions(**({"url": server.url, "model": "cosmos", "timeout_s": 5} | changes))
    return Endpoint(options, sleep=slept.append), slept


def test_what_is_sent_is_a_chat_with_images(monkeypatch):
    monkeypatch.setenv("RAIN_VLM_KEY", "secret")
    with StubServer(lambda body: completion("here")) as server:
        assert endpoint(server)[0].ask(ASKED) == "here"
    (path, headers, body) = server.requests[0]
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("cosmos", 0)
    image, text = body["messages"][0]["content"]
    assert text == {"type": "text", "text": "where?"}
    kind, _, data = image["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))), IMAGE)


def test_rate_limits_and_server_errors_are_tried_again():
    answers = [(429, {"Retry-After": "0.2"}, b"{}"), (503, {}, b""), completion("at last")]
    with StubServer(lambda body: answers.pop(0)) as server:
        asked, slept = endpoint(server)
        assert asked.ask(ASKED) == "at last"
    assert slept == [0.2, 1.0]


@pytest.mark.parametrize(
    ("answer", "message", "requests"),
    [
        (
            (429, {}, b'{"error": {"message": "slow down"}}'),
            r"HTTP 429: slow down \(3 attempts\)",
            3,
        ),
        ((500, {}, b"oops"), r"HTTP 500: .* \(3 attempts\)", 3),
        ((404, {}, b'{"message": "no model cosmos"}'), "HTTP 404: no model cosmos", 1),
        ((200, {}, b"<html>"), "that is no chat completion: <html>", 1),
        ((200, {}, b'{"choices": []}'), "that is no chat completion", 1),
        (completion(""), "the answer is empty", 1),
        ((429, {"Retry-After": "60"}, b"{}"), "HTTP 429: .*asking again in 60 s is beyond 5 s", 1),
    ],
)
def test_failures_are_one_clear_line(answer, message, requests):
    with (
        StubServer(lambda body: answer) as server,
        pytest.raises(ReasonError, match=f"VLM endpoint http://.*: {message}") as caught,
    ):
        endpoint(server)[0].ask(ASKED)
    assert "\n" not in str(caught.value)
    assert len(server.requests) == requests


def test_an_endpoint_that_is_down_says_so():
    with StubServer(lambda body: completion("x")) as server:
        pass
    asked, slept = endpoint(server)
    with pytest.raises(ReasonError, match=r"it cannot be reached: .*refused.* \(3 attempts\)"):
        asked.ask(ASKED)
    assert slept == [0.5, 1.0]


def test_a_slow_endpoint_is_left(monkeypatch):
    def slow(body):
        time.sleep(0.6)
        return completion("late")

    with StubServer(slow) as server, pytest.raises(ReasonError, match=r"no answer within 0.2 s"):
        endpoint(server, timeout_s=0.2)[0].ask(ASKED)
    assert len(server.requests) == 1


def test_an_endpoint_that_drips_is_left():
    answer = json.dumps({"choices": [{"message": {"content": "x" * 40}}]}).encode()
    with (
        StubServer(lambda body: (200, {}, answer), drip_s=0.05) as server,
        pytest.raises(ReasonError, match=r"no answer within 0.3 s"),
    ):
        endpoint(server, timeout_s=0.3)[0].ask(ASKED)


def test_options_are_checked():
    with pytest.raises(RainError, match="expected http://HOST:PORT/v1"):
        EndpointOptions(url="localhost:8000")
