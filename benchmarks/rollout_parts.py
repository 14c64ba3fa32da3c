"""Milliseconds per rollout step by part: physics, rendering, segmentation, network, judging.

A rollout looks once in ``execute`` control steps, so a step's share of a look is one part in
``execute``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import tyro
from common import load_policy, milliseconds, report

from rain.bench.sources import LiberoWorlds, Rendering
from rain.model import preset


@dataclass(frozen=True)
class Options:
    """Measure the parts of a rollout step in LIBERO."""

    suite: str = "libero_object"
    """Which suite."""
    task: int = 0
    """Which of its tasks."""
    checkpoint: str = "untrained"
    """A checkpoint folder, a shipped name, or untrained rain-nano."""
    rendering: Rendering = "fast"
    """fast: without reflections; official: as LIBERO renders."""
    execute: int = 8
    """Control steps between looks."""
    threads: int = 1
    """CPU threads of the network and of the software renderer."""
    repeats: int = 50
    """Calls to time, of each part."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    policy = load_policy(options.checkpoint, preset("rain-nano"))
    torch.set_num_threads(options.threads)
    size, views = policy.conventions.image_size, policy.conventions.views
    world = LiberoWorlds(options.rendering, options.threads)(
        options.suite, options.task, size, ("agentview", "wrist")
    )
    try:
        world.reset(init_state=0)
        subtask = world.script.subtasks[0]
        observation = world.observe(subtask)
        still = np.array([0, 0, 0, 0, 0, 0, -1], np.float32)

        def median(call, repeats: int = options.repeats) -> float:
            return float(np.median(milliseconds(call, repeats)))

        look = median(lambda: world.observe(subtask))
        images = {view: median(lambda v=view: world.render(v, size)) for view in views}
        parts = {
            "physics": (median(lambda: world.step(still), 2 * options.repeats), 1),
            **{f"image {view}": (taken, options.execute) for view, taken in images.items()},
            # What a look takes beyond its images: the regions, and the state.
            "segmentation, all views": (look - sum(images.values()), options.execute),
            "network": (median(lambda: policy.predict(observation)), options.execute),
            "judging": (median(lambda: (world.success(), world.held_object())), 1),
        }
    finally:
        world.close()
    rows = [
        {"part": name, "ms a call": taken, "ms a step": taken / every}
        for name, (taken, every) in parts.items()
    ]
    rows.append(
        {
            "part": "all",
            "ms a call": "",
            "ms a step": sum(taken / every for taken, every in parts.values()),
        }
    )
    title = f"{options.suite} task {options.task}, {size} px, rendering {options.rendering}"
    report(title, rows, options.json)


if __name__ == "__main__":
    main(tyro.cli(Options))
