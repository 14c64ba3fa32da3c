"""Looking at augmentation: samples as they were recorded, and as training sees them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rain.demos.augment import AugmentOptions, vary
from rain.demos.dataset import Dataset
from rain.drawing import INK, PAPER, font, replacing, tint
from rain.types import Array, RainError

TILE = 144
"""Side of a view, pixels."""
GAP = 8
CAPTION = 20


def augmentation_sheet(
    dataset: Dataset, options: AugmentOptions, out: Path, samples: int, draws: int, seed: int
) -> Iterator[tuple[int, int]]:
    """Write a PNG with a row a sample; yields (rows done, of how many).

    A row is the sample as recorded and then ``draws`` variations of it, each with all views side by
    side and the region tinted. Samples are frames of subtasks, of different episodes where there
    are enough.
    """
    if out.suffix != ".png":
        raise RainError(f"{out}: a sheet's name ends in .png")
    if samples < 1 or draws < 1:
        raise RainError("--samples and --draws: at least one of each")
    rng = np.random.default_rng([seed, 3])
    chosen = rng.permutation(len(dataset))[:samples]
    width = len(dataset.conventions.views) * TILE + GAP
    size = ((1 + draws) * width + GAP, len(chosen) * (TILE + CAPTION + GAP) + GAP)
    sheet = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(sheet)
    for row, number in enumerate(chosen.tolist()):
        name, images, regions = _sample(dataset, number, rng)
        again = np.repeat(images[None], draws, 0), np.repeat(regions[None], draws, 0)
        varied, noisy = vary(*again, options, seed, row)
        assert varied is not None
        top = GAP + row * (TILE + CAPTION + GAP)
        pen.text((GAP, top), f"{name}, as recorded", fill=INK, font=font(12))
        pen.text((GAP + width, top), "as training sees it", fill=INK, font=font(12))
        pictures = [(images, regions), *zip(varied, noisy, strict=True)]
        for column, (seen, marked) in enumerate(pictures):
            views = [tint(_scaled(i), r) for i, r in zip(seen, marked, strict=True)]
            tile = Image.fromarray(np.concatenate(views, axis=1))
            sheet.paste(tile, (GAP + column * width, top + CAPTION))
        yield row + 1, len(chosen)
    with replacing(out) as temporary:
        sheet.save(temporary, format="PNG")


def _sample(
    dataset: Dataset, number: int, rng: np.random.Generator
) -> tuple[str, NDArray[np.uint8], Array]:
    """A frame of a subtask of an episode: its name, images (V, S, S, 3), regions (V, S, S)."""
    episode = dataset.episode(number)
    span = episode.spans[rng.integers(len(episode.spans))]
    during = np.flatnonzero((episode.frames >= span.start) & (episode.frames < span.end))
    # A subtask may be shorter than the spacing of kept frames.
    frames = during if len(during) else np.arange(len(episode.frames))
    frame = int(rng.choice(frames))
    regions = episode.region(frame, span.subtask.target).astype(np.float32)
    name = f"episode {number} frame {frame}: {span.subtask.action_type}"
    return name, episode.images[frame], regions


def _scaled(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))
