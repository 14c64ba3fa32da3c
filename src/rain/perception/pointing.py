"""Click-to-act: what an operator points at in a frame, and how it becomes the target.

In a simulator a click finds the target whose own region it hits; with a tracker the click itself is
followed from the frame that was clicked. Either way the region is shown first and counts only when
it is accepted, and the subtask keeps its action type.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Box, Mask, Points, Prompt, fitted
from rain.perception.segmenter import Tracked
from rain.perception.world import PerceivedWorld
from rain.types import RainError, Subtask

FITS = 0.3
"""Intersection over union of a drawn box and a target's, from which the target is meant."""


@dataclass(frozen=True)
class SeenFrame:
    """What a person saw: images view -> uint8 (H, W, 3), after ``step`` actions.

    poses: of a simulator's scene then, (nq,); None where there is none.
    """

    images: Mapping[str, NDArray[np.uint8]]
    step: int
    poses: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class Pointed:
    """What an operator pointed at. target: its name; regions: view -> bool (H, W), as it was seen.

    tracked: what a tracker found, where one follows it.
    """

    target: str
    regions: Mapping[str, NDArray[np.bool_]]
    tracked: Tracked = field(default_factory=dict)


class Pointing(Protocol):
    """Makes targets of what is pointed at."""

    def point(self, seen: SeenFrame, prompts: Mapping[str, Prompt], subtask: Subtask) -> Pointed:
        """What the prompts, view -> prompt in pixels of ``seen``, mean; RainError for nothing."""

    def accept(self, pointed: Pointed, subtask: Subtask) -> None:
        """It becomes the target of ``subtask``, which is the subtask at work with that target."""

    def withdraw(self, pointed: Pointed) -> None:
        """It was not meant."""


def pointing_in(world: Any) -> Pointing:
    """The way to point in a world: at what a tracker follows, or at what a simulator knows."""
    if isinstance(world, PerceivedWorld) and not world.knows_targets:
        return TrackedPointing(world)
    return TruthPointing(world)


class TruthPointing:
    """Points at a simulator's targets, by their regions in the frame that was seen."""

    def __init__(self, world: Any) -> None:
        self._world = world

    def point(self, seen: SeenFrame, prompts: Mapping[str, Prompt], subtask: Subtask) -> Pointed:
        """The target that the latest prompt hits: what can be grasped to grasp, else a place."""
        view, prompt = list(prompts.items())[-1]
        size = len(seen.images[view])
        prompt = fitted(prompt, *seen.images[view].shape[:2])
        names = list(self._world.targets())
        with self._world.seen_at(seen.poses):
            shown = dict(zip(names, self._world.regions(names, view, size), strict=True))
            for some in self._fitting_names(subtask):
                found = _hit({name: shown[name] for name in some if name in shown}, prompt)
                if found is not None:
                    return Pointed(found, self._regions(found, seen))
        what = "that can be grasped" if subtask.action_type == "grasp" else "to act on"
        raise RainError(f"{view}: there is nothing {what} at that point")

    def accept(self, pointed: Pointed, subtask: Subtask) -> None:
        """Nothing to do: the world knows its targets by name."""

    def withdraw(self, pointed: Pointed) -> None:
        """Nothing to do."""

    def _fitting_names(self, subtask: Subtask) -> list[list[str]]:
        """Targets that an action type can mean, in groups; the first group that is hit counts."""
        graspable = self._world.graspable()
        if subtask.action_type == "grasp":
            return [graspable]
        held = self._world.held_object()
        others = [name for name in self._world.targets() if name not in graspable]
        return [others, [name for name in graspable if name != held]]

    def _regions(self, target: str, seen: SeenFrame) -> dict[str, NDArray[np.bool_]]:
        return {
            view: self._world.regions([target], view, len(image))[0]
            for view, image in seen.images.items()
        }


class TrackedPointing:
    """Points at anything: a tracker follows it from the frame that was clicked."""

    def __init__(self, world: PerceivedWorld) -> None:
        self._world = world

    def point(self, seen: SeenFrame, prompts: Mapping[str, Prompt], subtask: Subtask) -> Pointed:
        """What the tracker takes for the target, in the views that were pointed at."""
        name, tracked = self._world.propose(seen.images, seen.step, prompts)
        found = {view: one.region for view, one in tracked.items() if one.found}
        if not found:
            self._world.withdraw(name)
            raise RainError(f"{', '.join(prompts)}: nothing was found at that point")
        return Pointed(name, found, tracked)

    def accept(self, pointed: Pointed, subtask: Subtask) -> None:
        """The policy is given what the tracker follows, from the next look on."""
        self._world.accept(subtask, pointed.tracked)

    def withdraw(self, pointed: Pointed) -> None:
        """The tracker forgets it."""
        self._world.withdraw(pointed.target)


def _hit(shown: Mapping[str, NDArray[np.bool_]], prompt: Prompt) -> str | None:
    """Of regions by name the one that a prompt means; the smallest, where several hold a point."""
    scores = {name: _score(region, prompt) for name, region in shown.items() if region.any()}
    best = max(scores, key=lambda name: scores[name], default=None)
    return best if best is not None and scores[best] > 0 else None


def _score(region: NDArray[np.bool_], prompt: Prompt) -> float:
    """How well a region fits a prompt; 0 where it does not."""
    if isinstance(prompt, Points):
        on = all(region[int(y), int(x)] for x, y in prompt.on)
        off = any(region[int(y), int(x)] for x, y in prompt.off)
        return 1 / region.sum() if on and not off else 0.0
    around = Box.around(region)
    assert around is not None
    wanted = Box.around(prompt.region) if isinstance(prompt, Mask) else prompt
    assert wanted is not None
    share = _overlap(around, wanted)
    return share if share >= FITS else 0.0


def _overlap(one: Box, other: Box) -> float:
    """Intersection over union of two boxes."""
    across = min(one.right, other.right) - max(one.left, other.left)
    down = min(one.bottom, other.bottom) - max(one.top, other.top)
    shared = max(across, 0.0) * max(down, 0.0)
    areas = sum((b.right - b.left) * (b.bottom - b.top) for b in (one, other))
    return shared / (areas - shared)
