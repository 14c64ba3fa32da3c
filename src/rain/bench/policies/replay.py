"""Recorded demonstrations as a policy: their actions played again, from wherever the run begins.

What memorising a task's motion is worth: the demonstration began elsewhere, and nothing is seen.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero.world import libero_conventions


@dataclass(frozen=True)
class ReplayPolicies:
    """Plays demonstrations of the same task, by the seed another one each time.

    path: an HDF5 file in LIBERO's layout, or a folder of such files.
    """

    path: str

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        return f"replay-{Path(self.path).stem}"

    def fingerprint(self) -> str:
        """Changes with any of the files."""
        digest = hashlib.sha256()
        for file in _files(self.path):
            digest.update(file.name.encode())
            with file.open("rb") as content:
                digest.update(hashlib.file_digest(content, "sha256").digest())
        return digest.hexdigest()[:12]

    def __call__(self, seed: int) -> ReplayPolicy:
        """A policy that plays the demonstration that ``seed`` picks."""
        return ReplayPolicy(self.path, seed)


class ReplayPolicy:
    """Plays one demonstration."""

    def __init__(self, path: str, seed: int) -> None:
        """See ``ReplayPolicies``."""
        self.conventions = libero_conventions(128)
        self._path, self._seed = path, seed

    def actions(self, world: Any, script: TaskScript) -> Iterator[tuple[NDArray, int]]:
        """The recorded actions (7,); RainError where no demonstration is of this script."""
        alike = [played for played in _read(self._path) if played.subtasks == script.subtasks]
        here = [p for p in alike if p.scene == (world.task.suite, world.task.index)]
        if not alike:
            raise RainError(f"{self._path} holds no demonstration of “{script.instruction}”")
        found = here or alike
        played = found[self._seed % len(found)]
        for action, subtask in zip(played.actions, played.at, strict=True):
            yield np.clip(action, -1, 1), int(subtask)


def _files(path: str) -> list[Path]:
    found = Path(path)
    files = sorted(found.rglob("*.hdf5")) if found.is_dir() else [found]
    if not files or not all(file.is_file() for file in files):
        raise RainError(f"policy replay: {path!r} is no HDF5 file and no folder of such files")
    return files


@dataclass(frozen=True)
class _Played:
    """scene: suite and task; actions (L, 7); at (L,): index of the subtask at each step."""

    scene: tuple[str, int]
    subtasks: tuple[Subtask, ...]
    actions: NDArray[np.float64]
    at: NDArray[np.int64]


@lru_cache(maxsize=1)
def _read(path: str) -> list[_Played]:
    from rain.demos.hdf5 import read_recordings, scene_of
    from rain.worlds.libero.suites import find_task

    found = []
    for file in _files(path):
        for recording in read_recordings(file):
            scene = scene_of(file, recording.bddl)
            script = recording.script or find_task(*scene).script
            at = recording.subtask
            if at is None:
                at = np.zeros(len(recording.actions), np.int64)
            found.append(_Played(scene, script.subtasks, recording.actions, at))
    return found
