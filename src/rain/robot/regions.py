"""Region ports: a ``RegionLoop`` in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Prompt
from rain.types import Look


class Looks(Protocol):
    """``rain.perception.loop.RegionLoop``, as far as it is used here."""

    def begin(self, target: str, phrase: str) -> None: ...

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> Look: ...

    def clear(self) -> None: ...

    def click(self, view: str, prompt: Prompt) -> None: ...


class LocalRegions:
    """Follows the target in the loop's own thread: for trackers that take a few milliseconds.

    Give the ``RegionLoop`` a ``submit`` that grounds elsewhere.
    """

    def __init__(self, loop: Looks) -> None:
        self._loop = loop
        self._look: Look | None = None

    def begin(self, target: str, phrase: str) -> None:
        """A subtask begins."""
        self._look = None
        self._loop.begin(target, phrase)

    def look(self, images: Mapping[str, NDArray[np.uint8]], stamp: float) -> None:
        """Follow the target in this frame."""
        self._look = self._loop.look(images, stamp)

    def poll(self) -> Look | None:
        """What the last frame showed."""
        return self._look

    def point(self, prompts: Mapping[str, Prompt]) -> None:
        """An operator points at another target in the next frame."""
        self._look = None
        self._loop.clear()
        for view, prompt in prompts.items():
            self._loop.click(view, prompt)
