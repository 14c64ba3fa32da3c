"""What a benchmark consists of: its tasks in lists, and one task in words and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from rain.bench.protocols import ShownWorld
from rain.bench.sources import libero_facts
from rain.drawing import (
    FAINT,
    PAPER,
    PLAN_FAR,
    PLAN_NEAR,
    REGION,
    ROW,
    Colour,
    draw_header,
    font,
    label,
    tint,
)
from rain.types import TaskScript
from rain.worlds.libero.ex.problem import written_predicate
from rain.worlds.libero.ex.states import STATES, read_states, states_file
from rain.worlds.libero.ex.tasks import EVIDENCE, ExTask, ex_tasks
from rain.worlds.libero.goals import Predicate
from rain.worlds.libero.suites import is_ex, suite_tasks

COLOURS: tuple[Colour, ...] = (REGION, PLAN_NEAR, PLAN_FAR, (96, 165, 250), (217, 119, 250))
"""Of the targets of a script, in its order."""

VIEW_SIZE = 448
"""Side of one view in a task's picture, pixels."""


@dataclass(frozen=True)
class TaskEntry:
    """One line of a list. evidence: how certain the definition is, see ``EVIDENCE``."""

    id: str
    category: str
    type: str
    instruction: str
    evidence: str


def list_tasks(suite: str) -> list[TaskEntry]:
    """The tasks of a suite, in order; RainError where it is unknown.

    LIBERO's own tasks have their suite for a category and ``official`` for evidence; of one that
    cannot be run the instruction says why.
    """
    if is_ex(suite):
        return [
            TaskEntry(task.id, task.category, task.type, task.instruction, task.evidence)
            for task in ex_tasks()
        ]
    known = {number: libero_facts(suite, number) for number in suite_tasks(suite)}
    return [
        TaskEntry(str(number), suite, "libero", facts.instruction or facts.missing, "official")
        for number, facts in known.items()
    ]


def task_facts(task: ExTask) -> Iterator[tuple[str, str]]:
    """What there is to say about a LIBERO-EX task, as pairs of a heading and a line."""
    yield "instruction", task.instruction
    yield "category", task.category
    yield "type", task.type
    yield "evidence", f"{task.evidence}: {EVIDENCE[task.evidence]}"
    if task.note:
        yield "note", task.note
    yield "scene", f"{task.suite}/{task.source}"
    if task.second:
        yield "then", f"{task.suite}/{task.second}"
    for edit in task.edits:
        yield "edit", str(edit)
    for number, subtask in enumerate(task.script.subtasks, 1):
        yield "subtask", f"{number} {subtask}"
    yield "goal", written(task.goal)
    if task.full_goal():
        yield "fails when", f"{written(task.full_goal())} has held, which is the whole task"
    yield "horizon", f"{task.horizon} control steps"
    frozen = read_states(states_file(STATES, task.id))
    origin = "from official init states" if frozen.official else "sampled from the scene's regions"
    yield (
        "init states",
        f"{frozen.starts.evaluation} for evaluation, {frozen.starts.development} for development, "
        f"{origin}; rejected samples: {sum(frozen.rejected.values())}",
    )


def written(goal: Sequence[Predicate]) -> str:
    """Predicates as BDDL has them."""
    return " ".join(map(written_predicate, goal))


def draw_task(world: ShownWorld, script: TaskScript, title: str, goal: str) -> NDArray[np.uint8]:
    """The scene as it is now from every view, each target's region in its subtask's colour.

    Views side by side, then script and goal: uint8 (H, W, 3).
    """
    targets = list(dict.fromkeys(subtask.target for subtask in script.subtasks))
    colours = {target: COLOURS[i % len(COLOURS)] for i, target in enumerate(targets)}
    views = []
    for view in world.conventions.views:
        picture = world.render(view, VIEW_SIZE)
        for target, region in zip(targets, world.regions(targets, view, VIEW_SIZE), strict=True):
            picture = tint(picture, region, colour=colours[target])
        views.append(label(picture, view))
    width = VIEW_SIZE * len(views)
    lines = [(f"{i} {s}", colours[s.target]) for i, s in enumerate(script.subtasks, 1)]
    panel = _panel([*lines, (goal, FAINT)], width)
    return np.concatenate([draw_header(title, width), np.concatenate(views, axis=1), panel])


def _panel(lines: Sequence[tuple[str, Colour]], width: int) -> NDArray[np.uint8]:
    picture = Image.new("RGB", (width, ROW * len(lines) + 12), PAPER)
    draw = ImageDraw.Draw(picture)
    for i, (text, colour) in enumerate(lines):
        draw.text((8, 6 + i * ROW), text, fill=colour, font=font(14))
    return np.asarray(picture)
