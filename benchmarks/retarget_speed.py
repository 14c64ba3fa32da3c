"""Retargeted trajectories per second on one core, single and batched, by mode."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from common import report

from rain.retarget import Reference, References, RetargetOptions, synthesise


@dataclass(frozen=True)
class Options:
    """Measure whole trajectories: junction, approach, actions, concatenation."""

    batches: tuple[int, ...] = (1, 32, 128, 512, 2048)
    """Trajectories a call."""
    references: int = 64
    """Different references in a batch."""
    steps: int = 40
    """Steps of a reference."""
    reach: float = 0.2
    """Distance in metres of the starts from the reference's."""
    seconds: float = 2.0
    """How long to measure each row."""
    json: Path | None = None
    """Write the figures here."""


def descents(options: Options, rng: np.random.Generator) -> References:
    """Curved descents at 1 cm a step with a wait and a lift at the end, as grasps are."""
    made = []
    for _ in range(options.references):
        reach = options.steps * 3 // 4
        away = np.linspace(1, 0, reach) ** 1.5
        path = np.zeros((options.steps, 3))
        path[:reach] = away[:, None] * [*rng.uniform(-0.1, 0.1, 2), 0.01 * reach]
        path[reach + 5 :, 2] = 0.005 * np.arange(options.steps - reach - 5)
        path += [0.5, 0.0, 0.05]
        rotations = np.tile(np.diag([1.0, -1.0, -1.0]), (options.steps, 1, 1))
        actions = rng.uniform(-1, 1, (options.steps, 7))
        made.append(Reference(path, rotations, actions, reach, path[reach], rotations[0]))
    return References.pack(made)


def main(options: Options) -> None:
    rng = np.random.default_rng(0)
    references = descents(options, rng)
    rows = []
    for mode in ("rrs", "linear"):
        for size in options.batches:
            which = rng.integers(0, len(references), size)
            direction = rng.normal(size=(size, 3))
            direction *= options.reach / np.linalg.norm(direction, axis=1, keepdims=True)
            starts = references.positions[which, 0] + direction
            yaw = rng.uniform(-0.5, 0.5, size)
            rotations = np.zeros((size, 3, 3))
            rotations[:, 0, 0], rotations[:, 1, 1] = np.cos(yaw), -np.cos(yaw)
            rotations[:, 0, 1] = rotations[:, 1, 0] = np.sin(yaw)
            rotations[:, 2, 2] = -1
            rate, made = measure(options, starts, rotations, references, which, mode)
            rows.append(
                {
                    "mode": mode,
                    "batch": size,
                    "trajectories/s": round(rate),
                    "µs each": 1e6 / rate,
                    "mean steps": float(made.length.mean()),
                    "of them approach": float(made.approach.mean()),
                }
            )
    report("retargeting, whole trajectories", rows, options.json)


def measure(options, starts, rotations, references, which, mode):
    choice = RetargetOptions(mode=mode)
    made = synthesise(starts, rotations, references, which, choice)
    # CPU time of this process: other work on the machine does not count.
    calls, begin = 0, time.process_time()
    while time.process_time() - begin < options.seconds or calls < 3:
        made = synthesise(starts, rotations, references, which, choice)
        calls += 1
    return calls * len(starts) / (time.process_time() - begin), made


if __name__ == "__main__":
    main(tyro.cli(Options))
