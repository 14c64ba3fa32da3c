"""One demonstration as arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import ACTION_DIM, STATE_DIM, Array, RainError, SubtaskSpan
from rain.worlds.labels import LabelTable


@dataclass(frozen=True)
class Motion:
    """Everything of a demonstration but its pixels: T kept frames out of L control steps.

    frames: int32 (T,), the control step of each kept frame, increasing.
    targets: the K distinct targets of the script.
    states, actions: float32 (L, 7), the state before the action, at every control step.
    ee_rotation: float32 (L, 3, 3), end-effector orientation in the robot base frame.
    disturbed: bool (L,), an injected disturbance was executed at that step.
    spans: the subtasks as they happened, in order.
    details: free facts such as instruction, source, seed; plain JSON values.
    ee_position: float32 (L, 3) m, robot base frame; by default the state's first three numbers.
    table: what the labels of the episode's label maps mean.
    """

    frames: NDArray[np.int32]
    targets: tuple[str, ...]
    states: Array
    actions: Array
    ee_rotation: Array
    disturbed: NDArray[np.bool_]
    spans: tuple[SubtaskSpan, ...]
    details: Mapping[str, Any] = field(default_factory=dict)
    ee_position: Array | None = None
    table: LabelTable = field(default_factory=lambda: LabelTable(()))

    def __post_init__(self) -> None:
        steps = len(self.states)
        expected = {
            "states": (steps, STATE_DIM),
            "actions": (steps, ACTION_DIM),
            "ee_rotation": (steps, 3, 3),
            "disturbed": (steps,),
            "frames": (len(self.frames),),
        }
        if self.ee_position is not None:
            expected["ee_position"] = (steps, 3)
        for name, shape in expected.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise RainError(f"{name}: expected shape {shape}, got {value.shape}")
            if not np.isfinite(value).all():
                raise RainError(f"{name}: holds NaN or infinity")
        self._check_frames(steps)
        self._check_spans(steps)

    def _check_frames(self, steps: int) -> None:
        if len(self.frames) == 0:
            raise RainError("frames: an episode needs at least one frame")
        if (np.diff(self.frames) <= 0).any():
            raise RainError("frames: expected increasing control steps")
        if self.frames[0] < 0 or self.frames[-1] >= steps:
            raise RainError(f"frames: expected control steps in [0, {steps})")

    def _check_spans(self, steps: int) -> None:
        if not self.spans:
            raise RainError("spans: an episode needs at least one subtask")
        for span in self.spans:
            if span.subtask.target not in self.targets:
                raise RainError(f"spans: target {span.subtask.target!r} is not among the targets")
            if span.end > steps:
                raise RainError(f"spans: one ends at step {span.end} of {steps}")

    @property
    def positions(self) -> Array:
        """End-effector positions, float32 (L, 3), m, robot base frame."""
        return self.states[:, :3] if self.ee_position is None else self.ee_position


@dataclass(frozen=True, kw_only=True)
class Episode(Motion):
    """A demonstration with its pixels.

    images: uint8 (T, V, S, S, 3), upright RGB.
    labels: uint8 (T, V, S, S), label maps of all targets of the scene (``rain.worlds.labels``).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]

    def __post_init__(self) -> None:
        super().__post_init__()
        frames = len(self.frames)
        shape = self.images.shape
        if len(shape) != 5 or shape[0] != frames or shape[2] != shape[3] or shape[4] != 3:
            raise RainError(f"images: expected ({frames}, V, S, S, 3), got {shape}")
        if self.labels.shape != shape[:4]:
            raise RainError(f"labels: expected shape {shape[:4]}, got {self.labels.shape}")
        for name in ("images", "labels"):
            if getattr(self, name).dtype != np.uint8:
                raise RainError(f"{name}: expected uint8, got {getattr(self, name).dtype}")
        if self.labels.max() >= len(self.table.rows):
            raise RainError(f"labels: label {self.labels.max()} is not in the label table")
        for target in self.targets:
            self.table.lookup(target)

    def region(self, frame: int, target: str) -> NDArray[np.bool_]:
        """Look up the region of ``target`` at kept frame number ``frame``: bool (V, S, S).

        Any target of the scene has one, whether the script names it or not.
        """
        return self.table.lookup(target)[self.labels[frame]]
