"""Synthetic demonstrations of several targets, for what concerns later subtasks."""

from __future__ import annotations

from itertools import compress
from pathlib import Path

import demos_helpers as helpers
import numpy as np

from rain.demos.dataset import DatasetWriter
from rain.demos.episode import Episode
from rain.types import Subtask, SubtaskSpan
from rain.worlds.labels import LabelTable

TWO_MUGS = (
    ("grasp", "mug_1"), ("release", "plate_1"), ("grasp", "mug_2"), ("release", "plate_2"),
    ("close", "door"),
)  # fmt: skip
PLACES = {
    "mug_1": (-0.2, -0.2), "plate_1": (0.2, -0.2), "mug_2": (-0.2, 0.1), "plate_2": (0.2, 0.1),
    "door": (0.0, 0.24), "drawer": (0.0, 0.0),
}  # fmt: skip
REACH, LENGTH = 30, 40
"""Steps of a subtask until its interaction, and in all."""


def episode(
    seed: int = 0, script=TWO_MUGS, size: int = 48, stride: int = 4, slides=None, last: int = LENGTH
) -> Episode:
    """Reach for each target in turn along straight lines; what is grasped goes with the hand.

    slides: target -> (step, (2,) m): from that step on it is so far away. last: steps of the last
    subtask.
    """
    rng = np.random.default_rng(seed)
    targets = tuple(dict.fromkeys(name for _, name in script))
    places = {name: np.array(PLACES[name]) + rng.uniform(-0.02, 0.02, 2) for name in targets}
    slides = slides or {}
    path, grip, spans = [], [], []
    here = np.r_[rng.uniform(-0.05, 0.05, 2), 0.3]
    for j, (kind, name) in enumerate(script):
        steps = last if j == len(script) - 1 else LENGTH
        reach = min(REACH, steps - 1)
        slid = slides[name][1] if name in slides and slides[name][0] <= len(path) else (0, 0)
        there = np.r_[places[name] + slid, 0.05 + 0.02 * j]
        path += [*np.linspace(here, there, reach + 1)[:-1], *np.tile(there, (steps - reach, 1))]
        grip += [-1.0 if kind != "release" else 1.0] * reach
        grip += [1.0 if kind == "grasp" else -1.0] * (steps - reach)
        start = len(path) - steps
        spans.append(
            SubtaskSpan(
                Subtask(kind, name), start, start + reach, start + steps, there, helpers.DOWN
            )
        )
        here = there
    path = np.array(path)
    steps = len(path)
    motion = np.diff(path, axis=0, append=path[-1:]) * 20
    frames = np.arange(0, steps, stride, dtype=np.int32)
    rows = [
        tuple(compress(targets, (bits >> k & 1 for k in range(len(targets)))))
        for bits in range(2 ** len(targets))
    ]
    images, labels = _render(path, frames, spans, places, slides, size, targets)
    state = [path, np.tile([np.pi, 0, 0], (steps, 1)), 0.02 - 0.02 * np.array(grip)[:, None]]
    return Episode(
        frames=frames,
        targets=targets,
        states=np.concatenate(state, axis=1).astype(np.float32),
        actions=np.c_[motion, np.zeros((steps, 3)), grip].astype(np.float32),
        ee_rotation=np.tile(helpers.DOWN, (steps, 1, 1)),
        disturbed=np.zeros(steps, bool),
        spans=tuple(spans),
        details={"instruction": "tidy up", "source": f"many/{seed}", "suite": "many", "task": 3},
        images=images,
        labels=labels,
        table=LabelTable(targets, tuple(rows)),
    )


def _render(path, frames, spans, places, slides, size, targets):
    """Squares of nine pixels' width, alike in both views; a label is a set of targets as bits."""
    images = np.full((len(frames), 2, size, size, 3), 90, np.uint8)
    labels = np.zeros((len(frames), 2, size, size), np.uint8)
    at = dict(places)
    for i, step in enumerate(frames):
        for number, span in enumerate(spans):
            name = span.subtask.target
            if span.subtask.action_type != "grasp" or step < span.interaction:
                continue
            let_go = spans[number + 1].interaction
            at[name] = path[min(step, let_go)][:2]
        for k, name in enumerate(targets):
            slid = slides[name][1] if name in slides and slides[name][0] <= step else (0, 0)
            row, column = ((at[name] + slid + 0.4) / 0.8 * size).astype(int)
            square = np.s_[max(row - 4, 0) : row + 5, max(column - 4, 0) : column + 5]
            images[i, :, square[0], square[1]] = 40 * k
            labels[i, :, square[0], square[1]] |= 1 << k
    return images, labels


def write(folder: Path, *episodes: Episode, action: str = "libero_osc_pose_delta") -> Path:
    """Write a dataset; returns its folder."""
    meaning = helpers.conventions(episodes[0].images.shape[2])
    meaning = type(meaning)(**{**vars(meaning), "action": action})
    with DatasetWriter(folder, meaning, "open") as writer:
        for one in episodes:
            writer.append(one)
    return folder
