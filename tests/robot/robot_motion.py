"""A hand that fetches something: down, close, up, across, down, open, up; as joints at 30 Hz."""

from __future__ import annotations

import numpy as np

from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import inverse, pointing_down

CLOSES, OPENS = 20, 70
"""Steps at which the command closes, and opens."""


def hand_path() -> tuple[np.ndarray, np.ndarray]:
    """Positions (90, 3) m and gripper commands (90,) rad, before each step's motion."""
    heights = np.concatenate([
        np.linspace(0.15, 0.05, 16),  # 0..15: down
        np.full(15, 0.05),            # 16..30: closes at 20
        0.05 + 0.006 * np.arange(1, 20),  # 31..49: up
        np.full(5, 0.164),            # 50..54
        np.linspace(0.164, 0.06, 10),  # 55..64: down
        np.full(8, 0.06),             # 65..72: opens at 70
        0.06 + 0.006 * np.arange(1, 18),  # 73..89: up
    ])  # fmt: skip
    across = np.interp(np.arange(90), [40, 55], [0.0, 0.1])
    positions = np.stack([np.full(90, 0.35), across, heights], axis=1)
    gripper = np.where((np.arange(90) >= CLOSES) & (np.arange(90) < OPENS), 0.9, 0.1)
    return positions, gripper


def joints_path() -> np.ndarray:
    """(90, 7) rad: joints at those positions, and the gripper's command."""
    positions, gripper = hand_path()
    near, found = arm.HOME, []
    for position in positions:
        near = inverse(position, pointing_down(0.0), near)
        found.append(near)
    return np.column_stack([found, gripper])
