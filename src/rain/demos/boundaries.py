"""How well annotation finds the subtasks' boundaries, measured against the experts' own logs.

A boundary is where a subtask is complete: a grasp when the object is lifted, everything else when
the act is done and the hand has withdrawn. Annotation finds it from what happens in the simulator.
The expert's log says at which subtask it was at every step; with its own gripper commands that
tells when the expert, which knows what it is doing, had finished its act. Annotation never reads
that log.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.demos.annotate import AT_REST, WITHDRAWN, Trace, annotate, signed_gripper
from rain.demos.hdf5 import Recording, read_recordings
from rain.demos.replay import look_again, task_of
from rain.types import RainError, Subtask, SubtaskSpan
from rain.worlds.opening import RecordedWorld, open_world
from rain.worlds.processes import run_jobs

PIECE = 25
"""Demonstrations that a worker checks with one simulator."""
TOLERANCE = 5
"""Steps; a boundary this near to the expert's counts as found."""


@dataclass(frozen=True)
class Boundary:
    """One subtask's end, in control steps: by annotation, by the expert, and when it went on."""

    source: str
    subtask: Subtask
    annotated: int
    expert: int
    went_on: int

    @property
    def late(self) -> int:
        """Steps by which annotation is later than the expert; negative when it is earlier."""
        return self.annotated - self.expert


@dataclass(frozen=True)
class Checked:
    """A demonstration's boundaries, or in one line why there are none."""

    source: str
    subtasks: int
    boundaries: tuple[Boundary, ...] = ()
    failure: str = ""


def check_boundaries(files: list[Path], workers: int = 2) -> Iterator[list[Checked]]:
    """Compare every demonstration of ``files``; yields what a worker finished, file by file.

    RainError where a file is damaged or holds no log of an expert.
    """
    scenes: dict[tuple[str, int], list[Path]] = {}
    for file in files:
        recording = next(read_recordings(file))
        if recording.subtask is None or recording.script is None:
            raise RainError(
                f"{file}: holds no expert's log; only demonstrations that rain collect made "
                "can be checked"
            )
        scenes.setdefault(task_of(recording), []).append(file)
    jobs = [
        (suite, task, some[i : i + PIECE])
        for (suite, task), some in scenes.items()
        for i in range(0, len(some), PIECE)
    ]
    yield from run_jobs(_check_piece, jobs, workers)


def _check_piece(suite: str, task: int, files: list[Path]) -> list[Checked]:
    world = open_world(suite, task)
    try:
        return [compare(world, r) for file in files for r in read_recordings(file)]
    finally:
        world.close()


def compare(world: RecordedWorld, recording: Recording) -> Checked:
    """Annotate one demonstration of an expert and compare with its log."""
    script, log = recording.script, recording.subtask
    assert script is not None
    assert log is not None
    source = f"{recording.file}: {recording.name}"
    seen = look_again(world, recording, script)
    actions = signed_gripper(recording.actions, world.conventions.action)
    try:
        spans = annotate(script, seen, actions)
    except RainError as error:
        return Checked(source, len(script.subtasks), failure=str(error))
    went_on = [int(np.flatnonzero(log == j)[-1]) + 1 for j in range(len(spans))]
    ends = [expert_end(seen, actions, log, s, j) for j, s in enumerate(spans)]
    found = zip(spans, ends, went_on, strict=True)
    boundaries = tuple(Boundary(source, s.subtask, s.end, e, on) for s, e, on in found)
    return Checked(source, len(script.subtasks), boundaries)


def expert_end(seen: Trace, actions: NDArray, log: NDArray, span: SubtaskSpan, j: int) -> int:
    """The step at which subtask ``j`` was complete by the expert's log.

    A grasp ends where the expert goes on: its skill returns once the object is lifted. Of other
    skills the act is done when the expert opens its hand (release, open, turn_on) or when what it
    pushes has come to rest (close, push); complete is when the hand has withdrawn from there.
    """
    mine = np.flatnonzero(log == j)
    first, after = int(mine[0]), int(mine[-1]) + 1
    action_type = span.subtask.action_type
    if action_type == "grasp":
        return after
    if action_type in ("close", "push"):
        still = np.abs(np.diff(seen.moved[first:after, j])) < AT_REST
        moving = np.flatnonzero(~still)
        act = first + int(moving[-1]) + 1 if len(moving) else first
    else:
        wanted = actions[first:after, 6] <= 0
        opened = np.flatnonzero(wanted & ~np.r_[True, wanted[:-1]])
        act = first + int(opened[-1]) if len(opened) else first
    away = np.linalg.norm(seen.positions[act:after] - seen.positions[act], axis=1)
    gone = np.flatnonzero(away >= WITHDRAWN)
    return act + int(gone[0]) if len(gone) else after
