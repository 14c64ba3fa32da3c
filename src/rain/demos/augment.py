"""Variation of a batch: colours of images, their geometry with that of regions, region noise.

Random numbers are drawn for the global batch, so that a sample is augmented alike on any number of
processes.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rain.demos import region_noise
from rain.demos.region_noise import RegionNoise, check_share, spoil
from rain.demos.sampler import Batch
from rain.types import Array, RainError

_GREY = np.array([0.299, 0.587, 0.114], np.float32)
_IMAGE_DRAWS = 11


@dataclass(frozen=True)
class AugmentOptions:
    """How much a batch is varied, each view by itself; 0 turns a part off.

    Colour, crop and shift change images: a frozen backbone's features are then computed from
    decoded images at every step, and no longer once. Crop and shift change where things are seen,
    but not the state and the plan, which are in the robot's base frame: to the network the camera
    was nudged. Keep them small.
    """

    colour: float = 0.0
    """Share of images whose colours change."""
    brightness: float = 0.2
    """By which fraction at most."""
    contrast: float = 0.2
    """By which fraction at most."""
    saturation: float = 0.2
    """By which fraction at most."""
    crop: float = 0.0
    """Share of views of which a square is cut out and resized back, image and region alike."""
    crop_by: float = 0.05
    """Largest part of the side that is cut away, a fraction."""
    shift: float = 0.0
    """Share of views that are moved, image and region alike; the border is repeated."""
    shift_by: float = 0.02
    """How far at most along each axis, a fraction of the side."""
    region: RegionNoise = field(default_factory=RegionNoise)
    """Mistakes in regions alone."""

    def __post_init__(self) -> None:
        for name in ("colour", "brightness", "contrast", "saturation", "crop", "shift"):
            check_share(f"augment.{name}", getattr(self, name))
        for name in ("crop_by", "shift_by"):
            check_share(f"augment.{name}", getattr(self, name), 0.5)

    @property
    def varies_images(self) -> bool:
        """Whether images change, so that features of the recorded ones would not be theirs."""
        return max(self.colour, self.crop, self.shift) > 0


def augment(
    batch: Batch, options: AugmentOptions, seed: int, step: int, share: tuple[int, int] = (0, 1)
) -> Batch:
    """Vary a batch by (seed, step), this process's share (rank, world) of it.

    RainError where options would vary the images of cached features: the region must stay in
    register with them.
    """
    if options.varies_images and batch.images is None:
        raise RainError("augment: colour, crop and shift need images, the batch has features")
    images, regions = vary(batch.images, batch.regions, options, seed, step, share)
    return replace(batch, images=images, regions=regions)


def vary(
    images: NDArray[np.uint8] | None,
    regions: Array,
    options: AugmentOptions,
    seed: int,
    step: int,
    share: tuple[int, int] = (0, 1),
) -> tuple[NDArray[np.uint8] | None, Array]:
    """Vary images (B, V, S, S, 3) and regions (B, V, S, S) in [0, 1]; what came in is left alone.

    Image and region of a view get the same geometry.
    """
    rank, world = share
    count, views = regions.shape[:2]
    rng = np.random.default_rng([seed, step, 1])
    width = _IMAGE_DRAWS + region_noise.DRAWS
    draws = rng.random((world, count, views, width), dtype=np.float32)[rank]
    if options.varies_images and images is not None:
        images, regions = images.copy(), regions.copy()
        moved = (draws[..., 4] < options.crop) | (draws[..., 5] < options.shift)
        for i, v in np.argwhere(moved):
            window = _seen(draws[i, v, 4:], options, regions.shape[-1])
            seen = resample(images[i, v], *window)
            images[i, v] = seen if seen.dtype == np.uint8 else np.rint(seen, out=seen)
            # Rounding may pass 1 by a bit.
            regions[i, v] = np.minimum(resample(regions[i, v], *window), 1.0)
        for i, v in np.argwhere(draws[..., 0] < options.colour):
            images[i, v] = jitter(images[i, v], draws[i, v, 1:4], options)
    if options.region.on:
        regions = spoil(regions, draws[..., _IMAGE_DRAWS:], options.region)
    return images, regions


def _seen(draws: Array, options: AugmentOptions, size: int) -> tuple[float, float, float]:
    """Choose which square of a view is seen: top, left, side, in pixels."""
    crop, shift = draws[:2]
    top, left, side = 0.0, 0.0, float(size)
    if crop < options.crop:
        side -= draws[2] * options.crop_by * size
        top, left = draws[3:5] * (size - side)
    if shift < options.shift:
        # Whole pixels, so that a mere shift blurs nothing.
        down, right = np.rint((2 * draws[5:7] - 1) * options.shift_by * size)
        top, left = top - down, left - right
    return float(top), float(left), side


def resample(picture: NDArray, top: float, left: float, side: float) -> NDArray:
    """Show a square of a picture (S, S, …) at full size, by bilinear interpolation.

    top, left, side: of the square, in pixels; beyond the border the picture repeats it. Returns
    float32, or the picture's own type where nothing lies between two pixels.
    """
    size = len(picture)
    for axis, start in ((0, top), (1, left)):
        middles = start + (np.arange(size) + 0.5) * (side / size) - 0.5
        at = np.minimum(np.maximum(middles, 0), size - 1)
        low = at.astype(np.int64)
        weight = (at - low).astype(np.float32).reshape((-1,) + (1,) * (picture.ndim - 1 - axis))
        near = picture.take(low, axis)
        if weight.any():
            near = near.astype(np.float32, copy=False)
            far = picture.take(np.minimum(low + 1, size - 1), axis)
            far = np.subtract(far, near, dtype=np.float32)
            far *= weight
            near += far
        picture = near
    return picture


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
