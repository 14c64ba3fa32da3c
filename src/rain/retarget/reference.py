"""References: the end-effector paths of successful interactions, and many of them as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import Array, RainError, SubtaskSpan

MOVING = 1e-4
"""m: a shorter step counts as standing still when the reference's speed is taken."""


@dataclass(frozen=True)
class Reference:
    """One successful interaction, M control steps from the subtask's start to its end.

    positions: (M, 3) m and rotations: (M, 3, 3), the pose before each action, robot base frame.
    actions: (M, A), as recorded; the last column is the gripper.
    interaction: step at which the gripper began to close or to let go (or the joint reached its
        goal), in [0, M]; M means right at the end.
    point: (3,) m and rotation: (3, 3), the end-effector pose there.
    """

    positions: Array
    rotations: Array
    actions: Array
    interaction: int
    point: Array
    rotation: Array

    def __post_init__(self) -> None:
        steps = len(np.atleast_1d(self.positions))
        width = np.shape(self.actions)[-1] if np.ndim(self.actions) == 2 else 7
        for name, shape in (
            ("positions", (steps, 3)),
            ("rotations", (steps, 3, 3)),
            ("actions", (steps, width)),
            ("point", (3,)),
            ("rotation", (3, 3)),
        ):
            array = np.asarray(getattr(self, name), dtype=np.float32)
            if array.shape != shape:
                raise RainError(f"Reference.{name}: expected shape {shape}, got {array.shape}")
            if not np.isfinite(array).all():
                raise RainError(f"Reference.{name}: holds NaN or infinity")
            object.__setattr__(self, name, array)
        if steps < 3:
            raise RainError(f"Reference: eq. 7 needs at least 3 steps, got {steps}")
        if not 0 <= self.interaction <= steps:
            raise RainError(
                f"Reference.interaction: expected a step in [0, {steps}], got {self.interaction}"
            )

    def __len__(self) -> int:
        return len(self.positions)

    @classmethod
    def from_span(
        cls, positions: ArrayLike, rotations: ArrayLike, actions: ArrayLike, span: SubtaskSpan
    ) -> Reference:
        """Cut a subtask out of an episode of L steps: (L, 3), (L, 3, 3) and (L, A)."""
        part = slice(span.start, span.end)
        return cls(
            np.asarray(positions)[part],
            np.asarray(rotations)[part],
            np.asarray(actions)[part],
            span.interaction - span.start,
            span.position,
            span.rotation,
        )


@dataclass(frozen=True)
class References:
    """R references padded to one length M; made once by ``pack`` and used for many starts.

    length, interaction: int64 (R,). positions, tangents: float64 (R, M, 3); rotations: float32
    (R, M, 3, 3); actions: float32 (R, M, A); all padded with their last row. point: (R, 3) m;
    rotation: (R, 3, 3); speed: (R,) m per step, see ``own_speed``.
    """

    length: NDArray[np.int64]
    interaction: NDArray[np.int64]
    positions: NDArray[np.float64]
    tangents: NDArray[np.float64]
    rotations: Array
    actions: Array
    point: Array
    rotation: Array
    speed: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.length)

    @classmethod
    def pack(cls, references: Sequence[Reference]) -> References:
        """Pad references, all of the same action width, to one batch."""
        if not references:
            raise RainError("References: at least one reference is needed")
        widths = {r.actions.shape[1] for r in references}
        if len(widths) > 1:
            raise RainError(f"References: actions of different widths, {sorted(widths)}")
        longest = max(len(r) for r in references)

        def padded(rows: list[NDArray]) -> NDArray:
            full = [np.concatenate([x, np.repeat(x[-1:], longest - len(x), 0)]) for x in rows]
            return np.stack(full)

        return cls(
            length=np.array([len(r) for r in references]),
            interaction=np.array([r.interaction for r in references]),
            positions=padded([r.positions.astype(np.float64) for r in references]),
            tangents=padded([unit_tangents(r.positions) for r in references]),
            rotations=padded([r.rotations for r in references]),
            actions=padded([r.actions for r in references]),
            point=np.stack([r.point for r in references]),
            rotation=np.stack([r.rotation for r in references]),
            speed=np.array([own_speed(r.positions, r.interaction) for r in references]),
        )


def unit_tangents(positions: ArrayLike) -> NDArray[np.float64]:
    """t_k = (r_{k+1} - r_{k-1}) / |r_{k+1} - r_{k-1}| of positions (M, 3): (M, 3).

    Where both neighbours coincide the tangent has no direction and is zero, never NaN. The two
    ends, which the paper leaves out, get one-sided differences.
    """
    r = np.asarray(positions, dtype=np.float64)
    difference = np.empty_like(r)
    difference[1:-1] = r[2:] - r[:-2]
    difference[0], difference[-1] = r[1] - r[0], r[-1] - r[-2]
    length = np.linalg.norm(difference, axis=1, keepdims=True)
    return np.where(length > 0, difference / np.where(length > 0, length, 1.0), 0.0)


def own_speed(positions: ArrayLike, interaction: int) -> float:
    """Mean length, m, of the steps up to the interaction in which the hand moves; 0 if none."""
    r = np.asarray(positions, dtype=np.float64)
    step = np.linalg.norm(np.diff(r, axis=0), axis=1)
    before = step[:interaction]
    for steps in (before[before > MOVING], step[step > MOVING]):
        if len(steps):
            return float(steps.mean())
    return 0.0
