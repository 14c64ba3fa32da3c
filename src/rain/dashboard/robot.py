"""A real arm's run on the page: shows what the run says of itself, and passes on what is asked.

The loop that moves the arm calls ``show`` and ``hear``, which only keep references; everything else
happens in the server's threads. What operators ask for goes into the run's own small queue of
commands (``rain.robot.controls``), which looks at it at its next tick.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.dashboard.board import Board
from rain.dashboard.commands import Answer, text, whole
from rain.dashboard.frames import ShownView
from rain.dashboard.pointing import KEPT, frame_of, prompt_of, shown_pending
from rain.dashboard.rollout_session import AXES, CHART
from rain.perception.prompts import Mask, Prompt
from rain.perception.segmenter import Frame, Segmenter
from rain.robot.calibration import StandingCamera
from rain.robot.moment import Moment
from rain.types import Conventions, RainError

PASSED_ON = ("pause", "hold", "resume", "next", "previous", "release")
COMMANDS = ("point", "box", "confirm", "cancel", "clear", "set", "instruct", *PASSED_ON)
POINTED = "what is marked"
FOLLOWED = 15
"""Frames between click and confirmation in which what was pointed at is followed, at most."""
UNTOLD = ("chunk", "clamp", "command")
"""Events that come too often for a log that people read, or that the page has by itself."""


class Controls(Protocol):
    """Takes commands from any thread; an e-stop passes all others."""

    def put(self, name: str, argument: Any = None) -> None:
        """Say something; RainError where it is not understood."""


@dataclass(frozen=True)
class _Pending:
    """What is pointed at and not yet confirmed: where it is in a frame, and who follows it."""

    frame: int
    segmenter: Segmenter
    regions: Mapping[str, NDArray[np.bool_]]


class RobotSession:
    """A ``Session`` beside a run of the arm."""

    def __init__(
        self,
        title: str,
        controls: Controls,
        make_segmenter: Callable[[], Segmenter],
        conventions: Conventions,
        *,
        every: int = 1,
        cameras: Mapping[str, StandingCamera] | None = None,
    ) -> None:
        """make_segmenter: shows what a click would mark; not the run's own. every: ticks between
        two frames that are shown. cameras: view -> where it is, for those that waypoints are drawn
        into.
        """
        self.about: Mapping[str, Any] = {
            "title": title, "kind": "robot", "commands": COMMANDS, "locked": True,
        }  # fmt: skip
        self.board = Board(mode="waiting", axes=AXES.get(conventions.action))
        self._controls, self._make_segmenter, self._every = controls, make_segmenter, every
        self._cameras = cameras or {}
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._pending: _Pending | None = None
        self._actions: list[list[float]] = []
        self._moment: Moment | None = None

    # --- what the run says ------------------------------------------------------------------------

    def show(self, moment: Moment) -> None:
        """Show a tick; called by the run."""
        if moment.sent is not None:
            self._actions = [*self._actions, np.round(moment.sent, 4).tolist()][-CHART:]
        self.board.tell(**_state(moment))
        if moment.tick % self._every and self._moment is not None:
            self._moment = moment
            return
        views = {
            view: ShownView(image, _region(moment.regions.get(view)), self._plan(moment, view))
            for view, image in moment.images.items()
        }
        frame = self.board.show(views, self._facts(moment))
        with self._lock:
            self._moment = moment
            self._frames[frame.number] = Frame(dict(moment.images), frame.stamp)
            while len(self._frames) > KEPT:
                self._frames.popitem(last=False)

    def _plan(self, moment: Moment, view: str) -> NDArray | None:
        if moment.prediction is None or view not in self._cameras:
            return None
        size = moment.images[view].shape[0]
        return self._cameras[view].project(moment.prediction.plan.waypoints, size)

    def hear(self, event: Mapping[str, Any]) -> None:
        """An event of the run; called by the run."""
        kind = event["event"]
        if kind in UNTOLD:
            return
        facts = {k: v for k, v in event.items() if k not in ("t", "tick", "event", "traceback")}
        said = ", ".join(f"{name} {_short(value)}" for name, value in facts.items())
        bad = kind.endswith(("_failed", "_refused", "_silent")) or kind in ("hold", "crash")
        self.board.log(f"{kind}: {said}" if said else kind, "warning" if bad else "note")

    def _facts(self, moment: Moment) -> dict[str, Any]:
        progress = None if moment.prediction is None else moment.prediction.progress
        parts = ("completion", "distance", "alignment")
        latency = {"tick late": moment.late_s * 1000}
        if moment.answer_s is not None:
            latency["policy"] = moment.answer_s * 1000
        return {
            "step": moment.tick,
            "progress": progress and {part: round(getattr(progress, part), 3) for part in parts},
            "latency": latency,
            "actions": {"until": moment.tick, "values": self._actions},
        }

    # --- what operators ask for -------------------------------------------------------------------

    def do(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        """Pass a command on; RainError where it makes no sense."""
        moment = self._moment
        if moment is None:
            raise RainError("the arm's run has not begun")
        if command in PASSED_ON:
            self._controls.put(command)
        elif command == "set":
            self._controls.put("set", whole(arguments, "index"))
        elif command == "instruct":
            self._controls.put("task", text(arguments, "text"))
        elif command in ("point", "box"):
            return self._point(command, arguments)
        elif command == "confirm":
            return self._confirm()
        elif command == "clear":
            self._controls.put("set", moment.index)  # begun anew, with the script's own target
        elif command != "cancel":
            raise RainError(f"command {command!r} is unknown here")
        self._show_pending(None)
        return {}

    def stop(self, why: str) -> None:
        """The run's own emergency stop, at its next tick."""
        self._controls.put("e_stop")
        self.board.log(f"STOP: {why}", "warning")

    def close(self) -> None:
        """The page is closed; the run goes on."""

    def _point(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        with self._lock:
            number, view, frame = frame_of(arguments, self._frames)
        prompts: dict[str, Prompt] = {view: prompt_of(command, arguments)}
        segmenter = self._make_segmenter()
        tracked = segmenter.seed(POINTED, frame, prompts)
        found = {name: one.region for name, one in tracked.items() if one.found}
        if not found:
            raise RainError(f"{view}: nothing was found at that point")
        self._show_pending(_Pending(number, segmenter, found))
        return {"target": POINTED, "frame": number}

    def _confirm(self) -> Answer:
        """What was marked is the target from the next frame on, where it is by now."""
        pending = self._pending
        if pending is None:
            raise RainError("nothing is pointed at: click a target first")
        regions = self._by_now(pending)
        self._show_pending(None)
        if not regions:
            raise RainError("what was pointed at is no longer to be seen: point again")
        self._controls.put("click", {view: Mask(region) for view, region in regions.items()})
        return {"target": POINTED}

    def _by_now(self, pending: _Pending) -> dict[str, NDArray[np.bool_]]:
        """What is pointed at, in the latest frame: the arm and its wrist camera may have moved."""
        with self._lock:
            later = [frame for number, frame in self._frames.items() if number > pending.frame]
        regions = dict(pending.regions)
        steps = -(-len(later) // FOLLOWED) or 1
        for frame in reversed(later[::-1][::steps]):  # the latest is among them
            followed = pending.segmenter.follow(frame).get(POINTED, {})
            regions = {view: one.region for view, one in followed.items() if one.found}
        return regions

    def _show_pending(self, pending: _Pending | None) -> None:
        self._pending = pending
        told = None if pending is None else shown_pending(POINTED, pending.frame, pending.regions)
        self.board.tell(pending=told)


def _region(region: NDArray | None) -> NDArray[np.bool_] | None:
    return None if region is None else np.asarray(region) > 0.5


def _short(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.3g}"
    if isinstance(value, Mapping):
        return "; ".join(map(str, value.values()))
    return str(value)


def _state(moment: Moment) -> dict[str, Any]:
    reasons, subtasks = moment.reasons, moment.script.subtasks
    modes = {"e_stop": "stopped", "finished": "finished", "pause": "paused", "hold": "holding"}
    others = [why for kind, why in reasons.items() if kind not in modes]
    return {
        "mode": next((mode for kind, mode in modes.items() if kind in reasons), "running"),
        "instruction": moment.script.instruction,
        "subtasks": [[s.action_type, s.target] for s in subtasks],
        "active": moment.index,
        "done": "finished" in reasons,
        "target": POINTED if moment.pointed else subtasks[moment.index].target,
        "wants": "; ".join(others) or None,
    }
