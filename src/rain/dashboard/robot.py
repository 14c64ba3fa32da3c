"""A real arm's run on the page: shows what the run says of itself, and passes on what is asked.

The loop that moves the arm calls ``show`` now and then, which only keeps references; everything
else happens in the server's threads. What operators ask for goes into the run's own small queue of
commands (``rain.robot.controls``: pause, hold, resume, next, previous, set, task, click, e_stop,
release), which looks at it at its next tick.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.dashboard.board import Board
from rain.dashboard.commands import Answer, text, whole
from rain.dashboard.frames import ShownView
from rain.dashboard.pointing import KEPT, prompt_of
from rain.dashboard.rollout_session import AXES, CHART
from rain.dashboard.wire import runs
from rain.perception.prompts import Mask, Prompt
from rain.perception.segmenter import Frame, Segmenter
from rain.types import Conventions, Progress, RainError, Subtask

PASSED_ON = ("pause", "hold", "resume", "next", "previous", "release")
COMMANDS = ("point", "box", "confirm", "cancel", "clear", "set", "instruct", *PASSED_ON)


class Controls(Protocol):
    """Takes commands from any thread; an e-stop passes all others."""

    def put(self, name: str, argument: Any = None) -> None:
        """Say something; RainError where it is not understood."""


@dataclass(frozen=True)
class RobotMoment:
    """What a run says of one tick.

    images, regions: view -> (H, W, 3), (H, W). plan: view -> pixels (N, 2). reasons: kind -> why
    the arm holds still now: ``e_stop``, ``pause``, ``hold``, ``finished`` and faults. action: the
    last one, (7,). latencies: name -> ms.
    """

    step: int
    images: Mapping[str, NDArray[np.uint8]]
    regions: Mapping[str, NDArray]
    instruction: str
    subtasks: Sequence[Subtask]
    index: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    plan: Mapping[str, NDArray] = field(default_factory=dict)
    progress: Progress | None = None
    action: NDArray | None = None
    latencies: Mapping[str, float] = field(default_factory=dict)


class RobotSession:
    """A ``Session`` beside a run of the arm."""

    def __init__(
        self,
        title: str,
        controls: Controls,
        make_segmenter: Callable[[], Segmenter],
        conventions: Conventions,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """make_segmenter: shows what a click would mark; not the run's own. ended: called when the
        session is closed."""
        self.about: Mapping[str, Any] = {
            "title": title, "kind": "robot", "commands": COMMANDS, "locked": True,
        }  # fmt: skip
        self.board = Board(mode="waiting", axes=AXES.get(conventions.action))
        self._controls, self._make_segmenter, self._ended = controls, make_segmenter, ended
        self._lock = threading.Lock()
        self._frames: OrderedDict[int, Frame] = OrderedDict()
        self._pending: dict[str, NDArray[np.bool_]] = {}
        self._actions: list[list[float]] = []
        self._moment: RobotMoment | None = None

    def show(self, moment: RobotMoment) -> None:
        """Show a tick; called by the run."""
        if moment.action is not None:
            self._actions = [*self._actions, np.round(moment.action, 4).tolist()][-CHART:]
        views = {
            view: ShownView(image, _region(moment.regions.get(view)), moment.plan.get(view))
            for view, image in moment.images.items()
        }
        progress = moment.progress
        parts = ("completion", "distance", "alignment")
        facts = {
            "step": moment.step,
            "progress": progress and {part: round(getattr(progress, part), 3) for part in parts},
            "latency": dict(moment.latencies),
            "actions": {"until": moment.step, "values": self._actions},
        }
        frame = self.board.show(views, facts)
        with self._lock:
            self._moment = moment
            self._frames[frame.number] = Frame(dict(moment.images), frame.stamp)
            while len(self._frames) > KEPT:
                self._frames.popitem(last=False)
        self.board.tell(**_state(moment))

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
            return self._point(command, arguments, moment)
        elif command == "confirm":
            return self._confirm()
        elif command == "clear":
            self._controls.put("set", moment.index)  # begun anew, with the script's own target
        elif command != "cancel":
            raise RainError(f"command {command!r} is unknown here")
        self._show_pending({})
        return {}

    def stop(self, why: str) -> None:
        """The run's own emergency stop, at its next tick."""
        self._controls.put("e_stop")
        self.board.log(f"STOP: {why}", "warning")

    def close(self) -> None:
        """Let the run end."""
        self._ended()

    def _point(self, command: str, arguments: Mapping[str, Any], moment: RobotMoment) -> Answer:
        number, view = whole(arguments, "frame"), text(arguments, "view")
        with self._lock:
            frame = self._frames.get(number)
        if frame is None:
            raise RainError(f"frame {number} is no longer known: point again")
        if view not in frame.images:
            raise RainError(f"view {view!r} is unknown; there are {', '.join(frame.images)}")
        prompts: dict[str, Prompt] = {view: prompt_of(command, arguments)}
        tracked = self._make_segmenter().seed("pointed at", frame, prompts)
        found = {name: one.region for name, one in tracked.items() if one.found}
        if not found:
            raise RainError(f"{view}: nothing was found at that point")
        self._show_pending(found, number)
        return {"target": "what is marked", "frame": number}

    def _confirm(self) -> Answer:
        pending = self._pending
        if not pending:
            raise RainError("nothing is pointed at: click a target first")
        for view, region in pending.items():
            self._controls.put("click", (view, Mask(region)))
        self._show_pending({})
        return {"target": "what is marked"}

    def _show_pending(self, found: dict[str, NDArray[np.bool_]], frame: int = 0) -> None:
        self._pending = found
        regions = {view: runs(region) for view, region in found.items()}
        pending = {"target": "what is marked", "frame": frame, "regions": regions}
        self.board.tell(pending=pending if found else None)


def _region(region: NDArray | None) -> NDArray[np.bool_] | None:
    return None if region is None else np.asarray(region) > 0.5


def _state(moment: RobotMoment) -> dict[str, Any]:
    reasons = moment.reasons
    modes = {"e_stop": "stopped", "finished": "finished", "pause": "paused", "hold": "holding"}
    others = [why for kind, why in reasons.items() if kind not in modes]
    return {
        "mode": next((mode for kind, mode in modes.items() if kind in reasons), "running"),
        "instruction": moment.instruction,
        "subtasks": [[s.action_type, s.target] for s in moment.subtasks],
        "active": moment.index,
        "done": "finished" in reasons,
        "target": moment.subtasks[moment.index].target,
        "wants": "; ".join(others) or None,
    }
