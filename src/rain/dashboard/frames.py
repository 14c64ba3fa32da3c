"""What is shown of one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ShownView:
    """One view as it is shown: uint8 (H, W, 3); region bool (h, w) of any size, or None.

    plan: (N, 2) pixels of the image, u right and v down, NaN where not to be seen; or None.
    """

    image: NDArray[np.uint8]
    region: NDArray[np.bool_] | None = None
    plan: NDArray | None = None


@dataclass(frozen=True, eq=False)
class ShownFrame:
    """What is shown of one moment.

    number: grows with every frame, and travels with a click on it. stamp: s since the epoch, when
    it was made. facts: step, progress, latencies and actions, as JSON values.
    """

    number: int
    stamp: float
    views: Mapping[str, ShownView]
    facts: Mapping[str, Any] = field(default_factory=dict)
