"""Pointing from the page: prompts in the frame that was seen, a region to confirm, a new target."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from rain.bench.operator import Between
from rain.dashboard.board import Board
from rain.dashboard.commands import Answer, number, text, whole
from rain.dashboard.frames import ShownFrame
from rain.dashboard.wire import runs
from rain.perception.pointing import Pointed, Pointing, SeenFrame, pointing_in
from rain.perception.prompts import Box, Points, Prompt
from rain.types import RainError

KEPT = 90
"""Frames that can still be clicked on."""


class PointingDesk:
    """Keeps the frames that were shown, and what is pointed at but not confirmed yet."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._frames: OrderedDict[int, SeenFrame] = OrderedDict()
        self._pointing: Pointing | None = None
        self._prompts: dict[str, Prompt] = {}
        self._pending: Pointed | None = None
        self._of = 0

    def begin(self, world: Any) -> None:
        """An episode begins in ``world``."""
        self.forget()
        self._pointing = pointing_in(world)

    def forget(self) -> None:
        """An episode is over."""
        self.withdraw()
        self._frames.clear()
        self._pointing = None

    def show(self, now: Between, frame: ShownFrame) -> None:
        """A frame was shown."""
        images = {name: view.image for name, view in frame.views.items()}
        poses = now.world.poses() if hasattr(now.world, "poses") else None
        self._frames[frame.number] = SeenFrame(images, now.step, poses)
        while len(self._frames) > KEPT:
            self._frames.popitem(last=False)

    def obey(self, now: Between, command: str, arguments: Mapping[str, Any]) -> Answer:
        """Point, confirm, cancel or clear; RainError."""
        if command in ("point", "box"):
            return self._point(now, command, arguments)
        if command == "confirm":
            return self._confirm(now)
        if command == "clear":
            now.driver.retarget(now.step, None)
        elif command != "cancel":
            raise RainError(f"command {command!r} is unknown here")
        self.withdraw()
        return {}

    def withdraw(self) -> None:
        """What is pointed at was not meant."""
        if self._pending is not None and self._pointing is not None:
            self._pointing.withdraw(self._pending)
        self._pending, self._prompts = None, {}
        self._board.tell(pending=None)

    def _point(self, now: Between, command: str, arguments: Mapping[str, Any]) -> Answer:
        if now.driver.finished:
            raise RainError("the task is done: choose a subtask first")
        frame, view, seen = frame_of(arguments, self._frames)
        # Another view of the same frame adds to what is pointed at; anything else begins anew.
        before = self._prompts if self._of == frame else {}
        prompts = {v: p for v, p in before.items() if v != view}
        prompts[view] = prompt_of(command, arguments)
        assert self._pointing is not None
        pointed = self._pointing.point(seen, prompts, now.driver.subtask)
        self.withdraw()
        self._pending, self._prompts, self._of = pointed, prompts, frame
        self._board.tell(pending=shown_pending(pointed.target, frame, pointed.regions))
        return {"target": pointed.target, "frame": frame}

    def _confirm(self, now: Between) -> Answer:
        if self._pending is None or self._pointing is None:
            raise RainError("nothing is pointed at: click a target first")
        pointed, self._pending = self._pending, None
        subtask = replace(now.driver.subtask, target=pointed.target)
        now.driver.retarget(now.step, pointed.target)
        self._pointing.accept(pointed, subtask)
        if pointed.tracked:
            now.world.observe(subtask)  # so that what is shown next is what the policy will get
        self.withdraw()
        return {"target": pointed.target}


class _Seen(Protocol):
    """A frame that was shown."""

    @property
    def images(self) -> Mapping[str, NDArray[np.uint8]]: ...


Frames = TypeVar("Frames", bound=_Seen)


def frame_of(arguments: Mapping[str, Any], frames: Mapping[int, Frames]) -> tuple[int, str, Frames]:
    """Number, view and frame of what was pointed at; RainError where it is not among ``frames``."""
    number, view = whole(arguments, "frame"), text(arguments, "view")
    seen = frames.get(number)
    if seen is None:
        raise RainError(f"frame {number} is no longer known: point again")
    if view not in seen.images:
        raise RainError(f"view {view!r} is unknown; there are {', '.join(seen.images)}")
    return number, view, seen


def shown_pending(target: str, frame: int, regions: Mapping[str, NDArray]) -> dict[str, Any]:
    """What is pointed at and waits to be confirmed, as the page takes it."""
    shown = {view: runs(region) for view, region in regions.items()}
    return {"target": target, "frame": frame, "regions": shown}


def prompt_of(command: str, arguments: Mapping[str, Any]) -> Prompt:
    """What was drawn; RainError."""
    if command == "point":
        return Points(((number(arguments, "x"), number(arguments, "y")),))
    edges = (number(arguments, edge) for edge in ("left", "top", "right", "bottom"))
    return Box(*edges)
