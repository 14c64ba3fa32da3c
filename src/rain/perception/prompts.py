"""How a target is pointed at in an image: a box, points, or a mask. All in pixels.

Pixel (column x, row y) covers [x, x + 1) × [y, y + 1), so a box around the whole image of width W
and height H is (0, 0, W, H).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError


@dataclass(frozen=True)
class Box:
    """An axis-parallel box in pixels: left and top edge, right and bottom edge."""

    left: float
    top: float
    right: float
    bottom: float

    def __post_init__(self) -> None:
        if not np.isfinite(self.corners).all():
            raise RainError(f"box: holds NaN or infinity: {self.corners}")
        if self.right <= self.left or self.bottom <= self.top:
            raise RainError(f"box: expected left < right and top < bottom, got {self.corners}")

    @property
    def corners(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom."""
        return self.left, self.top, self.right, self.bottom

    @classmethod
    def around(cls, mask: NDArray) -> Box | None:
        """The box around a mask (H, W); None where it is empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        return cls(*map(float, (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)))

    def within(self, height: int, width: int) -> Box:
        """The part that lies in the image; RainError where less than a pixel of it does."""
        left, right = np.clip((self.left, self.right), 0, width)
        top, bottom = np.clip((self.top, self.bottom), 0, height)
        if right - left < 1 or bottom - top < 1:
            raise RainError(
                f"box {tuple(round(c) for c in self.corners)} lies outside the image of "
                f"{width} x {height} pixels"
            )
        return Box(float(left), float(top), float(right), float(bottom))


@dataclass(frozen=True)
class Points:
    """Clicks in pixels: ``on`` lie on the target, ``off`` do not."""

    on: tuple[tuple[float, float], ...]
    off: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if not self.on:
            raise RainError("points: at least one must lie on the target")


@dataclass(frozen=True)
class Mask:
    """The target's region as it is in this frame: bool (H, W)."""

    region: NDArray[np.bool_]

    def __post_init__(self) -> None:
        if self.region.ndim != 2 or self.region.dtype != np.bool_:
            raise RainError(
                f"mask: expected bool (H, W), got {self.region.dtype} {self.region.shape}"
            )
        if not self.region.any():
            raise RainError("mask: it is empty")


Prompt = Box | Points | Mask


def fitted(prompt: Prompt, height: int, width: int) -> Prompt:
    """The prompt, cut to an image's size; RainError where it does not lie in it."""
    if isinstance(prompt, Box):
        return prompt.within(height, width)
    if isinstance(prompt, Mask):
        if prompt.region.shape != (height, width):
            raise RainError(
                f"mask: it has {prompt.region.shape}, the image {(height, width)} (rows, columns)"
            )
        return prompt
    for x, y in (*prompt.on, *prompt.off):
        if not (0 <= x < width and 0 <= y < height):
            raise RainError(
                f"point ({x:g}, {y:g}) lies outside the image of {width} x {height} pixels"
            )
    return prompt
