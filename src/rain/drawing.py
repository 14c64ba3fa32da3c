"""Drawing on images, and videos: regions, plans, subtasks and progress.

A room of its own, so that rollouts and demonstrations look alike. Imports ``types`` only.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from types import TracebackType

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from rain.types import Progress, RainError, Subtask, SubtaskSpan

Colour = tuple[int, int, int]

VIEW_PIXELS = 320
"""Side of one view in a video, pixels."""

REGION: Colour = (64, 224, 120)
PLAN_NEAR: Colour = (255, 214, 70)
PLAN_FAR: Colour = (255, 84, 60)
INK: Colour = (235, 238, 240)
FAINT: Colour = (120, 128, 136)
PAPER: Colour = (22, 25, 29)

HEADER = 28
TIMELINE = 36
ROW = 20
BAR = 104


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary name to write under; it becomes ``path`` at the end, or goes on an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class VideoWriter:
    """Writes uint8 (H, W, 3) frames to an mp4: H.264 where this PyAV has it, else MPEG-4.

    The file appears under its name when it is complete (``close``); leaving the ``with`` block with
    an exception, or ``discard``, leaves nothing.
    """

    def __init__(self, path: Path, fps: float) -> None:
        if path.suffix != ".mp4":
            raise RainError(f"{path}: a video's name ends in .mp4")
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        self._container = av.open(str(self._temporary), "w", format="mp4")
        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        stream = self._container.add_stream(codec, rate=Fraction(fps).limit_denominator(1000))
        assert isinstance(stream, av.VideoStream)
        self._stream = stream
        self._stream.pix_fmt = "yuv420p"
        if codec == "libx264":
            self._stream.options = {"crf": "23", "preset": "veryfast"}
        else:
            self._stream.bit_rate = 4_000_000
        self._size: tuple[int, int] | None = None

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Append one frame; all frames have one even size."""
        size = frame.shape[:2]
        if self._size is None:
            if size[0] % 2 or size[1] % 2:
                raise ValueError(f"frame size {size} is not even")
            self._size = size
            self._stream.height, self._stream.width = size
        elif size != self._size:
            raise ValueError(f"frame size {size}, the video has {self._size}")
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        self._container.mux(self._stream.encode(picture))

    def close(self, path: Path | None = None) -> Path:
        """Finish the file, under another name if given, and return where it is."""
        if self._size is None:
            self.discard()
            raise ValueError(f"{self.path}: a video needs at least one frame")
        self._container.mux(self._stream.encode(None))
        self._container.close()
        path = path or self.path
        os.replace(self._temporary, path)
        return path

    def discard(self) -> None:
        """Remove what was written."""
        self._container.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()


def tint(
    image: NDArray[np.uint8], region: NDArray, strength: float = 0.45, colour: Colour = REGION
) -> NDArray[np.uint8]:
    """Colour the region, (h, w) bool or float in [0, 1] of any size, into an image (H, W, 3)."""
    height, width = image.shape[:2]
    mask = Image.fromarray(np.asarray(region, dtype=np.float32))
    weight = np.asarray(mask.resize((width, height), Image.Resampling.BILINEAR))[..., None]
    weight = np.clip(weight, 0.0, 1.0) * strength
    mixed = image * (1 - weight) + np.array(colour, dtype=np.float32) * weight
    return np.round(mixed).astype(np.uint8)


def draw_plan(image: NDArray[np.uint8], pixels: NDArray) -> NDArray[np.uint8]:
    """Draw waypoints (N, 2), u right and v down; the last, the interaction point, gets a ring.

    Waypoints that are NaN (behind the camera) or far outside the image are left out.
    """
    picture = Image.fromarray(image)
    draw = ImageDraw.Draw(picture)
    limit = 4 * max(image.shape)
    seen = np.isfinite(pixels).all(axis=1) & (np.abs(np.nan_to_num(pixels)) < limit).all(axis=1)
    points = [(float(u), float(v)) for u, v in pixels]
    last = len(points) - 1
    colours = [mix(PLAN_NEAR, PLAN_FAR, i / max(last, 1)) for i in range(len(points))]
    for i in range(last):
        if seen[i] and seen[i + 1]:
            draw.line([points[i], points[i + 1]], fill=colours[i], width=2)
    for i, (u, v) in enumerate(points):
        if seen[i]:
            draw.ellipse((u - 3, v - 3, u + 3, v + 3), fill=colours[i])
    if seen[last]:
        u, v = points[last]
        draw.ellipse((u - 8, v - 8, u + 8, v + 8), outline=PLAN_FAR, width=2)
    return np.asarray(picture)


def draw_header(text: str, width: int) -> NDArray[np.uint8]:
    """One line of text, uint8 (HEADER, width, 3)."""
    picture = Image.new("RGB", (width, HEADER), PAPER)
    ImageDraw.Draw(picture).text((8, 5), text, fill=INK, font=font(15))
    return np.asarray(picture)


def draw_panel(
    subtasks: Sequence[Subtask], current: int, progress: Progress | None, status: str, width: int
) -> NDArray[np.uint8]:
    """The subtasks (done, current, to come), the step, and a bar for each part of progress, if any.

    ``current`` is len(subtasks) when all are done. uint8 (H, width, 3), H even.
    """
    height = max(3, len(subtasks) + 1) * ROW + 12
    picture = Image.new("RGB", (width, height + height % 2), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, subtask in enumerate(subtasks):
        sign, colour = (
            (">", INK) if i == current else ("-", FAINT) if i > current else ("+", REGION)
        )
        draw.text((8, 6 + i * ROW), f"{sign} {subtask}", fill=colour, font=font(14))
    draw.text((8, 6 + len(subtasks) * ROW), status, fill=INK, font=font(14))
    left = width - BAR - 64
    parts = ("completion", "distance", "alignment") if progress is not None else ()
    for i, name in enumerate(parts):
        value, top = getattr(progress, name), 8 + i * ROW
        draw.text((left - 88, top - 2), name, fill=INK, font=font(14))
        draw.rectangle((left, top, left + BAR, top + 12), outline=FAINT)
        draw.rectangle((left + 2, top + 2, left + 2 + (BAR - 4) * value, top + 10), fill=REGION)
        draw.text((left + BAR + 10, top - 2), f"{value:.2f}", fill=INK, font=font(14))
    return np.asarray(picture)


def draw_timeline(
    spans: Sequence[SubtaskSpan], step: int, steps: int, width: int
) -> NDArray[np.uint8]:
    """A bar over a whole episode of ``steps`` control steps: uint8 (TIMELINE, width, 3).

    One block a subtask, from start to end, with a line at its interaction, and a cursor at
    ``step``; what follows the last end stays empty.
    """
    picture = Image.new("RGB", (width, TIMELINE), PAPER)
    draw = ImageDraw.Draw(picture)

    def x(at: int) -> float:
        return 8 + (width - 17) * at / max(steps, 1)

    draw.rectangle((x(0), 8, x(steps), 24), outline=FAINT)
    for i, span in enumerate(spans):
        shade = mix(FAINT, REGION, 0.35 if i % 2 else 0.7)
        draw.rectangle((x(span.start), 9, x(span.end), 23), fill=shade)
        draw.line((x(span.interaction), 5, x(span.interaction), 27), fill=PLAN_NEAR, width=2)
        draw.line((x(span.end), 3, x(span.end), 29), fill=INK, width=2)
        name = span.subtask.action_type
        if draw.textlength(name, font=font(12)) < x(span.end) - x(span.start) - 8:
            draw.text((x(span.start) + 4, 9), name, fill=PAPER, font=font(12))
    draw.line((x(step), 0, x(step), TIMELINE), fill=PLAN_FAR, width=3)
    return np.asarray(picture)


def label(image: NDArray[np.uint8], text: str) -> NDArray[np.uint8]:
    """Write a view's name into its lower left corner."""
    picture = Image.fromarray(image)
    place = (8, image.shape[0] - 22)
    ImageDraw.Draw(picture).text(
        place, text, fill=INK, font=font(14), stroke_width=1, stroke_fill=PAPER
    )
    return np.asarray(picture)


def mix(near: Colour, far: Colour, share: float) -> Colour:
    """The colour ``share`` of the way from one to another."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(near, far, strict=True))
    return red, green, blue


@lru_cache(maxsize=4)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, ``size`` pixels high."""
    return ImageFont.load_default(size)
