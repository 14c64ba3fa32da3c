"""Somebody who points at every subtask's target in a mask server's session, as an operator does.

It knows where things are from the simulated arm's label maps.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rain.client import MaskClient
from rain.perception.prompts import Box
from rain.types import Look, RainError
from rain.worlds.labels import LabelTable

AGAIN_S = 0.5
"""Between two times of pointing in a view that has no region though it shows the target."""
LEAST_PIXELS = 12
"""Of a target that is pointed at: less is no more than an edge of it."""

Labels = Mapping[str, tuple[NDArray[np.uint8], LabelTable]]


class Pointer:
    """Points by boxes at the present target wherever a view shows it and has no region."""

    def __init__(self, masks: MaskClient) -> None:
        """masks: a client of the session in which the robot's loop sends its frames."""
        self._masks = masks
        self._target = ""
        self._pointed: dict[str, float] = {}
        self.pointed: list[tuple[float, str, str]] = []
        """When (s), at which target, in which view."""

    def step(self, target: str, labels: Labels, now: float) -> Look | None:
        """Look at what the session knows and point where it needs it; what it knew."""
        if target != self._target:
            self._target, self._pointed = target, {}
        look = self._masks.latest()
        if look is None:
            return None
        for view, (map_, table) in labels.items():
            box = box_of(map_, table, target)
            late = now - self._pointed.get(view, -np.inf) >= AGAIN_S
            if box is not None and view not in look.regions and late:
                self._masks.point_at_next(view, box)
                self._pointed[view] = now
                self.pointed.append((now, target, view))
        return look


def box_of(labels: NDArray[np.uint8], table: LabelTable, target: str) -> Box | None:
    """The box (pixels) around a target in a label map (H, W); None where it is hardly seen."""
    try:
        region = table.lookup(target)[labels]
    except RainError:
        return None
    return Box.around(region) if region.sum() >= LEAST_PIXELS else None
