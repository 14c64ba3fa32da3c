"""What a causal test comes to: figures as JSON, and a picture of the trajectories."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from rain.bench.scoring import wilson
from rain.dashboard.causal import CausalTrial, Scene
from rain.drawing import replacing
from rain.types import RainError

FIGURES, PICTURE = "causal.json", "causal.png"
COLOURS = ("#7c3aed", "#f59e0b", "#06b6d4", "#ec4899", "#1f2937", "#84cc16", "#ef4444", "#0ea5e9")


def summary(trials: Sequence[CausalTrial], **about: Any) -> dict[str, Any]:
    """Hits of trials with Wilson's 95 % interval, and each trial; as JSON values."""
    hits = sum(trial.hit for trial in trials)
    low, high = wilson(hits, len(trials))
    return {
        **about,
        "trials": len(trials),
        "hits": hits,
        "low": low,
        "high": high,
        "clicks": [
            {**asdict(trial), "path": np.round(trial.path, 4).tolist(), "hit": trial.hit}
            for trial in trials
        ],
    }


def write(
    folder: Path, found: Sequence[tuple[CausalTrial, Scene]], **about: Any
) -> tuple[Path, Path]:
    """Write figures and picture; returns where they are. RainError where there was no trial."""
    if not found:
        raise RainError("no trial: no candidate was to be seen")
    figures, picture = folder / FIGURES, folder / PICTURE
    with replacing(figures) as temporary:
        told = summary([trial for trial, _ in found], **about)
        temporary.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    draw(picture, found)
    return figures, picture


def draw(path: Path, found: Sequence[tuple[CausalTrial, Scene]]) -> None:
    """One panel a scene: where the end-effector went for each click, a ring about what was meant.

    A trajectory that reached another target than the clicked one, or none, is dashed.
    """
    from matplotlib.figure import Figure

    scenes = sorted({trial.scene for trial, _ in found})
    names = sorted({trial.clicked for trial, _ in found})
    columns = min(3, len(scenes))
    rows = math.ceil(len(scenes) / columns)
    figure = Figure(figsize=(4.6 * columns, 4.7 * rows + 0.5), layout="constrained", dpi=110)
    axes = np.atleast_1d(figure.subplots(rows, columns)).ravel()
    for panel, number in zip(axes, scenes, strict=False):
        trials = [(t, s) for t, s in found if t.scene == number]
        _panel(panel, trials, names)
        hits = sum(t.hit for t, _ in trials)
        panel.set_title(f"scene {number}: {hits} of {len(trials)} clicks obeyed", fontsize=10)
    for panel in axes:
        panel.set_axis_off()
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, 2 * columns), fontsize=9,
        frameon=False,
    )  # fmt: skip
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")


def _panel(panel: Any, trials: Sequence[tuple[CausalTrial, Scene]], names: list[str]) -> None:
    size = len(trials[0][1].image)
    panel.imshow(trials[0][1].image, alpha=0.75)
    for trial, scene in trials:
        colour = COLOURS[names.index(trial.clicked) % len(COLOURS)]
        pixels = np.asarray(scene.project(trial.path))
        style = "-" if trial.hit else "--"
        panel.plot(*pixels.T, style, color="white", lw=4.2, alpha=0.6)
        panel.plot(*pixels.T, style, color=colour, lw=2.2, label=trial.clicked)
        if scene.target is not None:
            panel.plot(*scene.target, "o", mfc="none", mec="white", ms=15, mew=3.6)
            panel.plot(*scene.target, "o", mfc="none", mec=colour, ms=15, mew=2)
        panel.plot(*pixels[-1], "." if trial.hit else "x", color=colour, ms=9, mew=2)
    panel.set_xlim(0, size)
    panel.set_ylim(size, 0)
