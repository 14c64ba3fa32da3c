"""The mask service: camera images in, stamped regions of the subtask's target out.

Every session has a ``RegionLoop`` with a segmenter of its own: its target is grounded once, where
the subtask begins, and followed from there.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np

from rain.client.wire import WireError
from rain.messages import look_out
from rain.perception.loop import LoopOptions, RegionLoop
from rain.perception.prompts import Box, Mask, Points, Prompt
from rain.perception.reasoner.protocols import (
    Grounder,
    PhrasedScript,
    Reasoner,
    ReasonError,
    phrase_from_name,
)
from rain.perception.segmenter import Frame, Segmenter
from rain.serving.server import Later, Request, fields_of
from rain.serving.workers import Workers
from rain.types import RainError, one_line

MOST_VIEWS = 8
"""Views that a session may have; what is remembered of each is bounded."""


@dataclass(frozen=True)
class MaskParts:
    """What the service is made of.

    segmenter: makes one for a session. grounder: None where only people point; reasoner: None where
    nothing decomposes instructions. name: of the segmenter. frames: latest ones that a session
    keeps, in which somebody can point. loop: when a region counts, unless a session says otherwise.
    """

    segmenter: Callable[[], Segmenter]
    grounder: Grounder | None = None
    reasoner: Reasoner | None = None
    name: str = ""
    frames: int = 30
    loop: LoopOptions = field(default_factory=LoopOptions)

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise RainError(f"frames: expected at least 1, got {self.frames}")


@dataclass(eq=False)
class _Session:
    """What clients of one name share. users: how many they are."""

    name: str
    loop: RegionLoop
    users: int = 1
    frames: OrderedDict[float, Frame] = field(default_factory=OrderedDict)
    views: set[str] = field(default_factory=set)
    latest: dict[str, Any] | None = None
    reasoning: Future[Any] | None = None


class MaskService:
    """Follows targets for sessions, grounds them, takes clicks, decomposes instructions."""

    kinds = frozenset(
        {"begin", "look", "click", "box", "mask", "clear", "ground_again", "decompose", "latest"}
    )

    def __init__(self, parts: MaskParts, workers: Workers | None = None) -> None:
        """workers: where models ground and decompose, so that frames go on meanwhile."""
        self._parts = parts
        self._workers = workers or Workers()
        self._shared: dict[str, _Session] = {}

    def about(self) -> dict[str, Any]:
        """What ``hello`` answers."""
        reasons = self._parts.grounder is not None
        return {"server": "rain masks", "segmenter": self._parts.name, "reasons": reasons}

    def open(self, hello: dict[str, Any]) -> _Session:
        """The session of that name, or a new one; it begins with ``begin``, if that is there."""
        name = hello.get("session", "")
        if not isinstance(name, str):
            raise WireError("bad_request", "session: expected a name")
        shared = self._shared.get(name)
        if shared is not None:
            shared.users += 1
            return shared
        options = _loop_options(self._parts.loop, hello.get("loop", {}))
        grounder = self._parts.grounder or _Nobody()
        loop = RegionLoop(self._parts.segmenter(), grounder, options, submit=self._workers.submit)
        session = _Session(name, loop)
        if "begin" in hello:
            _begin(session, fields_of(hello["begin"]))
        if name:
            self._shared[name] = session
        return session

    def close(self, session: _Session) -> None:
        """One of its clients is gone; with the last one the session ends."""
        session.users -= 1
        if session.users == 0:
            self._shared.pop(session.name, None)

    def answer(self, request: Request) -> Any:
        """Decompose elsewhere; all else waits for its turn among the session's requests."""
        if request.kind == "decompose":
            return self._decompose(request.session, fields_of(request.content))
        return Later(fields_of(request.content))

    def work(self, asked: Sequence[tuple[Request, Any]]) -> Iterator[tuple[Request, Any]]:
        """In the order in which they came; of several looks of a session only the last."""
        newest = {id(r.session): r for r, _ in asked if r.kind == "look"}
        for request, content in asked:
            session, answer = request.session, None
            if request.kind == "look" and newest[id(session)] is not request:
                yield request, WireError("overtaken", "a newer frame has come")
                continue
            try:
                answer = self._do(request.kind, session, content)
            except WireError as error:
                answer = error
            except RainError as error:
                answer = WireError("bad_request", str(error))
            except Exception as error:
                answer = WireError("failed", one_line(error))
            yield request, answer

    def _do(self, kind: str, session: _Session, content: dict[str, Any]) -> Any:
        if kind == "look":
            return self._look(session, content)
        if kind in ("click", "box", "mask"):
            return _point(session, kind, content)
        if kind == "latest":
            return session.latest
        if kind == "begin":
            _begin(session, content)
        elif kind == "clear":
            session.loop.clear()
        else:
            session.loop.ground_again()
        return None

    def _look(self, session: _Session, content: dict[str, Any]) -> dict[str, Any]:
        images, stamp = _images(content), _number("stamp", content.get("stamp"))
        if len(session.views | set(images)) > MOST_VIEWS:
            raise RainError(f"a session has at most {MOST_VIEWS} views")
        session.views |= set(images)
        frame = Frame(images, stamp)
        look = session.loop.look(images, stamp)
        session.frames.setdefault(stamp, frame)
        while len(session.frames) > self._parts.frames:
            session.frames.popitem(last=False)
        session.latest = look_out(look)
        return session.latest

    def _decompose(self, session: _Session, content: dict[str, Any]) -> Future[Any]:
        reasoner = self._parts.reasoner
        if reasoner is None:
            raise RainError("this server decomposes no instructions: give it --vlm or --registry")
        if session.reasoning is not None and not session.reasoning.done():
            raise WireError("too_fast", "an instruction is being decomposed; wait for it")
        images = _images(content)
        instruction = _text("instruction", content.get("instruction"))
        session.reasoning = self._workers.submit(
            lambda: _script_out(reasoner.decompose(instruction, images))
        )
        return session.reasoning


class _Nobody:
    """Grounds where there is no model: people point."""

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Prompt]:
        raise ReasonError("this server has no model that points at targets: click, or --vlm")


def _begin(session: _Session, content: dict[str, Any]) -> None:
    session.latest = None
    target = _text("target", content.get("target"))
    phrase = content.get("phrase") or phrase_from_name(target)
    session.loop.begin(target, _text("phrase", phrase), ground=content.get("ground") is not False)


def _point(session: _Session, kind: str, content: dict[str, Any]) -> Any:
    """The region (H, W) in the frame that is pointed at; nothing where that is the next one."""
    view = _text("view", content.get("view"))
    prompt: Prompt
    if kind == "box":
        (corners,) = _pixels("corners", [content.get("corners")], 4)
        prompt = Box(*corners)
    elif kind == "mask":
        region = content.get("region")
        if not isinstance(region, np.ndarray):
            raise RainError("region: expected bool (H, W)")
        prompt = Mask(region)
    else:
        on, off = (_pixels(name, content.get(name, []), 2) for name in ("on", "off"))
        prompt = Points(on, off)  # type: ignore[arg-type]
    if content.get("stamp") is None:
        return session.loop.click(view, prompt)
    stamp = _number("stamp", content["stamp"])
    frame = session.frames.get(stamp)
    if frame is None:
        kept = f"{min(session.frames):g} to {max(session.frames):g} s" if session.frames else "none"
        raise RainError(f"the frame of {stamp:g} s is not kept; there are those of {kept}")
    return session.loop.point(view, prompt, frame)


def _images(content: dict[str, Any]) -> dict[str, Any]:
    images = content.get("images")
    if not isinstance(images, dict) or not all(isinstance(view, str) for view in images):
        raise RainError("images: expected a mapping of views")
    for view, image in images.items():
        if not isinstance(image, np.ndarray):
            raise RainError(f"images: {view}: expected an image, uint8 (H, W, 3)")
    return images


def _number(name: str, value: Any) -> float:
    if type(value) not in (int, float) or not np.isfinite(value):
        raise RainError(f"{name}: expected a number, got {value!r}"[:200])
    return float(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value or len(value) > 1000:
        raise RainError(f"{name}: expected a text")
    return value


def _pixels(name: str, value: Any, size: int) -> tuple[tuple[float, ...], ...]:
    if not isinstance(value, list) or len(value) > 100:
        raise RainError(f"{name}: expected a list")
    rows = []
    for row in value:
        if not isinstance(row, list) or len(row) != size:
            raise RainError(f"{name}: expected {size} numbers each")
        rows.append(tuple(_number(name, number) for number in row))
    return tuple(rows)


def _loop_options(given: LoopOptions, changes: Any) -> LoopOptions:
    known = {option.name for option in fields(LoopOptions)}
    if not isinstance(changes, dict) or not set(changes) <= known:
        raise RainError(f"loop: expected some of {', '.join(sorted(known))}")
    values = {n: None if v is None else _number(n, v) for n, v in changes.items()}
    if any(v is None and n not in ("frozen_after_s", "late_every_s") for n, v in values.items()):
        raise RainError("loop: expected numbers; only frozen_after_s and late_every_s may be none")
    return replace(given, **values)  # type: ignore[arg-type]


def _script_out(found: PhrasedScript) -> list[dict[str, str]]:
    return [
        {"action_type": subtask.action_type, "target": subtask.target, "phrase": phrase}
        for subtask, phrase in zip(found.script.subtasks, found.phrases, strict=True)
    ]
