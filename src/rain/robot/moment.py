"""What a run says of one tick, for those who look on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rain.types import Prediction, TaskScript


@dataclass(frozen=True)
class Moment:
    """One tick.

    images, regions: view -> (H, W, 3), (H, W), what could be used. index: of the active subtask.
    reasons: kind -> why the arm holds still now: ``e_stop``, ``pause``, ``hold``, ``finished`` and
    faults. prediction: the last. sent: joint targets (7,) rad, or None. answer_s:
    how long the last answer of the policy took; late_s: how long after its time the tick began.
    pointed: whether the target is what an operator pointed at, in place of the script's.
    """

    tick: int
    images: Mapping[str, NDArray[np.uint8]]
    regions: Mapping[str, NDArray]
    script: TaskScript
    index: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    prediction: Prediction | None = None
    sent: NDArray | None = None
    answer_s: float | None = None
    late_s: float = 0.0
    pointed: bool = False
