"""A first region from a box or clicks, by colour: what is inside and unlike what is around."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rain.perception.classical.colour import codes, histogram, log_ratio
from rain.perception.classical.propagate import box_blur
from rain.perception.prompts import Box, Mask, Points, Prompt
from rain.types import Array

_ROUNDS = 4
_REACH = 0.25
"""How far a click's region may reach, a fraction of the image's larger side."""


def first_label(image: NDArray[np.uint8], prompt: Prompt) -> Array:
    """The label, float32 (H, W) of zeros and ones, of the target that ``prompt`` points at."""
    if isinstance(prompt, Mask):
        return prompt.region.astype(np.float32)
    if isinstance(prompt, Box):
        return _from_box(image, prompt)
    return _from_points(image, prompt)


def _from_box(image: NDArray[np.uint8], box: Box) -> Array:
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    across, down = box.right - box.left, box.bottom - box.top
    u = (columns - (box.left + box.right) / 2) / (across / 2)
    v = (rows - (box.top + box.bottom) / 2) / (down / 2)
    inside = (np.abs(u) <= 1) & (np.abs(v) <= 1)
    margin = 2 * (4 + max(across, down) / 4)
    near = (np.abs(u) <= 1 + margin / across) & (np.abs(v) <= 1 + margin / down)
    # A box's corners are rarely the target's: its middle weighs more.
    round_ = u**2 + v**2 <= 1
    oval = (inside & round_).astype(np.float32)
    prior = 1.2 * (1 - u**2 - v**2)
    label, cells = oval, codes(image)
    for _ in range(_ROUNDS):
        ratio = log_ratio(
            histogram(cells, label), histogram(cells, (near * (1 - label)).astype(np.float32))
        )[cells]
        odds = box_blur((ratio + prior).astype(np.float32), 1)
        label = (inside & (odds > 0)).astype(np.float32)
    # Colours that tell nothing apart leave next to nothing: then the oval is the better guess.
    return label if label.sum() > 0.15 * inside.sum() else oval


def _from_points(image: NDArray[np.uint8], points: Points) -> Array:
    height, width = image.shape[:2]
    cells = codes(image)
    rows, columns = np.mgrid[0:height, 0:width] + 0.5
    away = np.min([np.hypot(columns - x, rows - y) for x, y in points.on], axis=0)
    label = (away <= 2.0).astype(np.float32)
    start = label > 0
    reach = _REACH * max(height, width)
    off = np.zeros((height, width), bool)
    for x, y in points.off:
        off |= np.hypot(columns - x, rows - y) <= 2.0
    for _ in range(_ROUNDS):
        outside = (away > 4) * (1 - label) + 4.0 * off
        ratio = log_ratio(histogram(cells, label), histogram(cells, outside.astype(np.float32)))[
            cells
        ]
        odds = box_blur(ratio.astype(np.float32), 1)
        label = _connected(start, (odds > 0.5) & (away < reach) & ~off).astype(np.float32)
    return label


def _connected(start: NDArray[np.bool_], allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The allowed pixels that are reached from ``start`` over allowed neighbours."""
    found = start.copy()
    while True:
        grown = found.copy()
        grown[1:] |= found[:-1]
        grown[:-1] |= found[1:]
        grown[:, 1:] |= found[:, :-1]
        grown[:, :-1] |= found[:, 1:]
        grown &= allowed | start
        if grown.sum() == found.sum():
            return grown
        found = grown
