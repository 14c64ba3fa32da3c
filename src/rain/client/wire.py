"""RAIN's wire protocol: what a message is, on both sides of a ZeroMQ socket.

A message is a header in msgpack, ``[version, kind, number, content]``, and one frame for each array
in its content (``rain.messages``). A client numbers its requests; an answer bears the number of its
request, so that late and doubled ones are told apart. Every server knows ``hello``, ``bye``,
``health`` and ``metrics``, and what it serves beside them (docs/serving.md); answers bear their
request's kind, or ``error`` with a code and one line for a person.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rain.messages import MessageError, from_frames, to_frames
from rain.types import RainError

VERSION = 1
MOST_FRAMES = 32
"""An observation of eight views has 18."""

CODES = {
    "bad_request": "it is no message, or not what its kind asks for",
    "version": "another version of the protocol",
    "not_greeted": "a request before hello",
    "denied": "the token is missing or wrong",
    "too_many_clients": "the server has as many clients as it takes",
    "too_fast": "more requests a second than the server takes from a client",
    "policy_failed": "the policy failed on this observation",
    "overtaken": "a newer request of the same client was answered in its place",
    "failed": "the server failed on this request",
}
"""Code of an error -> what it means."""


class WireError(RainError):
    """A request that is answered with an error; ``code`` is one of ``CODES``."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Message:
    """A request or its answer."""

    kind: str
    number: int
    content: Any = None

    def frames(self) -> list[bytes | memoryview]:
        """The message as a socket sends it."""
        return to_frames([VERSION, self.kind, self.number, self.content])


def read(frames: Sequence[bytes | memoryview]) -> Message:
    """The message in these frames; WireError where they hold none, or one of another version."""
    if len(frames) > MOST_FRAMES:
        raise WireError(
            "bad_request", f"{len(frames)} frames; at most {MOST_FRAMES} make a message"
        )
    try:
        content = from_frames(frames)
    except MessageError as error:
        raise WireError("bad_request", str(error)) from error
    if not isinstance(content, list) or not content or type(content[0]) is not int:
        raise WireError("bad_request", "not a message of RAIN's protocol")
    if content[0] != VERSION:
        raise WireError("version", f"protocol version {content[0]}; this side speaks {VERSION}")
    if len(content) != 4 or not isinstance(content[1], str) or type(content[2]) is not int:
        raise WireError("bad_request", "not a message of RAIN's protocol")
    return Message(*content[1:])


def failure(number: int, error: WireError) -> Message:
    """The answer to a request that failed."""
    return Message("error", number, {"code": error.code, "message": str(error)})
