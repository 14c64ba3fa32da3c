"""Cheap augmentation of a batch: colours of images, edges of regions.

Random numbers are drawn for the global batch, so that a sample is augmented alike on any number of
processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rain.demos.sampler import Batch
from rain.types import Array

_GREY = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True)
class AugmentOptions:
    """How much a batch is varied; 0 turns a part off.

    colour: share of images whose colours change, by up to ``brightness``, ``contrast`` and
        ``saturation`` (fractions), each view by itself.
    region: share of regions that grow, shrink or shift by one pixel.
    region_drop: chance that a view's region is lost, as when a tracker loses its target.
    """

    colour: float = 0.0
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    region: float = 0.0
    region_drop: float = 0.0


def augment(
    batch: Batch, options: AugmentOptions, seed: int, step: int, share: tuple[int, int] = (0, 1)
) -> Batch:
    """Vary a batch by (seed, step). Cached features keep their colours."""
    rank, world = share
    count, views = batch.regions.shape[:2]
    rng = np.random.default_rng([seed, step, 1])
    draws = rng.random((world, count, views, 8), dtype=np.float32)[rank]
    images, regions = batch.images, batch.regions
    if options.colour > 0 and images is not None:
        images = images.copy()
        for i, v in np.argwhere(draws[..., 0] < options.colour):
            images[i, v] = jitter(images[i, v], draws[i, v, 1:4], options)
    if options.region > 0 or options.region_drop > 0:
        regions = regions.copy()
        for i, v in np.argwhere(draws[..., 4] < options.region):
            regions[i, v] = roughen(regions[i, v], draws[i, v, 5], draws[i, v, 6])
        regions[draws[..., 7] < options.region_drop] = 0.0
    return replace(batch, images=images, regions=regions)


def jitter(image: NDArray[np.uint8], draws: Array, options: AugmentOptions) -> NDArray[np.uint8]:
    """Change brightness, contrast and saturation of an image (S, S, 3) by three draws in [0, 1).

    The three together are one affine map of the colours.
    """
    span = np.array([options.brightness, options.contrast, options.saturation], np.float32)
    bright, contrast, saturation = 1 + (2 * draws - 1) * span
    matrix = saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _GREY[:, None]
    matrix = (bright * contrast) * matrix
    flat = image.reshape(-1, 3).astype(np.float32)
    # Contrast turns about the image's mean grey, taken from every 16th pixel.
    middle = float((flat[::16] @ _GREY).mean()) * bright
    flat = flat @ matrix
    flat += (1 - contrast) * middle + 0.5
    np.clip(flat, 0, 255, out=flat)
    return flat.astype(np.uint8).reshape(image.shape)


def roughen(region: Array, kind: float, way: float) -> Array:
    """Grow, shrink or shift a region (S, S) by one pixel; two draws in [0, 1) choose."""
    moves = ((0, 1), (0, -1), (1, 0), (-1, 0))
    if kind < 1 / 3:
        return _shift(region, *moves[int(way * 4)])
    combine = np.maximum if kind < 2 / 3 else np.minimum
    result = region
    for move in moves:
        result = combine(result, _shift(region, *move))
    return result


def _shift(region: Array, down: int, right: int) -> Array:
    """Shift by one pixel; what comes in at the border repeats it."""
    size = region.shape[0]
    rows = np.clip(np.arange(size) - down, 0, size - 1)
    columns = np.clip(np.arange(size) - right, 0, size - 1)
    return region[rows[:, None], columns]
