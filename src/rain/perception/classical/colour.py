"""What colours a target has that its surroundings do not: histograms and their log ratio."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rain.types import Array

BINS = 16
"""Per channel."""

_CELLS = BINS**3
SURE = 3.0
"""Log ratios are cut at ± this: a colour alone decides nothing for good."""


def codes(image: NDArray[np.uint8]) -> NDArray[np.int32]:
    """The cell of each pixel's colour, int32 (H, W)."""
    coarse = (image >> 4).astype(np.int32)
    return (coarse[..., 0] * BINS + coarse[..., 1]) * BINS + coarse[..., 2]


def histogram(cells: NDArray[np.int32], weights: Array) -> Array:
    """How often each cell's colour, or a neighbour's, occurs: float32 (4096,), sum 1."""
    found = np.bincount(cells.ravel(), weights.ravel(), minlength=_CELLS)
    counts = found.astype(np.float32).reshape(BINS, BINS, BINS)
    for axis in range(3):
        # Shading moves a colour into the next cell.
        padded = np.pad(counts, [(1, 1) if a == axis else (0, 0) for a in range(3)], mode="edge")
        low, middle, high = (
            np.take(padded, np.arange(BINS) + offset, axis=axis) for offset in range(3)
        )
        counts = (0.25 * low + 0.5 * middle + 0.25 * high).astype(np.float32)
    total = counts.sum()
    return (counts / total if total > 0 else counts).reshape(-1).astype(np.float32)


def log_ratio(target: Array, around: Array) -> Array:
    """Log of how much likelier each cell is on the target, cut at ± ``SURE``: (4096,)."""
    floor = 1.0 / _CELLS
    ratio = np.log((target + floor) / (around + floor))
    return np.clip(ratio, -SURE, SURE).astype(np.float32)


def likeness(first: Array, second: Array) -> float:
    """Bhattacharyya's coefficient of two histograms, in [0, 1]."""
    return float(np.sqrt(first * second).sum())
