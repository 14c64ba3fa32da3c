"""A moment of a rollout as the page shows it: views with region and plan, progress, latencies."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.bench.operator import Between
from rain.dashboard.frames import ShownView
from rain.perception.world import PerceivedWorld


def shown_views(now: Between, pixels: int) -> dict[str, ShownView]:
    """All views, with the active target's region and the plan.

    Where regions are perceived, what is shown is to the pixel what the policy sees.
    """
    world, target = now.world, now.driver.subtask.target
    size = world.conventions.image_size
    perceived = isinstance(world, PerceivedWorld) and not world.knows_targets
    found: dict[str, ShownView] = {}
    for view in world.conventions.views:
        if perceived:
            image = world.images.get(view)
            image = world.render(view, size) if image is None else image
            region = world.latest.regions.get(view) if world.latest is not None else None
        else:
            image = world.render(view, pixels)
            region = world.regions([target], view, pixels)[0]
        found[view] = ShownView(image, region, _plan(now, view, len(image)))
    return found


def _plan(now: Between, view: str, size: int) -> NDArray | None:
    """The plan's waypoints in pixels of an image of ``size``."""
    if now.driver.latest is None or now.driver.finished:
        return None
    return np.asarray(now.world.project(now.driver.latest.plan.waypoints, view, size))


def state_of(now: Between) -> dict[str, Any]:
    """The script and where in it the policy is."""
    driver = now.driver
    return {
        "instruction": driver.script.instruction,
        "subtasks": [[s.action_type, s.target] for s in driver.script.subtasks],
        "active": driver.index,
        "done": driver.finished,
        "target": driver.subtask.target,
        "pointed": driver.subtask.target != driver.script.subtasks[driver.index].target,
        "holds": now.world.held_object(),
        "wants": getattr(now.world, "pause", None),
    }


def progress_of(now: Between) -> dict[str, Any]:
    """Progress as the policy last told it."""
    if now.driver.latest is None:
        return {"progress": None}
    progress = now.driver.latest.progress
    parts = ("completion", "distance", "alignment")
    return {"progress": {part: round(getattr(progress, part), 3) for part in parts}}


class Latencies:
    """Milliseconds: of a prediction, of the cameras, between two frames; smoothed."""

    def __init__(self) -> None:
        self._values: dict[str, float] = {}
        self._network = self._rendering = 0.0
        self._looks = self._step = 0

    def note(self, now: Between, drawing_s: float) -> None:
        """Note what has passed since the last frame."""
        seconds, looks = now.clock.seconds, now.driver.predictions
        if looks > self._looks:
            self._smooth("policy", (seconds["network"] - self._network) / (looks - self._looks))
            self._network, self._looks = seconds["network"], looks
        # What the policy looked at was drawn too, and with perceived regions every step's images.
        if now.step > self._step:
            drawing_s += (seconds["rendering"] - self._rendering) / (now.step - self._step)
            self._rendering, self._step = seconds["rendering"], now.step
        self._smooth("camera", drawing_s)

    def as_json(self) -> dict[str, float]:
        """Name -> ms."""
        return {name: round(1000 * value, 1) for name, value in self._values.items()}

    def _smooth(self, name: str, seconds: float) -> None:
        before = self._values.get(name, seconds)
        self._values[name] = before + 0.3 * (seconds - before)
