"""The task registry: instructions with their subtasks and phrases."""

from __future__ import annotations

import pytest

from rain.perception.reasoner.protocols import Reasoner
from rain.perception.reasoner.registry import TaskRegistry
from rain.types import RainError

TASKS = """
- instruction: Put the potato on the middle plate
  also: [potato to the middle plate]
  subtasks:
  - {action_type: grasp, target: potato_1}
  - {action_type: release, target: middle_plate, phrase: the plate in the middle}
- instruction: Open the drawer
  subtasks: [{action_type: open, target: "cabinet_1:top_drawer"}]
"""


def load(folder, text: str) -> TaskRegistry:
    path = folder / "tasks.yaml"
    path.write_text(text, encoding="utf-8")
    return TaskRegistry.load(path)


@pytest.mark.parametrize(
    "words", ["Put the potato on the middle plate", " put the  Potato on the middle plate. ",
              "potato to the middle plate"]
)  # fmt: skip
def test_an_instruction_is_found(tmp_path, words):
    registry = load(tmp_path, TASKS)
    assert isinstance(registry, Reasoner)
    plan = registry.decompose(words, {})
    assert [str(s) for s in plan.script.subtasks] == ["grasp potato_1", "release middle_plate"]
    assert plan.phrases == ("the potato", "the plate in the middle")
    assert registry.decompose("open the drawer", {}).phrases == ("the top drawer of the cabinet",)


def test_an_unknown_instruction_names_the_known(tmp_path):
    with pytest.raises(RainError, match=r"has no task 'fly'; it has: Put the potato .*; Open the"):
        load(tmp_path, TASKS).decompose("fly", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("instruction: x", "expected a list of tasks"),
        ("- [a", "it is no YAML"),
        ("- {subtasks: []}", "task 1: expected an instruction"),
        ("- {instruction: x, subtasks: []}", "task 1: expected a list of subtasks"),
        ("- {instruction: x, subtask: []}", "task 1: unknown subtask"),
        ("- {instruction: x, subtasks: [{action_type: wipe, target: y}]}", "task 1, subtask 1: .*"),
        ("- {instruction: x, subtasks: [{target: y}]}", "subtask 1: expected action_type"),
        (TASKS + "- {instruction: open the drawer., subtasks: [{action_type: close, target: y}]}",
         "'open the drawer.' is there twice"),
    ],
)  # fmt: skip
def test_a_wrong_file_names_what_is_wrong(tmp_path, text, message):
    with pytest.raises(RainError, match=message):
        load(tmp_path, text)


def test_a_missing_file(tmp_path):
    with pytest.raises(RainError, match="there is no such file"):
        TaskRegistry.load(tmp_path / "none.yaml")
