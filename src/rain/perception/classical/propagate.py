"""Labels that pass from one image to the next: each pixel asks those like it where it was before.

A pixel's label is the mean of the labels about its place in the image before, weighted by how alike
their colours are (non-local label propagation; as attention over a local window, without learning).
"""

from __future__ import annotations

import numpy as np

from rain.types import Array

UNLIKE = 1e-6
"""Weight of a pixel's own place beside those that are like it, of weight up to 1 each."""


def propagate(before: Array, labels: Array, now: Array, radius: int, sharpness: float) -> Array:
    """Labels (H, W) of ``now`` from the ``labels`` of ``before``; images float (H, W, C).

    radius: how far a pixel looks about its own place. sharpness: of likeness, per squared colour.
    """
    height, width = labels.shape
    pad = ((radius, radius), (radius, radius))
    images = np.pad(before, (*pad, (0, 0)), mode="edge")
    known = np.pad(labels, pad, mode="edge")
    # Where nothing is alike, a pixel keeps the label of its place: what comes into the image beside
    # the target is taken for more of it.
    total = np.full((height, width), UNLIKE, np.float32)
    mean = UNLIKE * labels
    for down in range(2 * radius + 1):
        for right in range(2 * radius + 1):
            at = np.s_[down : down + height, right : right + width]
            difference = images[at] - now
            distance = np.einsum("ijk,ijk->ij", difference, difference)
            away = ((down - radius) ** 2 + (right - radius) ** 2) / max(radius, 1) ** 2
            weight = np.exp(-sharpness * distance - away)
            total += weight
            mean += weight * known[at]
    return mean / total


def box_blur(image: Array, radius: int) -> Array:
    """Mean over (2 radius + 1)² pixels, edges repeated; (H, W) or (H, W, C)."""
    size = 2 * radius + 1
    for axis in (0, 1):
        pad = [(0, 0)] * image.ndim
        pad[axis] = (radius + 1, radius)
        sums = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float64)
        after = np.take(sums, np.arange(size, sums.shape[axis]), axis=axis)
        before = np.take(sums, np.arange(sums.shape[axis] - size), axis=axis)
        image = ((after - before) / size).astype(np.float32)
    return image


def resample(image: Array, rows: Array, columns: Array) -> Array:
    """Bilinear values at a grid of places, edges repeated: (len(rows), len(columns)[, C])."""
    height, width = image.shape[:2]
    rows, columns = np.clip(rows, 0, height - 1), np.clip(columns, 0, width - 1)
    top = np.minimum(rows.astype(np.int64), max(height - 2, 0))
    left = np.minimum(columns.astype(np.int64), max(width - 2, 0))
    tail = (1,) * (image.ndim - 2)
    down = (rows - top).reshape(-1, 1, *tail).astype(np.float32)
    right = (columns - left).reshape(1, -1, *tail).astype(np.float32)
    below, beside = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = image[top[:, None], left] * (1 - right) + image[top[:, None], beside] * right
    lower = image[below[:, None], left] * (1 - right) + image[below[:, None], beside] * right
    return upper * (1 - down) + lower * down
