"""What worlds in MuJoCo have in common: what they show, and what the fingers hold."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.types import Array, Conventions, Observation, Subtask
from rain.worlds.labels import Labeller

LIFTED = 0.04
"""m; an object this far above its resting height counts as lifted."""


class ShownViews(Protocol):
    """Draws a scene's views. past: an MjData to draw in place of the present one, or None."""

    past: Any

    def rgb(self, view: str, size: int) -> NDArray[np.uint8]: ...

    def regions(self, targets: list[str], view: str, size: int) -> NDArray[np.bool_]: ...

    def label_map(self, view: str, size: int, labeller: Labeller) -> NDArray[np.uint8]: ...


class MujocoWorld(ABC):
    """Observations from rendered views, and contacts of a two-fingered gripper."""

    conventions: Conventions
    model: Any
    data: Any
    _views: ShownViews
    _rest_height: dict[str, float]
    """Height of each object's origin at rest, m."""

    @abstractmethod
    def state(self) -> Array:
        """(7,), in the meaning that the conventions declare."""

    @abstractmethod
    def object_pose(self, name: str) -> tuple[NDArray, NDArray]:
        """An object's origin (3,), base frame, m, and rotation (3, 3)."""

    @abstractmethod
    def _touches(self) -> dict[str, set[str]]:
        """Objects in contact with fingers -> which fingers."""

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        """Render every view, and unless told otherwise the region of the subtask's target."""
        images, masks = {}, {}
        for view in self.conventions.views:
            images[view] = self.render(view, self.conventions.image_size)
            if regions:
                masks[view] = self.regions([subtask.target], view)[0]
        return Observation(images, masks, self.state(), subtask.action_type)

    def render(self, view: str, size: int) -> NDArray[np.uint8]:
        """One view's image, upright uint8 (size, size, 3)."""
        return self._views.rgb(view, size)

    def regions(self, targets: list[str], view: str, size: int | None = None) -> NDArray[np.bool_]:
        """Regions of several targets in one view from one segmentation: bool (n, size, size)."""
        return self._views.regions(targets, view, size or self.conventions.image_size)

    def label_map(self, view: str, labeller: Labeller) -> NDArray[np.uint8]:
        """Regions of all targets in one view as uint8 (S, S); see ``rain.worlds.labels``."""
        return self._views.label_map(view, self.conventions.image_size, labeller)

    def poses(self) -> NDArray[np.float64]:
        """All that decides where things are seen, (nq,): what ``seen_at`` takes."""
        return self.data.qpos.copy()

    @contextmanager
    def seen_at(self, poses: NDArray) -> Iterator[None]:
        """Show things where they were at ``poses``; the world itself stays as it is, to the bit."""
        import mujoco

        past = copy.copy(self.data)
        past.qpos[:] = poses
        mujoco.mj_kinematics(self.model, past)
        mujoco.mj_camlight(self.model, past)
        self._views.past = past
        try:
            yield
        finally:
            self._views.past = None

    def held_object(self) -> str | None:
        """The object that both fingers touch and that is lifted off its rest."""
        for name in self.touched_by_both_fingers():
            if self.object_pose(name)[0][2] > self._rest_height.get(name, np.inf) + LIFTED / 2:
                return name
        return None

    def touched_by_both_fingers(self) -> list[str]:
        """Objects in contact with both fingers."""
        return [name for name, sides in self._touches().items() if len(sides) == 2]

    def touched_objects(self) -> list[str]:
        """Objects in contact with any finger."""
        return list(self._touches())
