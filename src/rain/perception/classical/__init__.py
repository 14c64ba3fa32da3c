"""A light tracker for machines without weights or GPU: colour, place and motion. NumPy only."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rain.perception.classical.begin import first_label
from rain.perception.classical.target import FollowedTarget, Settings
from rain.perception.prompts import Box, Mask, Points, Prompt
from rain.perception.segmenter import Frame, Tracked, TrackedRegion, checked_prompts

__all__ = ["ClassicalSegmenter", "Settings"]

WORKING = 128
"""Larger side of the images it works on, pixels; regions are given in the frame's own size."""


class ClassicalSegmenter:
    """Follows targets by their colours and motion; see ``Segmenter``.

    It follows what moves little from frame to frame and is coloured unlike its surroundings; parts
    that the seed did not show are not taken for the target when they come into view.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._targets: dict[str, dict[str, FollowedTarget]] = {}

    def seed(self, target: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        """Begin to follow ``target`` in the views that ``prompts`` names."""
        found: Tracked = {}
        for view, prompt in checked_prompts(frame, prompts).items():
            image = frame.images[view]
            small = reduced(image)
            label = first_label(small, _scaled(prompt, image.shape, small.shape))
            followed = FollowedTarget(small, label, self._settings)
            self._targets.setdefault(target, {})[view] = followed
            found[view] = _region(label, followed.score, image, frame.stamp)
        return found

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        """Find every target in the next frame."""
        small = {view: reduced(image) for view, image in frame.images.items()}
        return {
            target: {
                view: _region(one.follow(small[view]), one.score, frame.images[view], frame.stamp)
                for view, one in views.items()
                if view in small
            }
            for target, views in self._targets.items()
        }

    def forget(self, target: str | None = None) -> None:
        """Stop following a target, or all."""
        if target is None:
            self._targets.clear()
        self._targets.pop(target or "", None)


def reduced(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The image with its larger side at most ``WORKING`` pixels, by area."""
    height, width = image.shape[:2]
    scale = WORKING / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX, reducing_gap=2.0))


def _scaled(prompt: Prompt, whole: tuple[int, ...], small: tuple[int, ...]) -> Prompt:
    """The prompt in the working image's pixels."""
    if whole == small:
        return prompt
    down, across = small[0] / whole[0], small[1] / whole[1]
    if isinstance(prompt, Box):
        left, top, right, bottom = prompt.corners
        return Box(left * across, top * down, right * across, bottom * down)
    if isinstance(prompt, Points):
        on, off = (
            tuple((x * across, y * down) for x, y in points) for points in (prompt.on, prompt.off)
        )
        return Points(on, off)
    resized = _resize(prompt.region.astype(np.float32), small)
    # A region smaller than a pixel of the working image is still one.
    return Mask(resized >= min(0.5, float(resized.max())))


def _region(label: NDArray, score: float, image: NDArray, stamp: float) -> TrackedRegion:
    whole = label if label.shape == image.shape[:2] else _resize(label, image.shape)
    return TrackedRegion(whole > 0.5, min(max(score, 0.0), 1.0), stamp)


def _resize(label: NDArray, shape: tuple[int, ...]) -> NDArray[np.float32]:
    size = shape[1], shape[0]
    resample = Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(label.astype(np.float32)).resize(size, resample))
