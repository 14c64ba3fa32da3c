"""Predict from an observation that you built yourself: images, regions, a state, an action type.

    python examples/01_predict.py

The region is where to act: move it and the plan moves with it.
"""

from __future__ import annotations

import sys

import numpy as np

from rain.model import RainPolicy
from rain.types import Observation

policy = RainPolicy.load(sys.argv[1] if len(sys.argv) > 1 else "rain-nano")
conventions = policy.conventions
size = conventions.image_size


def observation(left: int, top: int) -> Observation:
    """Grey images and a square region in the first view; the wrist does not see the target."""
    region = np.zeros((size, size), dtype=bool)
    region[top : top + size // 8, left : left + size // 8] = True
    return Observation(
        images={view: np.full((size, size, 3), 128, np.uint8) for view in conventions.views},
        regions={conventions.views[0]: region},
        # End-effector position (m), axis-angle (rad), gripper opening (m): above the table,
        # pointing down, open.
        state=np.array([0.45, 0.0, 0.25, np.pi, 0.0, 0.0, 0.08], np.float32),
        action_type="grasp",
    )


for side, left in (("left", size // 4), ("right", 5 * size // 8)):
    prediction = policy.predict(observation(left, size // 2))
    print(f"region on the {side} of {conventions.views[0]}:")
    print("  interaction point (m):", np.round(prediction.plan.interaction_point, 3))
    print("  first action:", np.round(prediction.action_chunk.actions[0], 2))
    print("  completion:", round(prediction.progress.completion, 3))
