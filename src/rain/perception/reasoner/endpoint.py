"""Vision-language models behind an OpenAI-compatible endpoint: vLLM, hosted ones."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rain.perception.reasoner.chat import Message
from rain.perception.reasoner.protocols import ReasonError
from rain.types import RainError

_AGAIN = (408, 429, 500, 502, 503, 504)
"""HTTP statuses after which asking again may help."""


@dataclass(frozen=True)
class EndpointOptions:
    """How an endpoint is asked."""

    url: str = "http://localhost:8000/v1"
    """The address up to /v1."""
    model: str = "nvidia/Cosmos-Reason2-2B"
    """The model's name there."""
    timeout_s: float = 30.0
    """Seconds an answer may take in all, retries and waiting included."""
    attempts: int = 3
    """How often a request is made that is refused, rate-limited or fails on the server."""
    max_tokens: int = 2048
    """Of an answer, thoughts included."""
    key_variable: str = "RAIN_VLM_KEY"
    """Environment variable with the key, where the endpoint wants one."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise RainError(f"VLM endpoint {self.url!r}: expected http://HOST:PORT/v1")
        if self.timeout_s <= 0 or self.attempts < 1:
            raise RainError("VLM endpoint: timeout_s must be above 0 and attempts at least 1")


class Endpoint:
    """A ChatModel over HTTP. It waits no longer than ``timeout_s`` and then says so."""

    def __init__(
        self,
        options: EndpointOptions,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._options, self._clock, self._sleep = options, clock, sleep

    @property
    def name(self) -> str:
        """The model and where it is."""
        return f"{self._options.model} at {self._options.url}"

    def ask(self, messages: Sequence[Message]) -> str:
        """The answer's text; ReasonError."""
        o = self._options
        body = {
            "model": o.model,
            "messages": [_message(m) for m in messages],
            "temperature": 0,
            "max_tokens": o.max_tokens,
        }
        return self._text(self._post(json.dumps(body).encode()))

    def _post(self, body: bytes) -> bytes:
        """The answer's body, asked for as often as it may be."""
        o, deadline = self._options, self._clock() + self._options.timeout_s
        reason = ""
        for attempt in range(o.attempts):
            try:
                return self._once(body, deadline)
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}: {_reason(error)}"
                if error.code not in _AGAIN:
                    raise self._failed(reason) from None
                wait = _retry_after(error) or 0.5 * 2**attempt
            except TimeoutError:
                raise self._failed(f"no answer within {o.timeout_s:g} s") from None
            except (OSError, http.client.HTTPException) as error:
                cause = getattr(error, "reason", error)
                if isinstance(cause, TimeoutError):
                    raise self._failed(f"no answer within {o.timeout_s:g} s") from None
                reason = f"it cannot be reached: {cause}"
                wait = 0.5 * 2**attempt
            if attempt + 1 < o.attempts:
                if self._clock() + wait >= deadline:
                    raise self._failed(
                        f"{reason}; asking again in {wait:g} s is beyond {o.timeout_s:g} s"
                    )
                self._sleep(wait)
        raise self._failed(f"{reason} ({o.attempts} attempts)")

    def _once(self, body: bytes, deadline: float) -> bytes:
        headers = {"Content-Type": "application/json"}
        if key := os.environ.get(self._options.key_variable):
            headers["Authorization"] = f"Bearer {key}"
        address = self._options.url.rstrip("/") + "/chat/completions"
        request = urllib.request.Request(address, body, headers)
        left = deadline - self._clock()
        if left <= 0:
            raise TimeoutError
        with urllib.request.urlopen(request, timeout=left) as response:
            # The socket's own limit is for each read: a server that drips must not get round ours.
            parts = []
            while part := response.read1(65536):
                parts.append(part)
                if self._clock() > deadline:
                    raise TimeoutError
            return b"".join(parts)

    def _text(self, body: bytes) -> str:
        try:
            content: Any = json.loads(body)["choices"][0]["message"]["content"]
        except (ValueError, LookupError, TypeError):
            said = body[:100].decode(errors="replace")
            raise self._failed(f"that is no chat completion: {said}") from None
        if isinstance(content, list):  # in parts, as some servers send it
            content = "".join(p.get("text", "") for p in content if isinstance(p, dict))
        if not isinstance(content, str) or not content.strip():
            raise self._failed("the answer is empty; it may have run out of tokens")
        return content

    def _failed(self, reason: str) -> ReasonError:
        return ReasonError(f"VLM endpoint {self._options.url}: {' '.join(reason.split())}")


def _message(message: Message) -> dict[str, Any]:
    images = [
        {"type": "image_url", "image_url": {"url": _data_url(image)}} for image in message.images
    ]
    return {"role": message.role, "content": [*images, {"type": "text", "text": message.text}]}


def _data_url(image: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "png")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _reason(error: urllib.error.HTTPError) -> str:
    """What an error's body says, shortly."""
    try:
        body = error.read(2000).decode(errors="replace")
        said = json.loads(body)
        inner = said.get("error", said) if isinstance(said, dict) else said
        return str(inner.get("message", inner) if isinstance(inner, dict) else inner)[:200]
    except (OSError, ValueError):
        return str(error.reason)


def _retry_after(error: urllib.error.HTTPError) -> float | None:
    try:
        return max(0.0, float(error.headers.get("Retry-After", "")))
    except ValueError:
        return None
