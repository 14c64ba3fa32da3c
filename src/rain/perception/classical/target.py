"""One target in one view, followed from image to image by colour, place and motion."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.perception.classical.colour import codes, histogram, likeness, log_ratio
from rain.perception.classical.motion import find_shift
from rain.perception.classical.propagate import box_blur, propagate, resample
from rain.types import Array


@dataclass(frozen=True)
class Settings:
    """How a target is followed. Lengths are pixels of the working image, 128 across."""

    reach: int = 14
    """How far a target moves from one image to the next at most."""
    radius: int = 3
    """How far, in cells of the working window, a pixel looks for those like it."""
    sharpness: float = 600.0
    """How alike colours must be, per squared difference of RGB in [0, 1]."""
    colour: float = 0.06
    """Weight of the colours of the seed beside the labels of the image before."""
    smooth: float = 0.1
    """How much a pixel goes with its neighbours."""
    gain: float = 2.0
    """By which labels are made surer, so that they do not blur over many images."""
    cells: int = 64
    """Side of the working window at most; larger regions are followed on a coarser grid."""
    smallest: float = 4.0
    """Pixels below which a target is lost."""
    alike: float = 0.45
    """Likeness of colours to the seed's below which a target is lost, and above which a place is
    taken for it again."""


class FollowedTarget:
    """Follows one target. Images are float32 (S, S', 3) in [0, 1] of one size."""

    def __init__(self, image: NDArray[np.uint8], label: Array, settings: Settings) -> None:
        """Begin with the label, float (H, W) in [0, 1], of the first image."""
        self._settings = settings
        self._before = _float(image)
        self._label = label
        cells = codes(image)
        self._seed = histogram(cells, label)
        around = np.clip(box_blur(label, 12) * 40, 0, 1) * (1 - label) + 0.02 * (1 - label)
        self._ratio = log_ratio(self._seed, histogram(cells, around))
        self._area = float(label.sum())
        self._velocity = (0.0, 0.0)
        self.lost = self._area < settings.smallest
        self.score = 0.0 if self.lost else 1.0

    def follow(self, image: NDArray[np.uint8]) -> Array:
        """The label of the next image, float32 (H, W) in [0, 1]; all zero where it is lost."""
        now, cells = _float(image), codes(image)
        label = self._search(cells) if self.lost else self._moved(now, cells)
        self._judge(label, cells)
        self._before = now
        self._label = np.zeros_like(label) if self.lost else label
        return self._label

    def _moved(self, now: Array, cells: NDArray[np.int32]) -> Array:
        s = self._settings
        shift = self._shift(now)
        top, bottom, left, right, step = self._window()
        rows, columns = np.arange(top, bottom, step), np.arange(left, right, step)
        was = self._at(self._before, rows, columns, step)
        label = self._at(self._label, rows, columns, step)
        rows, columns = rows + shift[0], columns + shift[1]
        seen = self._at(now, rows, columns, step)
        found = propagate(was, label, seen, s.radius, s.sharpness)
        ratio = self._at(self._ratio[cells], rows, columns, step)
        odds = np.log((found + 1e-3) / (1 - found + 1e-3)) + s.colour * ratio
        odds = (1 - s.smooth) * odds + s.smooth * box_blur(odds.astype(np.float32), 1)
        sure = (1 / (1 + np.exp(-s.gain * odds))).astype(np.float32)
        return self._back(sure, rows, columns, now.shape[:2])

    def _shift(self, now: Array) -> tuple[int, int]:
        weight = np.clip(box_blur(self._label, 1), 0, 1)
        shift = find_shift(self._before, now, weight, self._velocity, self._settings.reach)
        self._velocity = (0.7 * shift[0], 0.7 * shift[1])
        return shift

    def _window(self) -> tuple[int, int, int, int, int]:
        """Rows, columns and step of the grid about the region; it may reach beyond the image."""
        rows = np.flatnonzero((self._label > 0.3).any(axis=1))
        columns = np.flatnonzero((self._label > 0.3).any(axis=0))
        span = max(rows[-1] - rows[0], columns[-1] - columns[0]) + 1
        margin = 6 + span // 6
        step = int(np.ceil((span + 2 * margin) / self._settings.cells))
        return (
            int(rows[0]) - margin,
            int(rows[-1]) + margin + 1,
            int(columns[0]) - margin,
            int(columns[-1]) + margin + 1,
            step,
        )

    @staticmethod
    def _at(image: Array, rows: NDArray, columns: NDArray, step: int) -> Array:
        height, width = image.shape[:2]
        rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
        if step > 1:
            image = box_blur(image, step // 2)
        return image[rows[:, None], columns[None]]

    @staticmethod
    def _back(label: Array, rows: NDArray, columns: NDArray, shape: tuple[int, ...]) -> Array:
        """A grid's label in the whole image."""
        height, width = shape
        top, left = max(int(rows[0]), 0), max(int(columns[0]), 0)
        bottom, right = min(int(rows[-1]) + 1, height), min(int(columns[-1]) + 1, width)
        whole = np.zeros((height, width), np.float32)
        if bottom <= top or right <= left:
            return whole
        step = int(rows[1] - rows[0]) if len(rows) > 1 else 1
        across = int(columns[1] - columns[0]) if len(columns) > 1 else 1
        whole[top:bottom, left:right] = resample(
            label,
            (np.arange(top, bottom) - rows[0]) / step,
            (np.arange(left, right) - columns[0]) / across,
        )
        return whole

    def _judge(self, label: Array, cells: NDArray[np.int32]) -> None:
        """Whether what was found is the target, and how sure that is."""
        area = float((label > 0.5).sum())
        alike = likeness(self._seed, histogram(cells, np.where(label > 0.5, label, 0)))
        self.lost = area < self._settings.smallest or alike < self._settings.alike
        self.score = 0.0 if area == 0 else alike
        if not self.lost:
            self._area = 0.9 * self._area + 0.1 * area

    def _search(self, cells: NDArray[np.int32]) -> Array:
        """Look for the target in the whole image, by its colours and size."""
        ratio = self._ratio[cells]
        radius = max(1, round(np.sqrt(self._area) / 2 - 0.5))
        blurred = box_blur(ratio, radius)
        row, column = np.unravel_index(int(np.argmax(blurred)), blurred.shape)
        label = np.zeros(cells.shape, np.float32)
        if blurred[row, column] < 1.0:
            return label
        reach = 2 * radius + 1
        at = np.s_[
            max(row - reach, 0) : row + reach + 1, max(column - reach, 0) : column + reach + 1
        ]
        label[at] = (box_blur(ratio, 1)[at] > 0.5).astype(np.float32)
        return label


def _float(image: NDArray[np.uint8]) -> Array:
    return (image / 255).astype(np.float32)
