"""Segmenters that know: a simulator's own regions, and the masks of a recorded demonstration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.demos.episode import Episode
from rain.perception.prompts import Prompt
from rain.perception.segmenter import Frame, Tracked, TrackedRegion, checked_prompts
from rain.types import RainError


class RegionWorld(Protocol):
    """A world that knows the regions of its targets."""

    def regions(self, targets: list[str], view: str, size: int) -> NDArray[np.bool_]:
        """Regions of the targets in one view now, bool (n, size, size)."""


class _Known:
    """Follows targets by name; a prompt says only in which views."""

    knows_targets = True

    def __init__(self) -> None:
        self._views: dict[str, set[str]] = {}

    def seed(self, target: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        """Begin to follow ``target``; prompts must lie in their images, as with any segmenter."""
        views = set(checked_prompts(frame, prompts))
        seen = {view: self._look(target, view, frame) for view in views}
        self._views.setdefault(target, set()).update(views)
        return seen

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        """Look up every target in the views of this frame."""
        return {
            target: {view: self._look(target, view, frame) for view in views & set(frame.images)}
            for target, views in self._views.items()
        }

    def forget(self, target: str | None = None) -> None:
        """Stop following a target, or all."""
        if target is None:
            self._views.clear()
        self._views.pop(target or "", None)

    def _look(self, target: str, view: str, frame: Frame) -> TrackedRegion:
        region = self._region(target, view, frame)
        if region.shape != frame.images[view].shape[:2]:
            raise RainError(
                f"view {view}: the true region has {region.shape}, the image "
                f"{frame.images[view].shape[:2]}"
            )
        return TrackedRegion(region, float(region.any()), frame.stamp)

    def _region(self, target: str, view: str, frame: Frame) -> NDArray[np.bool_]:
        raise NotImplementedError


class TruthSegmenter(_Known):
    """A simulator's own regions, at the moment that the world is in; square images."""

    def __init__(self, world: RegionWorld) -> None:
        """Ask ``world``."""
        super().__init__()
        self._world = world

    def _region(self, target: str, view: str, frame: Frame) -> NDArray[np.bool_]:
        return self._world.regions([target], view, len(frame.images[view]))[0]


class RecordedSegmenter(_Known):
    """The masks of a recorded demonstration; a frame's stamp is its control step / rate."""

    def __init__(self, episode: Episode, views: tuple[str, ...], rate_hz: float) -> None:
        """Read from ``episode``, whose views and control rate its dataset names."""
        super().__init__()
        self.episode, self.views, self._rate = episode, views, rate_hz
        self._number = {int(step): number for number, step in enumerate(episode.frames)}

    def frame(self, number: int) -> Frame:
        """Kept frame ``number`` of the demonstration."""
        images = dict(zip(self.views, self.episode.images[number], strict=True))
        return Frame(images, int(self.episode.frames[number]) / self._rate)

    def _region(self, target: str, view: str, frame: Frame) -> NDArray[np.bool_]:
        step = round(frame.stamp * self._rate)
        if step not in self._number:
            raise RainError(f"the demonstration keeps no frame of {frame.stamp:g} s")
        return self.episode.region(self._number[step], target)[self.views.index(view)]


def point_on(region: NDArray[np.bool_]) -> tuple[float, float]:
    """The pixel (x, y) of a region that is nearest its centre; RainError where it is empty."""
    pixels = np.argwhere(region)
    if not len(pixels):
        raise RainError("an empty region has no point")
    nearest = pixels[np.argmin(((pixels - pixels.mean(axis=0)) ** 2).sum(axis=1))]
    return float(nearest[1]) + 0.5, float(nearest[0]) + 0.5
