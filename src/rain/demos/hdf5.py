"""Demonstration files in LIBERO's own HDF5 layout: ``data/demo_i/{actions, states, …}``.

Files of people's demonstrations and of the scripted expert are read by the same code. Ours hold
one demonstration each, so that a file is complete or absent, and add what a LIBERO file leaves
out: the script, the fixtures' poses, which steps were injected disturbances, and at which subtask
the expert was.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rain.types import ACTION_DIM, RainError, Subtask, TaskScript
from rain.worlds.libero.experts.demonstrate import Demonstration


@dataclass(frozen=True)
class Recording:
    """One demonstration as read from a file.

    states (L, n), actions (L, 7), disturbed bool (L,); fixture_poses (m, 7) or None when the file
    has none; script None when the file leaves it to the task; details: free facts; subtask int
    (L,): the expert's own log of where in the script it was, None where the file has none.
    """

    file: Path
    name: str
    suite: str | None
    task: int | None
    bddl: str
    states: NDArray[np.float64]
    actions: NDArray[np.float64]
    disturbed: NDArray[np.bool_]
    fixture_poses: NDArray[np.float64] | None
    script: TaskScript | None
    details: dict[str, Any]
    subtask: NDArray[np.int64] | None = None


def write_demonstration(path: Path, demonstration: Demonstration, bddl: str) -> None:
    """Write one demonstration; the file appears complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with h5py.File(temporary, "w") as file:
        data = file.create_group("data")
        data.attrs["bddl_file_name"] = bddl
        data.attrs["problem_info"] = json.dumps(
            {"language_instruction": demonstration.script.instruction}
        )
        data.attrs["num_demos"] = 1
        data.attrs["total"] = len(demonstration.actions)
        demo = data.create_group("demo_0")
        demo.attrs["num_samples"] = len(demonstration.actions)
        demo.attrs["init_state"] = demonstration.states[0]
        demo.attrs["rain"] = json.dumps(_facts(demonstration))
        done = np.zeros(len(demonstration.actions), dtype=np.uint8)
        done[-1] = 1
        arrays: dict[str, NDArray] = {
            "actions": demonstration.actions,
            "states": demonstration.states,
            "rewards": done,
            "dones": done,
            "disturbed": demonstration.disturbed,
            "fixture_poses": demonstration.fixture_poses,
        }
        if demonstration.subtask is not None:
            arrays["subtask"] = demonstration.subtask
        for name, values in arrays.items():
            demo.create_dataset(name, data=values, compression="gzip")
    os.replace(temporary, path)


def _facts(demonstration: Demonstration) -> dict[str, Any]:
    return {
        "suite": demonstration.suite,
        "task": demonstration.task,
        "track": demonstration.track,
        "seed": demonstration.seed,
        "layout": demonstration.layout,
        "instruction": demonstration.script.instruction,
        "subtasks": [[s.action_type, s.target] for s in demonstration.script.subtasks],
    }


def read_recordings(path: Path) -> Iterator[Recording]:
    """Read all demonstrations of a file in order; RainError names a file that is not one."""
    try:
        with h5py.File(path, "r") as file:
            if "data" not in file:
                raise RainError(f"{path}: no group 'data'; not a LIBERO demonstration file")
            data = file["data"]
            names = sorted(
                (name for name in data if name.startswith("demo_")),
                key=lambda name: int(name.split("_")[1]),
            )
            if not names:
                raise RainError(f"{path}: holds no demonstration (data/demo_0 is missing)")
            bddl = str(data.attrs.get("bddl_file_name", ""))
            for name in names:
                yield _read_one(path, name, data[name], bddl)
    except OSError as error:
        raise RainError(f"{path}: truncated or not an HDF5 file ({error})") from error


def _read_one(path: Path, name: str, demo: Any, bddl: str) -> Recording:
    for key in ("actions", "states"):
        if key not in demo:
            raise RainError(f"{path}: data/{name} has no {key!r}")
    actions = np.asarray(demo["actions"], dtype=np.float64)
    states = np.asarray(demo["states"], dtype=np.float64)
    if actions.ndim != 2 or actions.shape[1] != ACTION_DIM or len(actions) == 0:
        raise RainError(f"{path}: data/{name}/actions: expected (L, 7), got {actions.shape}")
    if states.ndim != 2 or len(states) != len(actions):
        raise RainError(f"{path}: data/{name}: {len(actions)} actions but states {states.shape}")
    if not (np.isfinite(actions).all() and np.isfinite(states).all()):
        raise RainError(f"{path}: data/{name}: holds NaN or infinity")
    facts: dict[str, Any] = json.loads(demo.attrs.get("rain", "{}"))
    subtasks = facts.pop("subtasks", None)
    script = None
    if subtasks is not None:
        script = TaskScript(facts["instruction"], tuple(Subtask(*pair) for pair in subtasks))
    steps = len(actions)
    return Recording(
        file=path,
        name=name,
        suite=facts.get("suite"),
        task=facts.get("task"),
        bddl=bddl,
        states=states,
        actions=actions,
        disturbed=np.asarray(demo["disturbed"], dtype=bool)
        if "disturbed" in demo
        else np.zeros(steps, dtype=bool),
        fixture_poses=np.asarray(demo["fixture_poses"]) if "fixture_poses" in demo else None,
        script=script,
        details=facts,
        subtask=np.asarray(demo["subtask"], dtype=np.int64) if "subtask" in demo else None,
    )
