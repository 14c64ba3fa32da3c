"""What the arm's cameras see: images, regions of things, and where points fall in a view."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import RainError
from rain.worlds.labels import Labeller
from rain.worlds.omy.scene import CAMERAS
from rain.worlds.rendering import Renderer, project_points


class Views:
    """The views of one scene. Points are in the robot base frame, which is the scene's; metres."""

    def __init__(self, model: Any, data: Any, things: Sequence[str], rendering: str) -> None:
        """See a model and its data; nothing is drawn before it is asked for."""
        self._model, self._present = model, data
        self.past: Any = None
        self._things = tuple(things)
        self._renderer = Renderer(model, rendering)
        # Number of each geom's thing, from 1; the last entry is for 'no geom', -1.
        bodies = {model.body(name).id: i + 1 for i, name in enumerate(self._things)}
        owners = [bodies.get(int(body), 0) for body in model.geom_bodyid]
        self._owner = np.array([*owners, 0], dtype=np.int64)

    @property
    def _data(self) -> Any:
        return self._present if self.past is None else self.past

    def rgb(self, view: str, size: int) -> NDArray[np.uint8]:
        """One view's image, upright uint8 (size, size, 3)."""
        return self._renderer.rgb(self._data, self._camera(view), size)

    def regions(self, targets: Sequence[str], view: str, size: int) -> NDArray[np.bool_]:
        """Regions of several things in one view from one segmentation: bool (n, size, size)."""
        numbers = [self._number(target) for target in targets]
        shown = self._shown(view, size)
        return np.stack([shown == number for number in numbers])

    def label_map(self, view: str, size: int, labeller: Labeller) -> NDArray[np.uint8]:
        """All things of one view from one segmentation: uint8 (size, size), see ``Labeller``."""
        rows = [(), *((name,) for name in self._things)]
        return labeller.number(self._shown(view, size), rows, {})

    def project(self, points: ArrayLike, view: str, size: int) -> NDArray[np.float64]:
        """Project points (N, 3) to pixels (N, 2), u right, v down; NaN when behind the camera."""
        return project_points(self._model, self._data, self._camera(view), points, size)

    def close(self) -> None:
        """Free the GL context."""
        self._renderer.close()

    def _shown(self, view: str, size: int) -> NDArray[np.int64]:
        """Number of the thing at every pixel, from 1; 0 where there is none."""
        return self._owner[self._renderer.geom_ids(self._data, self._camera(view), size)]

    def _number(self, target: str) -> int:
        if target not in self._things:
            raise RainError(
                f"target {target!r} is not in this scene; it has {', '.join(self._things)}"
            )
        return self._things.index(target) + 1

    def _camera(self, view: str) -> int:
        if view not in CAMERAS:
            raise RainError(f"view {view!r} is unknown; the arm has {', '.join(CAMERAS)}")
        return int(self._model.camera(view).id)
