"""Films of rollouts: both views side by side, the region tinted, the plan and progress drawn."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.bench.protocols import FilmedWorld
from rain.bench.rollouts import Moment
from rain.drawing import (
    VIEW_PIXELS,
    draw_header,
    draw_panel,
    draw_plan,
    label,
    tint,
)
from rain.types import Observation, Prediction, TaskScript


class Frames(Protocol):
    """What takes a film's frames: a VideoWriter, or a list that is joined with others."""

    def add(self, frame: NDArray[np.uint8]) -> None: ...


class EpisodeFilm:
    """Films a rollout: pass it as ``watch``. Every ``every`` control steps one frame."""

    def __init__(
        self,
        world: FilmedWorld,
        script: TaskScript,
        writer: Frames,
        *,
        every: int = 2,
        pixels: int = VIEW_PIXELS,
    ) -> None:
        self._world, self._script, self._writer = world, script, writer
        self._every, self._pixels = every, pixels

    @staticmethod
    def fps(rate_hz: float, every: int = 2) -> float:
        """Frames a second at which the film runs in real time."""
        return rate_hz / every

    def __call__(self, moment: Moment) -> None:
        if moment.step % self._every and not moment.last:
            return
        frame = self._draw(moment)
        # The last frame stays for a second: it shows how the episode ended.
        repeats = round(self.fps(self._world.conventions.rate_hz, self._every)) + 1
        for _ in range(repeats if moment.last else 1):
            self._writer.add(frame)

    def _draw(self, moment: Moment) -> NDArray[np.uint8]:
        observation = self._world.observe(self._script.subtasks[moment.subtask])
        views = [self._view(view, observation, moment) for view in observation.images]
        status = "success" if moment.success else "done" if moment.finished else ""
        progress = moment.prediction.progress if moment.prediction is not None else None
        panel = draw_panel(
            self._script.subtasks,
            len(self._script.subtasks) if moment.finished else moment.subtask,
            progress,
            f"step {moment.step}  {status}".rstrip(),
            width=self._pixels * len(views),
        )
        header = draw_header(self._script.instruction, self._pixels * len(views))
        return np.concatenate([header, np.concatenate(views, axis=1), panel])

    def _view(self, view: str, observation: Observation, moment: Moment) -> NDArray[np.uint8]:
        picture = self._world.render(view, self._pixels)
        if view in observation.regions:
            picture = tint(picture, observation.regions[view])
        if not moment.finished and moment.prediction is not None:
            picture = self._with_plan(picture, view, moment.prediction)
        return label(picture, view)

    def _with_plan(
        self, picture: NDArray[np.uint8], view: str, prediction: Prediction
    ) -> NDArray[np.uint8]:
        pixels = self._world.project(prediction.plan.waypoints, view)
        # Pixel centres lie at whole numbers in both sizes.
        scale = self._pixels / self._world.conventions.image_size
        return draw_plan(picture, (np.asarray(pixels) + 0.5) * scale - 0.5)
