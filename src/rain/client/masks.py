"""Regions from a mask server: camera images in, stamped regions out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zmq
from numpy.typing import NDArray

from rain.client.connection import Client, Connection, ServerError
from rain.messages import MessageError, look_in
from rain.types import Look, RainError, Subtask


@dataclass(frozen=True)
class MaskGreeting:
    """What a mask server says of itself. reasons: whether it points at targets and decomposes
    instructions by itself; without, somebody clicks."""

    segmenter: str
    reasons: bool
    version: str


class MaskClient(Client):
    """Asks a mask server.

    ``look`` waits. A control loop asks at every tick and takes what has come; of several frames
    that wait at the server only the newest is looked at, the others fail as ``overtaken``. Or it
    uses ``rain.client.StreamedRegions``, which gives the newest look alone:

        client.begin("potato_1", "the potato", wait=False)
        number = client.ask(images, stamp)
        for number, look in client.poll():
            ...

    Stamps are seconds on the cameras' clock; they rise, and a frame's stamp is its name when
    somebody points at something in it. After a server was away the client greets it again and
    begins the present subtask anew.
    """

    greeting: MaskGreeting

    def __init__(
        self,
        address: str,
        *,
        session: str = "",
        token: str | None = None,
        timeout: float = 5.0,
        curve: Path | None = None,
        loop: Mapping[str, float | None] | None = None,
        context: zmq.Context | None = None,
    ) -> None:
        """Connect and greet; ServerError where nobody answers within ``timeout`` s.

        session: clients that name the same one share its frames and target, e.g. a robot and the
        page on which its operator clicks; without a name nobody shares. loop: other values for
        ``rain.perception.loop.LoopOptions``, of whoever opens the session.
        """
        self._address = address
        self._hello: dict[str, Any] = {"session": session, "loop": dict(loop or {})}
        if token is not None:
            self._hello["token"] = token
        self._connection = Connection(
            address, self._hello, self._greeted, timeout=timeout, curve=curve, context=context
        )

    def decompose(
        self, instruction: str, images: Mapping[str, NDArray[np.uint8]]
    ) -> list[tuple[Subtask, str]]:
        """An instruction's subtasks, each with the phrase by which its target is found."""
        content = {"instruction": instruction, "images": dict(images)}
        return self._connection.ask("decompose", content, _subtasks_in)

    def begin(
        self, target: str, phrase: str = "", *, ground: bool = True, wait: bool = True
    ) -> int:
        """A subtask begins: its target is grounded once, in the next frame. The request's number.

        phrase: what it looks like; without one its name in words. ground: False where somebody
        will point at it. wait: until the server has taken it, or ServerError.
        """
        content = {"target": target, "phrase": phrase, "ground": ground}
        self._hello["begin"] = content
        return self._tell("begin", content, wait)

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> Look:
        """What is known of the target in this frame."""
        return self._connection.ask("look", _frame_out(images, stamp), look_in)

    def latest(self) -> Look | None:
        """What whoever sends this session's frames was last told of the present target."""
        return self._connection.ask("latest", None, lambda said: said and look_in(said))

    def ask(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> int:
        """Send a frame without waiting; the number by which ``poll`` gives the look at it."""
        return self._connection.send("look", _frame_out(images, stamp), look_in)

    def poll(self) -> list[tuple[int, Look]]:
        """Looks that have come since the last call, perhaps none; each number comes once.

        ServerError, once for each, for requests that were refused or lost, when there is nothing
        else to give; its ``number`` says which.
        """
        return [(number, said) for number, said in self._connection.poll() if said is not None]

    def click(
        self,
        view: str,
        stamp: float,
        on: Sequence[tuple[float, float]],
        off: Sequence[tuple[float, float]] = (),
    ) -> NDArray[np.bool_]:
        """Point at the target in the frame of ``stamp``; its region there, bool (H, W).

        on, off: pixels (x, y) that lie on the target, and that do not.
        """
        return self._point("click", view, stamp, _points(on, off))

    def box(
        self, view: str, stamp: float, corners: tuple[float, float, float, float]
    ) -> NDArray[np.bool_]:
        """As ``click``, by a box around the target: left, top, right, bottom in pixels."""
        return self._point("box", view, stamp, {"corners": list(map(float, corners))})

    def mask(self, view: str, stamp: float, region: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """As ``click``, by the target's region in that frame, bool (H, W)."""
        return self._point("mask", view, stamp, {"region": region})

    def point_at_next(self, view: str, prompt: Any) -> int:
        """Point at the target in the next frame, without waiting; the request's number.

        prompt: ``Points``, ``Box`` or ``Mask`` of ``rain.perception.prompts``.
        """
        given: dict[str, Any]
        if hasattr(prompt, "corners"):
            kind, given = "box", {"corners": list(prompt.corners)}
        elif hasattr(prompt, "region"):
            kind, given = "mask", {"region": prompt.region}
        else:
            kind, given = "click", _points(prompt.on, prompt.off)
        return self._tell(kind, {"view": view, "stamp": None, **given}, wait=False)

    def clear(self, *, wait: bool = True) -> int:
        """Forget where the target is; there is no region until somebody points at it again."""
        if "begin" in self._hello:
            self._hello["begin"] = self._hello["begin"] | {"ground": False}
        return self._tell("clear", None, wait)

    def ground_again(self, *, wait: bool = True) -> int:
        """Ground the present target once more, e.g. after a pause."""
        return self._tell("ground_again", None, wait)

    def _tell(self, kind: str, content: Any, wait: bool) -> int:
        if wait:
            self._connection.ask(kind, content, _nothing)
            return 0
        return self._connection.send(kind, content, _nothing)

    def _point(self, kind: str, view: str, stamp: float, content: dict) -> NDArray[np.bool_]:
        content |= {"view": view, "stamp": float(stamp)}
        return self._connection.ask(kind, content, _region_in)

    def _greeted(self, said: Any) -> None:
        try:
            if said["server"] != "rain masks":
                raise KeyError("it serves something else")
            self.greeting = MaskGreeting(
                str(said["segmenter"]), bool(said["reasons"]), str(said["version"])
            )
        except (KeyError, TypeError) as error:
            raise ServerError(
                f"{self._address}: no mask server of RAIN's ({error})", "bad_answer"
            ) from error


def _frame_out(images: Mapping[str, NDArray[np.uint8]], stamp: float) -> dict[str, Any]:
    return {"images": dict(images), "stamp": float(stamp)}


def _points(
    on: Sequence[tuple[float, float]], off: Sequence[tuple[float, float]]
) -> dict[str, Any]:
    return {"on": [list(map(float, p)) for p in on], "off": [list(map(float, p)) for p in off]}


def _nothing(content: Any) -> None:
    """Such a request was done; it has no answer to give."""


def _region_in(content: Any) -> NDArray[np.bool_]:
    if not isinstance(content, np.ndarray) or content.dtype != np.bool_ or content.ndim != 2:
        raise MessageError("expected a region, bool (H, W)")
    return content


def _subtasks_in(content: Any) -> list[tuple[Subtask, str]]:
    try:
        return [(Subtask(s["action_type"], s["target"]), str(s["phrase"])) for s in content]
    except (KeyError, TypeError) as error:
        raise RainError(f"expected subtasks ({error})") from error
