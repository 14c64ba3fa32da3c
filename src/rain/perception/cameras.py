"""What cameras can do wrong: give nothing, change their size, freeze, go back in time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.perception.segmenter import Frame


class Cameras:
    """Lets through the images that can be used; says of the others why not."""

    def __init__(self, frozen_after_s: float | None) -> None:
        """A camera is frozen after so many seconds of one picture; None: never."""
        self._frozen_after = frozen_after_s
        self._shapes: dict[str, tuple[int, int]] = {}
        self._changed: set[str] = set()
        self._last: dict[str, tuple[NDArray[np.uint8], float]] = {}
        self._stamp = float("-inf")

    def begin(self) -> None:
        """A subtask begins: views may change their size, and the last frame may be looked at again.

        A subtask ends in a frame that was looked at; in that same frame the next one is grounded.
        """
        self._stamp = float(np.nextafter(self._stamp, -np.inf))
        self._shapes.clear()
        self._changed.clear()

    def shape(self, view: str) -> tuple[int, int] | None:
        """The size of a view's images in this subtask, (rows, columns)."""
        return self._shapes.get(view)

    def resized(self, view: str) -> bool:
        """Whether a view's latest image has another size than at the subtask's begin."""
        return view in self._changed

    def check(self, images: Mapping[str, Any], stamp: float, notes: list[str]) -> Frame | None:
        """The frame of what can be used; None where it is no newer than the last."""
        if not np.isfinite(stamp) or stamp <= self._stamp:
            notes.append(f"the frame of {stamp:g} s is not later than the last ({self._stamp:g} s)")
            return None
        self._stamp = stamp
        missing = self._shapes.keys() - images.keys()
        notes.extend(f"{view}: the camera gives no image" for view in sorted(missing))
        good = {}
        for view, image in images.items():
            reason = self._fault(view, image, stamp)
            if reason is None:
                good[view] = image
            else:
                notes.append(f"{view}: {reason}")
        return Frame(good, stamp)

    def _fault(self, view: str, image: Any, stamp: float) -> str | None:
        if image is None:
            return "the camera gives no image"
        shape, dtype = np.shape(image), getattr(image, "dtype", None)
        if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8 or 0 in shape:
            return f"expected an image uint8 (H, W, 3), got {dtype} {shape}"
        height, width = self._shapes.setdefault(view, shape[:2])
        if shape[:2] != (height, width):
            self._changed.add(view)
            return f"its image is now {shape[1]} x {shape[0]}, it was {width} x {height}"
        self._changed.discard(view)
        return self._frozen(view, image, stamp)

    def _frozen(self, view: str, image: NDArray[np.uint8], stamp: float) -> str | None:
        if self._frozen_after is None:
            return None
        last = self._last.get(view)
        if last is None or last[0].shape != image.shape or not np.array_equal(last[0], image):
            # A copy: whoever owns the image may draw the next one into it.
            self._last[view] = image.copy(), stamp
            return None
        since = stamp - last[1]
        if since <= self._frozen_after:
            return None
        return f"the camera has shown the same picture for {since:.1f} s"
