"""A dataset, policies and a world for the tests of the LeRobot plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import demos_helpers as helpers
import numpy as np
import torch
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot_policy_rain.configuration_rain import LeRobotRainConfig
from lerobot_policy_rain.modeling_rain import LeRobotRainPolicy
from numpy.typing import NDArray

from rain.types import Observation, Subtask, TaskScript

TINY = {
    name: value
    for name, value in helpers.tiny_network().to_dict().items()
    if name not in ("backbone", "text", "views")
}


def config(**changes: Any) -> LeRobotRainConfig:
    """The tiny network, on the CPU, without augmentation."""
    settings = {"network": TINY, "device": "cpu", "push_to_hub": False, **changes}
    return LeRobotRainConfig(**settings)


def opened(folder: Path, made: LeRobotRainConfig) -> LeRobotDataset:
    """The dataset as lerobot-train opens it for a policy."""
    meta = LeRobotDataset("rain/test", root=folder).meta
    deltas = resolve_delta_timestamps(made, meta)
    return LeRobotDataset("rain/test", root=folder, delta_timestamps=deltas)


def policy_for(data: LeRobotDataset, made: LeRobotRainConfig) -> LeRobotRainPolicy:
    torch.manual_seed(0)
    return LeRobotRainPolicy(made, dataset_stats=data.meta.stats, dataset_meta=data.meta)


def rows(data: LeRobotDataset, numbers: list[int]) -> dict[str, Any]:
    """A batch of these rows."""
    return torch.utils.data.default_collate([data[i] for i in numbers])


class PaintedWorld:
    """A square that follows the actions, and two targets that stay; no physics."""

    conventions = helpers.conventions(32)
    script = TaskScript(
        "put the block on the tray", (Subtask("grasp", "block_1"), Subtask("release", "tray_1"))
    )
    init_state_count = 3

    def __init__(self) -> None:
        self.actions: list[NDArray] = []
        self.closed = False
        self.reset(init_state=0)

    def reset(self, *, init_state: int | None = None, seed: int | None = None) -> None:
        self.actions = []
        self._at = np.array([0.1 * (init_state or 0), 0.0, 0.3])

    def step(self, action: NDArray) -> None:
        self.actions.append(np.array(action))
        self._at = np.clip(self._at + 0.02 * action[:3], -0.25, 0.25)

    def state(self) -> NDArray[np.float32]:
        return np.r_[self._at, np.pi, 0, 0, 0.04].astype(np.float32)

    def render(self, view: str, size: int) -> NDArray[np.uint8]:
        image = np.full((size, size, 3), 90 if view == "wrist" else 60, np.uint8)
        row, column = ((self._at[:2] + 0.3) / 0.6 * size).astype(int)
        image[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3] = (200, 30, 30)
        return image

    def regions(self, targets: list[str], view: str) -> NDArray[np.bool_]:
        found = np.zeros((len(targets), 32, 32), bool)
        for i, target in enumerate(targets):
            corner = 4 if target == "block_1" else 20
            found[i, corner : corner + 6, corner : corner + 6] = True
        return found

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        views = self.conventions.views
        images = {view: self.render(view, 32) for view in views}
        shown = {view: self.regions([subtask.target], view)[0] for view in views}
        return Observation(images, shown, self.state(), subtask.action_type)

    def held_object(self) -> None:
        return None

    def touched_objects(self) -> list[str]:
        return []

    def script_success(self, script: TaskScript) -> bool:
        return False

    def success(self) -> bool:
        return False

    def close(self) -> None:
        self.closed = True
