"""CSV logs that survive a kill without a lost or doubled row, and the curves drawn from them."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from rain.types import ACTION_TYPES

TRAIN_COLUMNS = (
    "stage",
    "step",
    "seconds",
    "lr",
    "loss",
    "flow",
    "flow_plan",
    "flow_action",
    "consistency",
    "completion",
    "distance",
    "alignment",
    "grad_norm",
    "samples_per_second",
    "waiting_share",
    "memory_mb",
)
VALIDATION_COLUMNS = (
    "stage",
    "step",
    "samples",
    "action_error",
    "gripper_accuracy",
    "plan_mm",
    "final_mm",
    *(f"final_mm_{name}" for name in ACTION_TYPES),
    "progress_accuracy",
    "completed_found",
    "false_alarms",
    "distance_error",
    "alignment_error",
    "progress_auc",
    "transitions",
    "transition_steps",
    "transition_early",
    "transition_missed",
)


def validation_columns(action_names: Sequence[str]) -> tuple[str, ...]:
    """Add the error of each dimension of actions to VALIDATION_COLUMNS."""
    return (*VALIDATION_COLUMNS, *(f"action_error_{name}" for name in action_names))


class CsvLog:
    """A CSV file keyed by (stage, step); opening it drops rows later than where the run stands."""

    def __init__(self, path: Path, columns: Sequence[str], stage: int, step: int) -> None:
        self.path, self.columns = path, tuple(columns)
        rows = [
            row for row in read_rows(path) if (int(row["stage"]), int(row["step"])) <= (stage, step)
        ]
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        temporary.write_text(
            _line(self.columns) + "".join(_line([row.get(c, "") for c in columns]) for row in rows)
        )
        os.replace(temporary, path)

    def append(self, row: Mapping[str, float | int]) -> None:
        """Append a row; columns without a value stay empty."""
        values = [_text(row[c]) if c in row else "" for c in self.columns]
        with self.path.open("a") as file:
            file.write(_line(values))
            file.flush()
            os.fsync(file.fileno())


def read_rows(path: Path) -> list[dict[str, str]]:
    """Read the complete rows of a log; a line half written by a killed run is left out."""
    if not path.exists():
        return []
    text = path.read_text()
    complete = text[: text.rfind("\n") + 1]
    return [row for row in csv.DictReader(io.StringIO(complete)) if None not in row.values()]


def _line(values: Sequence[str]) -> str:
    return ",".join(values) + "\n"


def _text(value: float | int) -> str:
    return str(value) if isinstance(value, int) else f"{value:.6g}"


class Meter:
    """Sums since the log's last row; part of the saved state, so that rows survive a kill."""

    def __init__(self, sums: dict[str, float]) -> None:
        self.sums = sums

    def add(self, values: Mapping[str, float]) -> None:
        """Take in one step's values."""
        for name, value in {**values, "_count": 1.0}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def means(self, sums: Mapping[str, float]) -> dict[str, float]:
        """Divide sums, its own or those averaged over processes, by the number of steps."""
        count = sums["_count"]
        return {name: value / count for name, value in sums.items() if name != "_count"}

    def rate(self, batch: int) -> float:
        """Samples a second since the last row, for batches of this size."""
        return batch * self.sums["_count"] / max(self.sums["_seconds"], 1e-9)


def draw_curves(training: Path, validation: Path, picture: Path) -> None:
    """Draw the logs into a PNG: losses by stage, held-out waypoint and action error, progress."""
    # Only here: matplotlib takes a second to import. Figure needs no display.
    from matplotlib.figure import Figure

    rows, held = read_rows(training), read_rows(validation)
    if not rows:
        return
    figure = Figure(figsize=(12, 7), layout="constrained")
    axes = figure.subplots(2, 3).ravel()
    _curves(axes[0], rows, 1, ("loss", "flow_plan", "flow_action", "consistency"), "stage 1 loss")
    finals = ("plan_mm", "final_mm", *(f"final_mm_{name}" for name in ACTION_TYPES))
    _curves(axes[1], held, 1, finals, "held-out waypoint error, mm")
    errors = [name for name in (held[0] if held else ()) if name.startswith("action_error")]
    _curves(axes[2], held, 1, errors, "held-out action error, standard deviations")
    _curves(axes[3], rows, 2, ("loss", "completion", "distance", "alignment"), "stage 2 loss")
    shares = ("progress_accuracy", "progress_auc", "completed_found", "false_alarms")
    left = ("transition_early", "transition_missed")
    _curves(axes[4], held, 2, (*shares, *left), "held-out progress, shares")
    _curves(axes[5], held, 2, ("transition_steps",), "held-out transition delay, control steps")
    temporary = picture.with_name(f".{os.getpid()}.{picture.name}")
    figure.savefig(temporary, dpi=110, format="png")
    os.replace(temporary, picture)


def _curves(axes, rows: list[dict[str, str]], stage: int, names: Sequence[str], title: str) -> None:  # type: ignore[no-untyped-def]
    for name in names:
        points = [
            (int(row["step"]), float(row[name]))
            for row in rows
            if int(row["stage"]) == stage and row.get(name)
        ]
        if points:
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
    positive = [v for line in axes.lines for v in line.get_ydata() if v > 0]
    if positive and stage == 1:
        axes.set_yscale("log")
    if axes.lines:
        axes.legend(fontsize=7)
    axes.set_title(title, fontsize=9)
    axes.set_xlabel("step", fontsize=8)
    axes.grid(alpha=0.3)
