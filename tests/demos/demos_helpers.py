"""Synthetic demonstrations and tiny networks that tests of every room can use."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from rain.demos.dataset import DatasetWriter
from rain.demos.episode import Episode
from rain.types import Conventions, Subtask, SubtaskSpan
from rain.worlds.labels import LabelTable

if TYPE_CHECKING:
    from rain.model.config import RainConfig

VIEWS = ("agentview", "wrist")
TARGETS = ("block_1", "tray_1")
TABLE = LabelTable(
    ("block_1", "shelf_1", "tray_1"), ((), ("block_1",), ("tray_1",), ("block_1", "tray_1"))
)
DOWN = np.diag([1.0, -1.0, -1.0]).astype(np.float32)


def conventions(size: int = 32, views: tuple[str, ...] = VIEWS) -> Conventions:
    """LIBERO's conventions with small images."""
    return Conventions(
        views=views,
        image_size=size,
        state="libero_ee_axis_angle_gripper",
        action="libero_osc_pose_delta",
        rate_hz=20.0,
    )


def episode(
    seed: int = 0,
    size: int = 32,
    views: int = 2,
    stride: int = 2,
    disturbed: tuple[int, ...] = (),
) -> Episode:
    """A grasp of a block and its release over a tray, moving along straight lines.

    Each reach takes 30 steps, the gripper 5, each subtask 40; 100 steps in all. The block is red,
    the tray blue; a region covers its target's square.
    """
    rng = np.random.default_rng(seed)
    start, block, tray = (np.r_[rng.uniform(-0.2, 0.2, 2), z] for z in (0.3, 0.05, 0.15))
    block_at_end = block + np.array([0, 0, 0.04])
    path = np.concatenate(
        [
            np.linspace(start, block, 31)[:-1],
            np.repeat(block[None], 5, 0),
            np.linspace(block, block_at_end, 6)[:-1],
            np.linspace(block_at_end, tray, 31)[:-1],
            np.repeat(tray[None], 10, 0),
            np.linspace(tray, start, 21)[:-1],
        ]
    )
    steps = len(path)
    grip = np.where((np.arange(steps) >= 30) & (np.arange(steps) < 70), 1.0, -1.0)
    motion = np.diff(path, axis=0, append=path[-1:]) * 20
    actions = np.concatenate([motion, np.zeros((steps, 3)), grip[:, None]], axis=1)
    states = np.concatenate(
        [path, np.tile([np.pi, 0, 0], (steps, 1)), 0.02 - 0.02 * grip[:, None]], axis=1
    )
    frames = np.arange(0, steps, stride, dtype=np.int32)
    images, labels = _render(path, frames, block, tray, size, views)
    flags = np.zeros(steps, bool)
    flags[list(disturbed)] = True
    return Episode(
        frames=frames,
        targets=TARGETS,
        states=states.astype(np.float32),
        actions=actions.astype(np.float32),
        ee_rotation=np.tile(DOWN, (steps, 1, 1)),
        disturbed=flags,
        spans=(
            SubtaskSpan(Subtask("grasp", TARGETS[0]), 0, 30, 40, block, DOWN),
            SubtaskSpan(Subtask("release", TARGETS[1]), 40, 70, 80, tray, DOWN),
        ),
        details={
            "instruction": "put the block on the tray",
            "source": f"test/{seed}",
            "seed": seed,
            "suite": "synthetic",
            "task": 0,
        },
        images=images,
        labels=labels,
        table=TABLE,
    )


def _render(path, frames, block, tray, size: int, views: int):
    images = np.full((len(frames), views, size, size, 3), 90, np.uint8)
    labels = np.zeros((len(frames), views, size, size), np.uint8)
    for i, step in enumerate(frames):
        held = block if step < 35 or step >= 70 else path[step]
        for k, (point, colour) in enumerate(((held, (200, 30, 30)), (tray, (30, 30, 200)))):
            row, column = ((point[:2] + 0.3) / 0.6 * size).astype(int)
            at = np.s_[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
            images[i, :, at[0], at[1]] = colour
            labels[i, :, at[0], at[1]] |= 1 << k
    return images, labels


def dataset(
    folder: Path, episodes: int = 4, size: int = 32, images: str = "png", **settings
) -> Path:
    """Write a dataset of synthetic episodes; returns its folder."""
    with DatasetWriter(folder, conventions(size), "open", images=images) as writer:
        for seed in range(episodes):
            writer.append(episode(seed, size, **settings))
    return folder


def tiny_network(**changes) -> RainConfig:
    """The smallest network with every part: two views of 32 pixels, 2 × 2 tokens."""
    from rain.model.config import RainConfig  # not where only data is read

    settings = {
        "backbone": "stem",
        "text": "table",
        "views": VIEWS,
        "image_size": 32,
        "grid": 2,
        "encoder_width": 16,
        "encoder_heads": 2,
        "dit_width": 16,
        "dit_layers": 2,
        "dit_heads": 2,
        "tarln_hidden": 8,
        "region_subgrid": 4,
        "stem_region": True,
        "progress_state": True,
    }
    return RainConfig(**{**settings, **changes})
