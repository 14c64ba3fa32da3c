"""Milliseconds from an observation to an action chunk, plan and progress: median and 90 %."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from common import load_policy, milliseconds, random_observation, report

from rain.model import preset


@dataclass(frozen=True)
class Options:
    """Measure how long one prediction takes."""

    checkpoint: str = "untrained"
    """A checkpoint folder, a shipped name, or untrained."""
    preset: str = "rain-nano"
    """The network of an untrained one."""
    threads: tuple[int, ...] = (1, 2)
    """Thread counts to try."""
    repeats: int = 200
    """Predictions to time."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    policy = load_policy(options.checkpoint, preset(options.preset))
    observation = random_observation(policy.conventions)
    rows = []
    for threads in options.threads:
        torch.set_num_threads(threads)
        taken = milliseconds(lambda: policy.predict(observation), options.repeats, warmup=10)
        rows.append(
            {
                "threads": threads,
                "median ms": float(np.median(taken)),
                "p90 ms": float(np.percentile(taken, 90)),
                "min ms": float(taken.min()),
            }
        )
    name = options.preset if options.checkpoint == "untrained" else options.checkpoint
    report(f"chunk latency of {name}", rows, options.json)


if __name__ == "__main__":
    main(tyro.cli(Options))
