"""Curves for other programs: TensorBoard, and Weights & Biases where it is asked for.

Both are fed the rows of log.csv and validation.csv, so they hold what those hold, no more or less.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from rain.types import RainError

Row = Mapping[str, float | int | str]


class Tracker(Protocol):
    """Takes rows of numbers by name."""

    def log(self, kind: str, step: int, row: Row) -> None:
        """Take a row of ``kind`` train or validation at ``step``, counted through both stages."""

    def close(self) -> None:
        """Write what is left."""


class TensorBoard:
    """Event files under OUT/tensorboard, written anew from the CSV logs whenever a run continues.

    Written anew, since event files cannot be cut: what a killed run had logged beyond its last
    saved state would stand there twice.
    """

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        shutil.rmtree(folder, ignore_errors=True)
        self._writer = SummaryWriter(str(folder))

    def log(self, kind: str, step: int, row: Row) -> None:
        """Write one point of each curve."""
        for name, value in numbers(row).items():
            self._writer.add_scalar(f"{kind}/{name}", value, step)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()


class WandB:
    """A run at Weights & Biases; the run folder decides its id, so that a run goes on there."""

    def __init__(self, project: str, out: Path, settings: Mapping[str, Any]) -> None:
        if importlib.util.find_spec("wandb") is None:
            raise RainError('--wandb needs wandb: pip install "rain-robotics[wandb]"')
        import wandb

        name = hashlib.sha256(str(out.resolve()).encode()).hexdigest()[:16]
        self._run = wandb.init(
            project=project, id=name, name=out.name, dir=str(out), resume="allow", config=settings
        )

    def log(self, kind: str, step: int, row: Row) -> None:
        """Send one row; wandb itself leaves out steps that it has already."""
        values = {f"{kind}/{name}": value for name, value in numbers(row).items()}
        if step >= self._run.step:
            self._run.log(values, step=step)

    def close(self) -> None:
        """Send what is left."""
        self._run.finish()


def numbers(row: Row) -> dict[str, float]:
    """Return the values of a row that are curves: what is empty or counts steps is left out."""
    return {
        name: float(value)
        for name, value in row.items()
        if name not in ("stage", "step") and value != ""
    }


def replay(tracker: Tracker, kind: str, rows: Sequence[Row], first_stage_steps: int) -> None:
    """Give a tracker the rows that a continued run has logged before."""
    for row in rows:
        tracker.log(kind, global_step(int(row["stage"]), int(row["step"]), first_stage_steps), row)


def global_step(stage: int, step: int, first_stage_steps: int) -> int:
    """Count steps through both stages."""
    return step + (first_stage_steps if stage == 2 else 0)
