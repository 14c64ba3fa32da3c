"""Reading LIBERO's published demonstration files, and those made from them by others.

Three kinds are known: LIBERO's own; those replayed without motionless actions ("no-noops"), which
have no attributes at all, so that the file's name is all that says which task it is; and either
without ``model_file``. In all of them ``states[t]`` is the simulator before ``actions[t]``, while
``obs`` is not used: LIBERO's own is one step later than the states.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from rain.demos.hdf5 import demonstration_names, read_model, read_recording, scene_of
from rain.types import RainError


@dataclass(frozen=True)
class PublishedFile:
    """A file of one task's demonstrations; problem: what is wrong with the file as a whole."""

    path: Path
    suite: str
    task: int
    bddl: str
    names: tuple[str, ...]
    problem: str = ""


@dataclass(frozen=True)
class Published:
    """One demonstration: states (L, n), actions (L, 7), its scene's MJCF if the file keeps it.

    origin: file name and place in it; key: identifies its states and actions.
    """

    origin: str
    key: str
    states: NDArray[np.float64]
    actions: NDArray[np.float64]
    model: str | None


def open_published(path: Path) -> PublishedFile:
    """Look into a file; RainError where it is damaged or of another task than the 40."""
    bddl, names = demonstration_names(path)
    suite, task = scene_of(path, bddl)
    with h5py.File(path, "r") as file:
        said = file["data"].attrs.get("num_demos", len(names))
        ours = "rain" in file["data"][names[0]].attrs
    if ours:
        raise RainError(f"{path}: is rain collect's own; give it to rain demos process directly")
    problem = ""
    if int(said) != len(names):
        problem = f"{path}: holds {len(names)} demonstrations where num_demos says {said}"
    return PublishedFile(path, suite, task, bddl or f"{path.stem}.bddl", tuple(names), problem)


def read_published(path: Path, name: str) -> Published:
    """Read one demonstration; RainError names file, demonstration and what is wrong with it."""
    recording = read_recording(path, name)
    actions = recording.actions
    if np.abs(actions).max() > 1 + 1e-6:
        raise RainError(
            f"{path}: data/{name}/actions: reach {np.abs(actions).max():.2f}, outside [-1, 1]; "
            "they are not LIBERO's controller commands"
        )
    with h5py.File(path, "r") as file:
        said = int(file["data"][name].attrs.get("num_samples", len(actions)))
    if said != len(actions):
        raise RainError(f"{path}: data/{name}: {len(actions)} steps where num_samples says {said}")
    digest = hashlib.sha256(recording.states.tobytes() + actions.tobytes()).hexdigest()[:16]
    return Published(
        f"{path.name}/{name}", digest, recording.states, actions, read_model(path, name)
    )
