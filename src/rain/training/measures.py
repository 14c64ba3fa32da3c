"""Measures of the progress head on held-out samples: NumPy alone, each a plain formula."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


def area_under_roc(scores: NDArray, positive: NDArray[np.bool_]) -> float | None:
    """Chance that a positive's score (n,) is above a negative's, ties counted half.

    By ranks (Mann and Whitney's U); None where one of the two kinds is missing.
    """
    several, none = int(positive.sum()), int((~positive).sum())
    if several == 0 or none == 0:
        return None
    _, place, count = np.unique(scores, return_inverse=True, return_counts=True)
    # Equal scores share the mean of their ranks, which begin at 1.
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    return float((ranks[positive].sum() - several * (several + 1) / 2) / (several * none))


@dataclass(frozen=True)
class Transitions:
    """When subtasks would be left, against when they were complete.

    delay: (k,), control steps from completion to where the head first says so, of those k subtasks
    of ``count`` where it does; negative is too early.
    """

    delay: NDArray[np.int64]
    count: int

    def metrics(self) -> dict[str, float]:
        """Median delay in control steps; shares of subtasks left too early, and never left."""
        if self.count == 0:
            return {}
        found = {
            "transitions": self.count,
            "transition_early": float((self.delay < 0).sum() / self.count),
            "transition_missed": 1 - len(self.delay) / self.count,
        }
        if len(self.delay):
            found["transition_steps"] = float(np.median(self.delay))
        return found


def transitions(
    span: NDArray, step: NDArray, completed: NDArray[np.bool_], said: NDArray[np.bool_]
) -> Transitions:
    """Compare completion with what the head says, at frames (n,) of whole subtasks.

    span numbers the subtask of a frame; its frames stand side by side in order of time. step:
    control step. Only frames that were kept are known, so a delay is as fine as their spacing; a
    subtask without a completed frame cannot be judged and is left out.
    """
    delays, count = [], 0
    for frames in np.split(np.arange(len(span)), np.flatnonzero(np.diff(span)) + 1):
        if not len(frames) or not completed[frames].any():
            continue
        count += 1
        if said[frames].any():
            first = frames[said[frames].argmax()]
            delays.append(int(step[first]) - int(step[frames[completed[frames].argmax()]]))
    return Transitions(np.array(delays, np.int64), count)
