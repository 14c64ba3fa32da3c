"""Mistakes of a segmenter, laid over regions: SAM 2 does not draw what a simulator draws.

Every mistake stays within a window about the region, for regions are small and images are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import Array, RainError

DRAWS = 35
"""Random numbers that one region takes."""

LEAST = 0.25
"""Share of a region's mass that its edge, shift and missing parts leave: a thin one stays there."""

# Which of a region's draws decides what.
_EDGE, _SHIFT, _FRAGMENT, _SPECK, _DROP = range(5)
_EDGE_BY, _SHIFT_BY, _PARTS, _MISSING, _SPECKS, _FALSE = 5, 6, 8, 10, 22, 23


def check_share(name: str, value: float, most: float = 1.0) -> None:
    """Raise RainError where a value is not in [0, most]."""
    if not 0 <= value <= most:
        raise RainError(f"{name}: expected a value in [0, {most:g}], got {value}")


@dataclass(frozen=True)
class RegionNoise:
    """Mistakes in regions, each view by itself; a chance of 0 is never.

    Lengths are fractions of the image's side, so that images of any size are treated alike; none is
    taken as less than a pixel.
    """

    dilate: float = 0.0
    """Chance that a region grows at its edge."""
    erode: float = 0.0
    """Chance that it shrinks there; never both."""
    edge: float = 0.02
    """Length: how far at most it grows or shrinks; a pixel at least."""
    shift: float = 0.0
    """Chance that a region is moved and its image is not, as where a tracker lags."""
    shift_by: float = 0.02
    """Length: how far at most along each axis."""
    fragment: float = 0.0
    """Chance that parts are missing: half of the time all beyond a line, as where a tracker has
    only a part of the object; else one to three holes."""
    speck: float = 0.0
    """Chance of one to three specks anywhere that are not the target."""
    speck_by: float = 0.05
    """Length: how large a speck is across at most."""
    drop: float = 0.0
    """Chance that a view's region is lost."""
    drop_all: bool = False
    """Whether a sample may lose its region in all views; else one view keeps it."""

    def __post_init__(self) -> None:
        for name in ("dilate", "erode", "shift", "fragment", "speck", "drop"):
            check_share(f"augment.region.{name}", getattr(self, name))
        for name in ("edge", "shift_by", "speck_by"):
            check_share(f"augment.region.{name}", getattr(self, name), 0.5)
        if self.dilate + self.erode > 1:
            raise RainError("augment.region: dilate and erode are never both; their sum is above 1")

    @property
    def on(self) -> bool:
        """Whether any mistake is made at all."""
        return max(*self._chances, self.drop) > 0

    @property
    def _chances(self) -> tuple[float, float, float, float]:
        """Of edge, shift, fragment and speck, in the order of their draws."""
        return self.dilate + self.erode, self.shift, self.fragment, self.speck


TRACKER = RegionNoise(dilate=0.1, erode=0.1, shift=0.1, fragment=0.08, speck=0.08, drop=0.04)
"""What every recipe trains with, for the regions of a dataset are a simulator's: about six in ten
stay as they are. Which chances are best was not measured."""


def spoil(regions: Array, draws: Array, noise: RegionNoise) -> Array:
    """Return regions (B, V, S, S) in [0, 1] with mistakes, chosen by draws (B, V, DRAWS) in [0, 1).

    A sample keeps its region in one view at least, unless ``drop_all``; where its regions were all
    empty before, nothing but specks comes in.
    """
    result = regions.copy()
    for i, v in np.argwhere((draws[..., :_DROP] < np.array(noise._chances)).any(axis=-1)):
        _spoil_one(result[i, v], draws[i, v], noise)
    lost = draws[..., _DROP] < noise.drop
    if not noise.drop_all:
        for i in np.flatnonzero(lost.any(axis=1)):
            seen = regions[i].any(axis=(1, 2))
            if seen.any() and not (seen & ~lost[i]).any():
                lost[i, np.where(seen, draws[i, :, _DROP], -1).argmax()] = False
    result[lost] = 0.0
    return result


def _spoil_one(region: Array, draws: Array, noise: RegionNoise) -> None:
    """Spoil one region (S, S) in place."""
    size = len(region)
    edge, far = (max(1, round(length * size)) for length in (noise.edge, noise.shift_by))
    window = _window(region, edge + far)
    if window is not None:
        part = region[window].copy()
        least = LEAST * float(part.sum())
        if draws[_EDGE] < noise.dilate + noise.erode:
            steps = 1 + int(draws[_EDGE_BY] * edge)
            larger = draws[_EDGE] < noise.dilate
            part = grow(part, steps) if larger else shrink(part, steps, least)
        if draws[_SHIFT] < noise.shift:
            down, right = np.rint((2 * draws[_SHIFT_BY : _SHIFT_BY + 2] - 1) * far).astype(int)
            part = _if_left(move(part, down, right), part, least)
        if draws[_FRAGMENT] < noise.fragment:
            part = _if_left(_fragment(part, draws[_PARTS:_SPECKS]), part, least)
        region[window] = part
    if draws[_SPECK] < noise.speck:
        radius = max(0.5, noise.speck_by * size / 2)
        for place, extent in _pieces(draws[_SPECKS], draws[_FALSE:]):
            _ellipse(region, place * size, 0.5 + extent * (radius - 0.5), 1.0)


def _window(region: Array, margin: int) -> tuple[slice, slice] | None:
    """Where a region lies, with a margin, within the image; None if it is empty."""
    sides = []
    for axis in (1, 0):
        at = np.flatnonzero(region.any(axis=axis))
        if not len(at):
            return None
        sides.append(slice(max(0, at[0] - margin), min(len(region), at[-1] + 1 + margin)))
    return sides[0], sides[1]


def _if_left(changed: Array, before: Array, least: float) -> Array:
    return changed if float(changed.sum()) >= least else before


def grow(region: Array, steps: int) -> Array:
    """Dilate a region (H, W) by so many pixels, to an octagon about each of its pixels."""
    for number in range(steps):
        region = _neighbours(region, np.maximum, square=number % 2 == 1)
    return region


def shrink(region: Array, steps: int, least: float = 0.0) -> Array:
    """Erode a region (H, W) by so many pixels, or fewer where less than a mass would be left.

    Beyond the border it goes on as at the border.
    """
    for number in range(steps):
        smaller = _neighbours(region, np.minimum, square=number % 2 == 1)
        if float(smaller.sum()) < least:
            break
        region = smaller
    return region


def _neighbours(region: Array, combine: Callable[..., Array], square: bool) -> Array:
    """Combine every pixel with its 4 neighbours, or with the 8 of a square."""
    result = region.copy()
    combine(result[1:], region[:-1], out=result[1:])
    combine(result[:-1], region[1:], out=result[:-1])
    across = result.copy() if square else region
    combine(result[:, 1:], across[:, :-1], out=result[:, 1:])
    combine(result[:, :-1], across[:, 1:], out=result[:, :-1])
    return result


def move(region: Array, down: int, right: int) -> Array:
    """Move a region (H, W) by whole pixels; what comes in at the border repeats it."""
    rows, columns = (
        np.minimum(np.maximum(np.arange(length) - by, 0), length - 1)
        for length, by in zip(region.shape, (down, right), strict=True)
    )
    return region[rows[:, None], columns]


def _fragment(region: Array, draws: Array) -> Array:
    """Take parts out of a region (H, W) that is not empty; draws (14,)."""
    kind, count = draws[:2]
    result, inside = region.copy(), np.argwhere(region > 0)
    if kind < 0.5:
        angle = 2 * np.pi * draws[2]
        along = inside @ np.array([np.sin(angle), np.cos(angle)])
        # A fifth to three fifths of it lie beyond the line.
        beyond = inside[along < np.sort(along)[int((0.2 + 0.4 * draws[3]) * len(along))]]
        result[beyond[:, 0], beyond[:, 1]] = 0.0
        return result
    sides = np.ptp(inside, axis=0) + 1
    for place, extent in _pieces(count, draws[2:]):
        centre = inside[int(place[0] * len(inside))]
        _ellipse(result, centre, np.maximum((0.1 + 0.25 * extent) * sides, 0.8), 0.0)
    return result


def _pieces(count: float, draws: Array) -> list[tuple[NDArray, NDArray]]:
    """One to three pieces: where and how large, two draws each."""
    return [(draws[k : k + 2], draws[k + 2 : k + 4]) for k in range(0, 4 * (1 + int(3 * count)), 4)]


def _ellipse(region: Array, centre: NDArray, radii: NDArray, value: float) -> None:
    """Write a value into an ellipse along the axes; centre and radii: rows, columns, pixels."""
    low = np.maximum(centre - radii, 0).astype(int)
    high = (centre + radii).astype(int) + 2
    part = region[low[0] : high[0], low[1] : high[1]]
    rows, columns = (
        ((np.arange(start, start + length) - middle) / radius) ** 2
        for start, length, middle, radius in zip(low, part.shape, centre, radii, strict=True)
    )
    part[rows[:, None] + columns <= 1] = value
