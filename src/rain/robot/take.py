"""One episode while it is recorded: rows in memory, pixels in files beside the dataset."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.demos.episode import Episode
from rain.robot.boundaries import find_spans
from rain.robot.robot import Robot
from rain.robot.timing import Beat, Spread
from rain.types import Conventions, RainError, TaskScript
from rain.worlds.labels import LabelTable
from rain.worlds.omy.kinematics import forward
from rain.worlds.processes import is_alive

TAKES = "rain/takes"
Labels = Mapping[str, tuple[NDArray[np.uint8], LabelTable]]


def clear_takes(dataset: Path) -> int:
    """Remove the pixels of recorders that were killed; of how many takes."""
    names = {path.stem for path in (dataset / TAKES).glob("*.*")}
    gone = [name for name in names if not is_alive(int(name.partition("-")[0]))]
    for name in gone:
        for path in (dataset / TAKES).glob(f"{name}.*"):
            path.unlink(missing_ok=True)
    return len(gone)


class Take:
    """Takes a row a tick; ``episode`` makes a demonstration of them."""

    def __init__(
        self, dataset: Path, robot: Robot, conventions: Conventions, script: TaskScript, name: str
    ) -> None:
        """Open its files; OSError where that fails. name: unlike that of any other take."""
        self.script, self.name = script, name
        self._robot, self._conventions = robot, conventions
        folder = dataset / TAKES
        folder.mkdir(parents=True, exist_ok=True)
        stem = f"{os.getpid()}-{name}"
        self._paths = folder / f"{stem}.images", folder / f"{stem}.labels"
        self._images, self._labels = (path.open("wb") for path in self._paths)
        self._states: list[NDArray] = []
        self._actions: list[NDArray] = []
        self._frames: list[int] = []
        self._table = LabelTable(tuple(dict.fromkeys(s.target for s in script.subtasks)))
        self.marks: list[int] = []
        self.late, self.skipped = Spread(), 0
        self.repeated = dict.fromkeys(conventions.views, 0)
        self._before: dict[str, float] = {}

    def __len__(self) -> int:
        """Control steps so far."""
        return len(self._states)

    def add(
        self, beat: Beat, state: NDArray, action: NDArray, images: Mapping[str, NDArray],
        stamps: Mapping[str, float], labels: Labels,
    ) -> None:  # fmt: skip
        """Take one tick. Ticks that were missed are steps without a frame, as the arm was last.

        OSError where the disk is full, RainError where label maps do not fit.
        """
        self.late.add(beat.late)
        missed = beat.skipped if self._states else 0
        self.skipped += missed
        for _ in range(missed):
            self._states.append(self._states[-1])
            self._actions.append(self._actions[-1])
        maps = [self._map(view, labels) for view in self._conventions.views]
        for view in self._conventions.views:
            self.repeated[view] += stamps[view] == self._before.get(view)
            self._images.write(np.ascontiguousarray(images[view]).data)
        self._before = dict(stamps)
        for labelled in maps:
            self._labels.write(np.ascontiguousarray(labelled).data)
        self._frames.append(len(self._states))
        self._states.append(np.asarray(state, np.float32))
        self._actions.append(np.asarray(action, np.float32))

    def mark(self) -> None:
        """The present subtask is complete."""
        self.marks.append(len(self))

    def cut(self, steps: int) -> None:
        """Forget all after so many control steps."""
        del self._states[steps:], self._actions[steps:]
        self._frames = [frame for frame in self._frames if frame < steps]

    def figures(self) -> dict[str, Any]:
        """How evenly it was recorded. repeated: ticks in which a camera had nothing new."""
        return {
            "steps": len(self), "skipped": self.skipped, "repeated": dict(self.repeated),
            "late": self.late.told(),
        }  # fmt: skip

    def episode(self, details: Mapping[str, Any]) -> Episode:
        """The demonstration; RainError where a subtask is not found in it."""
        if not self._frames:
            raise RainError("nothing was recorded")
        self._images.flush()
        self._labels.flush()
        states, actions = np.stack(self._states), np.stack(self._actions)
        positions, rotations = (values.astype(np.float32) for values in forward(states[:, :6]))
        spans = find_spans(
            self.script, positions, rotations, actions, self._conventions.action, self.marks
        )
        size, views = self._conventions.image_size, len(self._conventions.views)
        shape = (len(self._frames), views, size, size)
        images, labels = self._paths
        return Episode(
            frames=np.array(self._frames, np.int32),
            targets=tuple(dict.fromkeys(s.target for s in self.script.subtasks)),
            states=states,
            actions=actions,
            ee_rotation=rotations,
            disturbed=np.zeros(len(states), bool),
            spans=spans,
            details={**details, "instruction": self.script.instruction,
                     "recorder": self.figures()},
            images=np.memmap(images, np.uint8, "r", shape=(*shape, 3)),
            labels=np.memmap(labels, np.uint8, "r", shape=shape),
            table=self._table,
            ee_position=positions,
        )  # fmt: skip

    def remove(self) -> None:
        """Let go of its files."""
        self._close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def set_aside(self) -> Path:
        """Keep what makes no demonstration, for people to look into; the folder. OSError."""
        folder = self._paths[0].parents[1] / "rejected" / self.name
        folder.mkdir(parents=True, exist_ok=True)
        self._close()
        np.savez(
            folder / "rows.npz", states=self._states, actions=self._actions, frames=self._frames,
            marks=self.marks, views=self._conventions.views,
        )  # fmt: skip
        for path in self._paths:
            os.replace(path, folder / path.suffix.removeprefix("."))
        return folder

    def _close(self) -> None:
        for file in (self._images, self._labels):
            with suppress(OSError):  # what could not be written is not wanted any more
                file.close()

    def _map(self, view: str, labels: Labels) -> NDArray[np.uint8]:
        size = self._conventions.image_size
        if view not in labels:
            return np.zeros((size, size), np.uint8)
        found, table = labels[view]
        if found.shape != (size, size):
            raise RainError(f"{view}: its label map has {found.shape}, its image {(size, size)}")
        known = self._table.rows
        if table.rows[: len(known)] != known and known[: len(table.rows)] != table.rows:
            raise RainError("the label maps' numbers changed their meaning")
        if len(table.rows) >= len(known):
            self._table = table
        return found
