"""What a control loop is told of the target in one frame. NumPy only: robots read it too."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Look:
    """What the control loop is told about one frame.

    regions: view -> bool (H, W); a view without one is absent. stamps: of the frames the regions
    belong to; scores: of the segmenter. pause: why the robot must hold still, or None. notes: what
    else is wrong, for people.
    """

    stamp: float
    regions: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    stamps: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    pause: str | None = None
    notes: tuple[str, ...] = ()
