"""A frame as bytes for the page: a JSON header and the views' JPEGs.

    4 bytes     length n of the header, big endian
    n bytes     header in UTF-8: number, stamp, facts, views [{name, width, height, bytes, region,
                plan}]
    rest        the JPEGs, one after another, in the views' order

A region is run lengths in reading order, beginning with how many pixels are outside.
"""

from __future__ import annotations

import io
import json
import struct
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rain.dashboard.frames import ShownFrame, ShownView

QUALITY = 80
"""Of the JPEGs, of 95."""
SMALL = 160
"""Pixels of a side up to which an image is compressed less."""


@lru_cache(maxsize=4)
def packed(frame: ShownFrame) -> bytes:
    """The frame's message; made once, however many viewers get it."""
    pictures = [jpeg(view.image) for view in frame.views.values()]
    header = {
        "number": frame.number,
        "stamp": frame.stamp,
        "facts": dict(frame.facts),
        "views": [
            _described(name, view, len(picture))
            for (name, view), picture in zip(frame.views.items(), pictures, strict=True)
        ],
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    return b"".join((struct.pack(">I", len(text)), text, *pictures))


def unpacked(message: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """Header and JPEGs of a message; ValueError where it is none."""
    if len(message) < 4:
        raise ValueError("a frame begins with the length of its header")
    (length,) = struct.unpack_from(">I", message)
    header, at, pictures = json.loads(message[4 : 4 + length]), 4 + length, []
    for view in header["views"]:
        pictures.append(message[at : at + view["bytes"]])
        at += view["bytes"]
    if at != len(message):
        raise ValueError(f"a frame of {at} bytes has {len(message)}")
    return header, pictures


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """An image (H, W, 3) as JPEG."""
    out = io.BytesIO()
    # What is shown enlarged must not lose its colours' edges as well.
    fine = {"quality": 92, "subsampling": 0} if max(image.shape) <= SMALL else {"quality": QUALITY}
    Image.fromarray(image).save(out, "JPEG", **fine)
    return out.getvalue()


def runs(region: NDArray[np.bool_]) -> dict[str, Any]:
    """A region (h, w) as run lengths."""
    flat = np.concatenate([[False], np.asarray(region, bool).ravel()])
    edges = np.flatnonzero(flat[1:] != flat[:-1])
    lengths = np.diff(np.concatenate([[0], edges, [region.size]]))
    return {"height": region.shape[0], "width": region.shape[1], "runs": lengths.tolist()}


def _described(name: str, view: ShownView, size: int) -> dict[str, Any]:
    height, width = view.image.shape[:2]
    plan = None
    if view.plan is not None:
        far = 4.0 * max(height, width)
        seen = np.isfinite(view.plan).all(axis=1) & (np.abs(np.nan_to_num(view.plan)) < far).all(1)
        rounded = np.round(view.plan, 1).tolist()
        plan = [point if ok else None for point, ok in zip(rounded, seen, strict=True)]
    region = None if view.region is None else runs(view.region)
    return {
        "name": name, "width": width, "height": height, "bytes": size, "region": region,
        "plan": plan,
    }  # fmt: skip
