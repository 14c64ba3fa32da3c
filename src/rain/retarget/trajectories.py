"""Synthesised trajectories, and what a network should answer along them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.retarget.hermite import rowwise_interp
from rain.types import HORIZON, PLAN_POINTS, Array


@dataclass(frozen=True)
class Trajectories:
    """B synthesised trajectories (eq. 10), padded to T steps with the last pose and action.

    length: int64 (B,), steps: N of the approach and the rest of the reference.
    approach: int64 (B,), N; from there on poses and actions are the recorded ones.
    junction: int64 (B,), k* on the reference; rule: int8 (B,), how it was found (see
        ``junction``); valid: bool (B,), False where a switch forbids the fallback or the robot
        cannot follow the approach.
    interaction: int64 (B,), the step of the interaction.
    positions: float32 (B, T, 3) m and rotations: float32 (B, T, 3, 3), the pose before each action.
    actions: float32 (B, T, A).
    point, rotation: (B, 3) m and (B, 3, 3), the pose of the interaction.
    """

    length: NDArray[np.int64]
    approach: NDArray[np.int64]
    junction: NDArray[np.int64]
    rule: NDArray[np.int8]
    valid: NDArray[np.bool_]
    interaction: NDArray[np.int64]
    positions: Array
    rotations: Array
    actions: Array
    point: Array
    rotation: Array

    def __len__(self) -> int:
        return len(self.length)

    def chunks(self, padding: str = "zero", at: ArrayLike = 0) -> Array:
        """Cut the chunk of H = 16 actions at step ``at`` (B,) of each: float32 (B, 16, A).

        Past the end: no motion ("zero") or the last command ("hold"), the gripper's held, as in
        chunks of recorded demonstrations.
        """
        steps = np.broadcast_to(at, (len(self),))[:, None] + np.arange(HORIZON)
        last = self.length[:, None] - 1
        chunks = self.actions[np.arange(len(self))[:, None], np.minimum(steps, last)]
        if padding == "zero":
            chunks[..., :-1] *= (steps <= last)[..., None]
        return chunks

    def plans(self, at: ArrayLike = 0) -> Array:
        """Resample the path from step ``at`` (B,) to the interaction: float32 (B, 8, 3) m.

        By arc length, without the present position, the last waypoint exactly the interaction
        point; from the interaction on all of them.
        """
        steps = np.broadcast_to(at, (len(self),))
        rows = np.arange(len(self))
        width = int(self.interaction.max(initial=0)) + 1
        path = self.positions[:, :width].astype(np.float64)
        if path.shape[1] < width:
            path = np.concatenate([path, path[:, -1:]], axis=1)
        after = np.arange(width) >= self.interaction[:, None]
        path = np.where(after[..., None], self.point[:, None], path)
        step = np.diff(path, axis=1)
        length = np.zeros((len(self), width))
        np.cumsum(np.sqrt(np.einsum("btd,btd->bt", step, step)), axis=1, out=length[:, 1:])
        total = length[:, -1:]
        length /= np.where(total > 0, total, 1.0)
        here = length[rows, np.minimum(steps, self.interaction)][:, None]
        wanted = here + (1 - here) * np.arange(1, PLAN_POINTS + 1) / PLAN_POINTS
        plans = np.stack(
            [rowwise_interp(wanted, length, path[:, :, axis]) for axis in range(3)], axis=-1
        )
        plans[:, -1] = self.point
        past = (steps >= self.interaction) | (total[:, 0] == 0)
        return np.where(past[:, None, None], self.point[:, None], plans).astype(np.float32)

    def progress(self, alpha: float, at: ArrayLike = 0) -> Array:
        """Completion label, S_dist and S_align (eq. 5) at step ``at`` (B,): float32 (B, 3).

        alpha in 1/m. From a trajectory's end on its subtask is complete.
        """
        steps = np.broadcast_to(at, (len(self),))
        rows, known = np.arange(len(self)), np.minimum(steps, self.length - 1)
        distance = np.linalg.norm(self.positions[rows, known] - self.point, axis=-1)
        trace = np.einsum("bij,bij->b", self.rotations[rows, known], self.rotation)
        align = np.clip((1 + (trace - 1) / 2) / 2, 0.0, 1.0)
        done = steps >= self.length
        return np.stack([done, np.exp(-alpha * distance), align], axis=1).astype(np.float32)
