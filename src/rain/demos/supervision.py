"""What the network should answer, computed from a demonstration's motion: chunk, plan, progress."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rain.types import HORIZON, PLAN_POINTS, Array, SubtaskSpan


def spans_of(steps: NDArray, spans: Sequence[SubtaskSpan]) -> NDArray[np.int64]:
    """The subtask each control step happens in; past the last boundary, the last: int64 (n,)."""
    ends = np.array([span.end for span in spans])
    return np.minimum(np.searchsorted(ends, steps, side="right"), len(ends) - 1)


def action_chunks(actions: Array, steps: NDArray, end: int, padding: str = "zero") -> Array:
    """Cut the chunks that start at ``steps``: float32 (n, 16, 7).

    From ``end`` on the subtask is complete and what followed depended on the next target, so the
    chunk is padded: no motion ("zero") or the last command ("hold"), the gripper command held.
    """
    end = min(end, len(actions))
    at = steps[:, None] + np.arange(HORIZON)
    chunks = actions[np.minimum(at, end - 1)].copy()
    if padding == "zero":
        chunks[at >= end, :-1] = 0.0
    return chunks


def plans(positions: Array, steps: NDArray, interaction: int, point: Array) -> Array:
    """Resample the path from each step to the interaction by arc length: float32 (n, 8, 3), m.

    The current position is left out and the last waypoint is exactly ``point``; from the
    interaction on all waypoints are.
    """
    result = np.broadcast_to(point, (len(steps), PLAN_POINTS, 3)).astype(np.float32)
    before = np.flatnonzero(steps < interaction)
    if len(before) == 0:
        return result
    first = int(steps[before].min())
    path = np.concatenate([positions[first:interaction], point[None]]).astype(np.float64)
    # All samples share one path: arc length along it once, then one lookup for each axis.
    length = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    here = length[steps[before] - first][:, None]
    at = here + (length[-1] - here) * np.arange(1, PLAN_POINTS + 1) / PLAN_POINTS
    for axis in range(3):
        result[before, :, axis] = np.interp(at, length, path[:, axis])
    result[:, -1] = point
    return result


def progress_targets(
    positions: Array,
    rotations: Array,
    steps: NDArray,
    span: SubtaskSpan,
    alpha: float,
    complete_early: int = 0,
) -> Array:
    """Completion label, S_dist and S_align (eq. 5) at each step: float32 (n, 3)."""
    complete = steps >= max(span.end - complete_early, span.interaction + 1)
    distance = np.linalg.norm(positions[steps] - span.position, axis=-1)
    trace = np.einsum("nij,ij->n", rotations[steps], span.rotation)
    align = np.clip((1 + (trace - 1) / 2) / 2, 0.0, 1.0)
    return np.stack([complete, np.exp(-alpha * distance), align], axis=1).astype(np.float32)
