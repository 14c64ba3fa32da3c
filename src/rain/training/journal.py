"""What a run writes down as it goes: CSV logs, TensorBoard, Weights & Biases, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rain.training.config import TrainConfig
from rain.training.logs import (
    TRAIN_COLUMNS,
    CsvLog,
    draw_curves,
    read_rows,
    validation_columns,
)
from rain.training.run import RunFolder
from rain.training.state import Position
from rain.training.trackers import TensorBoard, Tracker, WandB, global_step, replay
from rain.training.validate import shortfall


class Journal:
    """The logs of a run that stands at ``position``: later rows, of a killed sitting, are cut.

    action_names: the action's dimensions, of which each has a column.
    """

    def __init__(
        self,
        config: TrainConfig,
        folder: RunFolder,
        position: Position,
        action_names: Sequence[str],
    ) -> None:
        self.config, self.folder = config, folder
        where = (position.stage, position.step)
        self._logs = {
            "train": CsvLog(folder.log, TRAIN_COLUMNS, *where),
            "validation": CsvLog(folder.validation, validation_columns(action_names), *where),
        }
        self._trackers: list[Tracker] = []
        if config.tensorboard:
            board = TensorBoard(folder.path / "tensorboard")
            for kind, log in self._logs.items():
                replay(board, kind, read_rows(log.path), config.stage1.steps)
            self._trackers.append(board)
        if config.wandb is not None:
            self._trackers.append(WandB(config.wandb, folder.path, config.to_dict()))

    def log(self, kind: str, row: Mapping[str, float | int]) -> None:
        """Write a row of ``kind`` train or validation, with its stage and step."""
        self._logs[kind].append(row)
        step = global_step(int(row["stage"]), int(row["step"]), self.config.stage1.steps)
        for tracker in self._trackers:
            tracker.log(kind, step, row)

    def best_yet(self, stage: int) -> bool:
        """Say whether the last validation is the best of its stage."""
        rows = [row for row in read_rows(self.folder.validation) if int(row["stage"]) == stage]
        scores = [shortfall(row) for row in rows]
        return bool(scores) and scores[-1] == min(scores)

    def draw(self) -> None:
        """Draw the curves into OUT/curves.png."""
        draw_curves(self.folder.log, self.folder.validation, self.folder.curves)

    def close(self) -> None:
        """Close what the trackers hold."""
        for tracker in self._trackers:
            tracker.close()
