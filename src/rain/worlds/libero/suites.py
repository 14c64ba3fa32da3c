"""LIBERO's suites: task names, scene files, official init states and the tasks' scripts."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero.rendering import choose_gl_backend

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
"""The four suites of the 40 training tasks."""

INSTALL_HELP = "the LIBERO simulator is not installed: pip install 'rain-robotics[sim]'"


@dataclass(frozen=True)
class Task:
    """One LIBERO task: its place in the suite, its scene file and its script."""

    suite: str
    index: int
    name: str
    bddl: Path
    init_states: Path
    script: TaskScript

    def load_init_states(self) -> NDArray[np.float64]:
        """Read the official init states, (n, 1 + qpos + qvel); for evaluation only."""
        try:
            with np.load(self.init_states, allow_pickle=False) as stored:
                return np.asarray(stored[stored.files[0]], dtype=np.float64)
        except (OSError, ValueError) as error:
            raise RainError(f"{self.init_states}: init states cannot be read: {error}") from error


@cache
def _scripts() -> dict[str, list[dict]]:
    text = resources.files("rain.worlds.libero").joinpath("scripts.yaml").read_text("utf-8")
    return yaml.safe_load(text)


@cache
def _libero_root() -> Path:
    choose_gl_backend()
    try:
        import libero.libero
    except ImportError as error:
        raise RainError(f"{INSTALL_HELP} ({error})") from error
    return Path(libero.libero.__file__).parent


def suite_tasks(suite: str) -> list[str]:
    """List the task names of a suite, in LIBERO's order."""
    if suite not in _scripts():
        raise RainError(f"suite {suite!r} is unknown; known: {', '.join(_scripts())}")
    return [entry["task"] for entry in _scripts()[suite]]


def task_named(name: str) -> tuple[str, int] | None:
    """Suite and index of a task by the name its BDDL file has; None where none has it."""
    for suite in SUITES:
        if name in suite_tasks(suite):
            return suite, suite_tasks(suite).index(name)
    return None


def find_task(suite: str, index: int) -> Task:
    """Look a task up by suite and index; RainError where there is none."""
    names = suite_tasks(suite)
    if not 0 <= index < len(names):
        raise RainError(f"{suite} has tasks 0 to {len(names) - 1}, not {index}")
    entry = _scripts()[suite][index]
    root = _libero_root()
    subtasks = tuple(Subtask(*line.split(" ", 1)) for line in entry["subtasks"])
    return Task(
        suite=suite,
        index=index,
        name=entry["task"],
        bddl=root / "bddl_files" / suite / f"{entry['task']}.bddl",
        init_states=root / "init_files" / suite / f"{entry['task']}.pruned_init.npz",
        script=TaskScript(entry["instruction"], subtasks),
    )
