"""What the benchmarks share: a policy to measure, timing, and a report that names the machine."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from rain.model import Checkpoint, Normaliser, RainConfig, RainNet, RainPolicy
from rain.types import ACTION_TYPES, Conventions, Observation


def untrained(config: RainConfig) -> Checkpoint:
    """A checkpoint of random weights: as fast as a trained one."""
    rng = np.random.default_rng(0)
    conventions = Conventions(
        config.views,
        config.image_size,
        "libero_ee_axis_angle_gripper",
        "libero_osc_pose_delta",
        20.0,
    )
    normaliser = Normaliser.from_samples(
        conventions.state,
        rng.normal(size=(64, 7)),
        rng.normal(size=(64, 16, 7)),
        rng.normal(size=(64, 8, 3)),
    )
    return Checkpoint(RainNet(config).eval(), normaliser, conventions)


def load_policy(name: str, config: RainConfig) -> RainPolicy:
    """A policy of a checkpoint folder, a shipped name, or ``untrained``."""
    return RainPolicy(untrained(config)) if name == "untrained" else RainPolicy.load(name)


def random_observation(conventions: Conventions, seed: int = 0) -> Observation:
    """Noise images with a small region."""
    rng = np.random.default_rng(seed)
    size = conventions.image_size
    region = np.zeros((size, size), dtype=bool)
    region[size // 2 : size // 2 + size // 8, size // 3 : size // 3 + size // 8] = True
    return Observation(
        images={
            view: rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            for view in conventions.views
        },
        regions=dict.fromkeys(conventions.views, region),
        state=np.array([0.5, 0, 0.2, 3.1, 0, 0, 0.08], np.float32),
        action_type=ACTION_TYPES[0],
    )


def milliseconds(call: Callable[[], Any], repeats: int, warmup: int = 3) -> np.ndarray:
    """Wall-clock milliseconds of each of ``repeats`` calls, after a warm-up."""
    for _ in range(warmup):
        call()
    taken = np.empty(repeats)
    for i in range(repeats):
        start = time.perf_counter()
        call()
        taken[i] = time.perf_counter() - start
    return 1000 * taken


def machine() -> dict[str, Any]:
    """What the figures depend on beside the code."""
    return {
        "cpu": _cpu_name(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def report(title: str, rows: Sequence[Mapping[str, Any]], out: Path | None) -> None:
    """Print rows of equal keys as a table and write them as JSON."""
    about = machine()
    table = Table(title=title, caption=", ".join(f"{k} {v}" for k, v in about.items()))
    for i, name in enumerate(rows[0]):
        table.add_column(name, justify="left" if i == 0 else "right")
    for row in rows:
        table.add_row(*(f"{v:.2f}" if isinstance(v, float) else str(v) for v in row.values()))
    # A file or a pipe has no width: leave the table whole.
    console = Console()
    (console if console.is_terminal else Console(width=250)).print(table)
    if out is not None:
        content = {"benchmark": title, "machine": about, "rows": list(rows)}
        out.write_text(json.dumps(content, indent=2) + "\n")
