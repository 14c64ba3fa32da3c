"""Camera messages as a policy needs them: upright, the square in the middle, one size. Pillow."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_PIXELS = 4096 * 4096
"""A picture that claims more is not decoded."""


def decode(data: bytes, quarter_turns: int, size: int) -> NDArray[np.uint8]:
    """A compressed picture as uint8 (size, size, 3); ValueError where it is none.

    quarter_turns: counter-clockwise, which make it upright.
    """
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG", "PNG")) as picture:
            width, height = picture.size
            if width * height > MOST_PIXELS:
                raise ValueError(f"{width} x {height} pixels are too many")
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            square = picture.convert("RGB").crop((left, top, left + side, top + side))
    except (OSError, SyntaxError) as error:  # Pillow raises either on broken data
        raise ValueError(f"no picture: {error}") from error
    if side != size:
        square = square.resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.ascontiguousarray(np.rot90(np.asarray(square), quarter_turns))


def jpeg(image: NDArray[np.uint8], quality: int = 90) -> bytes:
    """uint8 (H, W, 3) as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def png(labels: NDArray[np.uint8]) -> bytes:
    """uint8 (H, W) as PNG, without loss."""
    stream = io.BytesIO()
    Image.fromarray(labels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def decode_labels(data: bytes) -> NDArray[np.uint8]:
    """What ``png`` got; ValueError where it is something else."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
            if picture.mode != "L" or picture.size[0] * picture.size[1] > MOST_PIXELS:
                raise ValueError(f"no label map: {picture.mode} {picture.size}")
            return np.asarray(picture)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"no picture: {error}") from error
