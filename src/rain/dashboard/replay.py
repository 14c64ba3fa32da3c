"""A recorded episode on the same page, with a slider over its time in place of an operator."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from rain.dashboard.board import Board
from rain.dashboard.commands import Answer, Commands, whole
from rain.dashboard.frames import ShownView
from rain.dashboard.rollout_session import AXES, CHART
from rain.demos.dataset import Dataset, Episode
from rain.demos.supervision import plans, progress_targets
from rain.demos.view import Project
from rain.types import RainError


class ReplaySession:
    """A ``Session`` that plays and seeks. Anybody may; there is nothing to stop."""

    def __init__(self, dataset: Dataset, index: int, project: Project | None = None) -> None:
        """Episode ``index``; plans are shown where ``project`` says where they are."""
        self.check(dataset, index)
        self._dataset, self._project = dataset, project
        self._episode: Episode = dataset.episode(index)
        self.about: Mapping[str, Any] = {
            "title": f"recording {index}",
            "kind": "replay",
            "commands": ("seek", "pause", "resume"),
            "locked": False,
            "frames": len(self._episode.frames),
        }
        self.board = Board(
            mode="paused",
            instruction=str(self._episode.details.get("instruction", "")),
            axes=AXES.get(dataset.conventions.action),
        )
        self._commands = Commands()
        self._closed = threading.Event()
        self._at = 0
        self._playing = False

    @staticmethod
    def check(dataset: Dataset, index: int) -> None:
        """RainError where the dataset has no such episode."""
        if not 0 <= index < len(dataset):
            raise RainError(f"the dataset has episodes 0 to {len(dataset) - 1}, not {index}")

    def do(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        """Leave a command for ``run``'s thread and wait for its answer."""
        return self._commands.ask(command, arguments)

    def stop(self, why: str) -> None:
        """Nothing moves in a recording; it is held where it is."""
        self._playing = False
        self.board.tell(mode="paused")

    def close(self) -> None:
        """Let ``run`` end."""
        self._closed.set()
        self._commands.wake()

    def run(self) -> None:
        """Play until the session is closed."""
        self._show()
        while not self._closed.is_set():
            wait = 0.5
            if self._playing:
                wait = self._forward()
            with self._commands.news:
                if not self._commands.waiting:
                    self._commands.news.wait(wait)
            self._commands.answer(self._obey)

    def _forward(self) -> float:
        """Show the next frame; returns the seconds that it stays."""
        frames = self._episode.frames
        began = time.monotonic()
        if self._at + 1 >= len(frames):
            self._play(False)
            return 0.5
        self._at += 1
        self._show()
        stay = (frames[self._at] - frames[self._at - 1]) / self._dataset.conventions.rate_hz
        return max(0.0, float(stay) - (time.monotonic() - began))

    def _obey(self, command: str, arguments: Mapping[str, Any]) -> Answer:
        if command == "seek":
            at = whole(arguments, "frame")
            if not 0 <= at < len(self._episode.frames):
                raise RainError(f"the recording has frames 0 to {len(self._episode.frames) - 1}")
            self._at = at
            self._show()
        elif command in ("pause", "resume"):
            if command == "resume" and self._at + 1 >= len(self._episode.frames):
                self._at = 0
            self._play(command == "resume")
        else:
            raise RainError(f"command {command!r} is unknown here")
        return {}

    def _play(self, on: bool) -> None:
        self._playing = on
        self.board.tell(mode="playing" if on else "paused")

    def _show(self) -> None:
        """Show the present frame, with what a policy should have answered to it."""
        episode, frame = self._episode, self._at
        step = int(episode.frames[frame])
        ahead = [i for i, span in enumerate(episode.spans) if step < span.end]
        active = ahead[0] if ahead else len(episode.spans) - 1
        span, at = episode.spans[active], np.array([step])
        completion, distance, alignment = progress_targets(
            episode.positions, episode.ee_rotation, at, span, self._dataset.progress_alpha
        )[0].tolist()
        plan = plans(episode.positions, at, span.interaction, span.position)[0]
        self.board.tell(
            subtasks=[[s.subtask.action_type, s.subtask.target] for s in episode.spans],
            active=active,
            done=not ahead,
            target=span.subtask.target,
        )
        rate = self._dataset.conventions.rate_hz
        first = max(0, step - 4 * CHART)
        moved = np.round(episode.actions[first:step].astype(float), 4).tolist()
        self.board.show(
            self._views(frame, span.subtask.target, plan if step < span.interaction else None),
            {
                "step": step, "index": frame, "seconds": step / rate,
                "progress": {"completion": completion, "distance": distance,
                             "alignment": alignment},
                "actions": {"until": step, "values": moved},
            },
        )  # fmt: skip

    def _views(self, frame: int, target: str, plan: Any) -> dict[str, ShownView]:
        episode, step = self._episode, int(self._episode.frames[self._at])
        regions, shown = episode.region(frame, target), {}
        for v, view in enumerate(self._dataset.conventions.views):
            image, pixels = episode.images[frame, v], None
            if plan is not None and self._project is not None:
                hand = episode.positions[step], episode.ee_rotation[step]
                pixels = self._project(plan, view, *hand) * len(image) - 0.5
            shown[view] = ShownView(image, regions[v], pixels)
        return shown
