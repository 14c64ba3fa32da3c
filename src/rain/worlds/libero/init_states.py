"""Where episodes of an evaluation start: stored states of a scene."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError


@dataclass(frozen=True)
class InitStates:
    """Stored states of one scene; never a demonstration's start.

    states: (n, 1 + nq + nv), rows [time, qpos, qvel]. fixture_poses: (n, fixtures, 7), position (m,
    scene) and quaternion (w, x, y, z) in the order of ``LiberoWorld.fixtures``, or None where they
    were not stored. settled: whether things are at rest in them. evaluation: how many, from the
    first on, evaluations start from; the rest are for development.
    """

    states: NDArray[np.float64]
    fixture_poses: NDArray[np.float64] | None = None
    settled: bool = False
    evaluation: int = -1

    def __post_init__(self) -> None:
        if self.evaluation < 0:
            object.__setattr__(self, "evaluation", len(self.states))

    def __len__(self) -> int:
        return len(self.states)

    @property
    def development(self) -> int:
        """How many are for development."""
        return len(self.states) - self.evaluation


def read_official(path: Path) -> InitStates:
    """Read a file of LIBERO's own: unsettled, without fixture poses."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            return InitStates(np.asarray(stored[stored.files[0]], dtype=np.float64))
    except (OSError, ValueError) as error:
        raise RainError(f"{path}: init states cannot be read: {error}") from error
