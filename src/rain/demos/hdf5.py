"""Demonstration files in LIBERO's own HDF5 layout: ``data/demo_i/{actions, states, …}``.

Files of people's demonstrations and of the scripted expert are read by the same code. Ours hold
one demonstration each, so that a file is complete or absent, and add what a LIBERO file leaves
out: the script, the fixtures' poses, which steps were injected disturbances, and at which subtask
the expert was.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from rain.types import ACTION_DIM, RainError, Subtask, TaskScript
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero.suites import task_named
from rain.worlds.processes import is_alive

_DEMO = re.compile(r"demo_\d+")
FAILURES = "failures"
"""Folder beside a suite's demonstrations that keeps failed attempts at them."""
LONGEST_WRITE = 60.0
"""s; a temporary file that has not changed for so long is no longer being written."""


@dataclass(frozen=True)
class Recording:
    """One demonstration as read from a file.

    states (L, n), actions (L, 7), disturbed bool (L,); fixture_poses (m, 7) or None when the file
    has none; script None when the file leaves it to the task; details: free facts, of a failed
    attempt the ``failure``; subtask int (L,): the expert's own log of where in the script it was,
    None where the file has none.
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


def write_demonstration(
    path: Path, demonstration: Demonstration, bddl: str, failure: str = ""
) -> None:
    """Write one demonstration of the expert; the file appears complete or not at all.

    failure: why it is none to learn from; stored among its facts, and in no other file's.
    """
    arrays: dict[str, NDArray] = {
        "states": demonstration.states,
        "actions": demonstration.actions,
        "disturbed": demonstration.disturbed,
        "fixture_poses": demonstration.fixture_poses,
    }
    if demonstration.subtask is not None:
        arrays["subtask"] = demonstration.subtask
    facts = _facts(demonstration)
    write_arrays(path, bddl, {**facts, "failure": failure} if failure else facts, arrays)


def write_arrays(
    path: Path, bddl: str, facts: Mapping[str, Any], arrays: Mapping[str, Any]
) -> None:
    """Write one demonstration: ``states`` (L, n), ``actions`` (L, 7) and what else is known.

    facts: plain JSON values with at least the instruction. The file appears complete or not at all.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    done = np.zeros(len(arrays["actions"]), dtype=np.uint8)
    done[-1] = 1
    try:
        with h5py.File(temporary, "w") as file:
            data = file.create_group("data")
            data.attrs["bddl_file_name"] = bddl
            data.attrs["problem_info"] = json.dumps({"language_instruction": facts["instruction"]})
            data.attrs["num_demos"] = 1
            data.attrs["total"] = len(done)
            demo = data.create_group("demo_0")
            demo.attrs["num_samples"] = len(done)
            demo.attrs["init_state"] = arrays["states"][0]
            demo.attrs["rain"] = json.dumps(facts)
            for name, values in {**arrays, "rewards": done, "dones": done}.items():
                demo.create_dataset(name, data=values, compression="gzip")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale(folder: Path) -> None:
    """Remove temporary files below a folder whose writers were killed."""
    for path in folder.rglob(".*.hdf5.*"):
        pid = path.name.rpartition(".")[2]
        with suppress(FileNotFoundError):  # written to its end, or removed, just now
            # Process ids come again: a live one is believed only as long as a write takes.
            stale = time.time() - path.stat().st_mtime > LONGEST_WRITE
            if pid.isdigit() and (stale or not is_alive(int(pid))):
                path.unlink()


def _facts(demonstration: Demonstration) -> dict[str, Any]:
    return {
        "suite": demonstration.suite,
        "task": demonstration.task,
        "track": demonstration.track,
        "seed": demonstration.seed,
        "layout": demonstration.layout,
        **script_facts(demonstration.script),
    }


def script_facts(script: TaskScript) -> dict[str, Any]:
    """A script as a file keeps it, among the facts of a demonstration."""
    return {
        "instruction": script.instruction,
        "subtasks": [[s.action_type, s.target] for s in script.subtasks],
    }


def scene_of(path: Path, bddl: str) -> tuple[str, int]:
    """Suite and index of the task a file belongs to.

    By the name of its BDDL file, whose folder is that of another machine; files that were made
    again without LIBERO's attributes are named after the task.
    """
    name = PurePosixPath(bddl.replace("\\", "/")).stem or path.stem.removesuffix("_demo")
    found = task_named(name)
    if found is None:
        raise RainError(f"{path}: its scene {name!r} is not one of the 40 tasks")
    return found


def demonstration_names(path: Path) -> tuple[str, list[str]]:
    """The BDDL file and the names of a file's demonstrations; RainError where it holds none."""
    with _opened(path) as data:
        numbers = sorted(int(name[5:]) for name in data if _DEMO.fullmatch(name))
        if not numbers:
            raise RainError(f"{path}: holds no demonstration (data/demo_0 is missing)")
        return str(data.attrs.get("bddl_file_name", "")), [f"demo_{i}" for i in numbers]


def read_recordings(path: Path) -> Iterator[Recording]:
    """Read all demonstrations of a file in order; RainError names a file that is not one."""
    for name in demonstration_names(path)[1]:
        yield read_recording(path, name)


def read_recording(path: Path, name: str) -> Recording:
    """Read one demonstration; RainError names file, demonstration and what is wrong with it."""
    with _opened(path) as data:
        return _read_one(path, name, data[name], str(data.attrs.get("bddl_file_name", "")))


def read_model(path: Path, name: str) -> str | None:
    """The scene's MJCF XML as a LIBERO file keeps it beside a demonstration, if it does."""
    with _opened(path) as data:
        text = data[name].attrs.get("model_file")
    return text.decode() if isinstance(text, bytes) else text


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The group ``data`` of a file; whatever a damaged file raises becomes one line."""
    if not path.is_file():
        raise RainError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            if not isinstance(file.get("data"), h5py.Group):
                raise RainError(f"{path}: no group 'data'; not a LIBERO demonstration file")
            yield file["data"]
    except (OSError, RuntimeError, KeyError) as error:
        raise RainError(f"{path}: truncated or not an HDF5 file ({error})") from error


def _numbers(path: Path, name: str, demo: Any, key: str, kind: Any) -> NDArray[Any]:
    if not isinstance(demo.get(key), h5py.Dataset):
        raise RainError(f"{path}: data/{name} has no {key!r}")
    try:
        return np.asarray(demo[key], dtype=kind)
    except (OSError, ValueError, TypeError) as error:
        raise RainError(f"{path}: data/{name}/{key} cannot be read ({error})") from error


def _read_one(path: Path, name: str, demo: Any, bddl: str) -> Recording:
    if not isinstance(demo, h5py.Group):
        raise RainError(f"{path}: data/{name} is not a group")
    actions = _numbers(path, name, demo, "actions", np.float64)
    states = _numbers(path, name, demo, "states", np.float64)
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
        subtask=_numbers(path, name, demo, "subtask", np.int64) if "subtask" in demo else None,
    )
