"""The task registry of Appendix C.3: instructions with their ordered subtasks and phrases, in YAML.

    - instruction: Put the potato on the middle plate
      also: [potato to the middle plate]          # optional: other words for it
      subtasks:
      - {action_type: grasp, target: potato, phrase: the potato}
      - {action_type: release, target: middle_plate, phrase: the middle plate}

``phrase`` may be left out; then it is the target's name in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rain.perception.reasoner.protocols import PhrasedScript, phrase_from_name
from rain.types import RainError, Subtask, TaskScript


class TaskRegistry:
    """Decomposes the instructions it holds; a Reasoner that looks at no image."""

    def __init__(self, tasks: Iterable[tuple[Iterable[str], PhrasedScript]], name: str) -> None:
        """Hold tasks, each under one or several instructions; ``name`` is for messages."""
        self._name = name
        self._tasks: dict[str, PhrasedScript] = {}
        for instructions, script in tasks:
            for instruction in instructions:
                key = _key(instruction)
                known = self._tasks.setdefault(key, script)
                if known.script.subtasks != script.script.subtasks:
                    raise RainError(f"{name}: {instruction!r} is there twice, with other subtasks")

    @classmethod
    def load(cls, path: Path) -> TaskRegistry:
        """Read a YAML file; RainError names the task that is wrong."""
        try:
            entries = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise RainError(f"task registry {path}: there is no such file") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise RainError(f"task registry {path}: it is no YAML: {error}") from None
        if not isinstance(entries, list) or not entries:
            raise RainError(f"task registry {path}: expected a list of tasks")
        return cls(
            (_task(entry, f"task registry {path}, task {i}") for i, entry in enumerate(entries, 1)),
            f"task registry {path}",
        )

    @property
    def instructions(self) -> tuple[str, ...]:
        """The instructions it knows, each task once."""
        return tuple(dict.fromkeys(task.script.instruction for task in self._tasks.values()))

    def decompose(self, instruction: str, images: Mapping[str, NDArray[np.uint8]]) -> PhrasedScript:
        """The task of an instruction, whatever its case, spacing and last stop; RainError."""
        found = self._tasks.get(_key(instruction))
        if found is None:
            shown = "; ".join(self.instructions[:5]) + (
                "; ..." if len(self.instructions) > 5 else ""
            )
            raise RainError(f"{self._name} has no task {instruction!r}; it has: {shown}")
        return found


def _key(instruction: str) -> str:
    return " ".join(instruction.lower().split()).rstrip(".!")


def _task(entry: Any, where: str) -> tuple[list[str], PhrasedScript]:
    if not isinstance(entry, dict) or not isinstance(entry.get("instruction"), str):
        raise RainError(f"{where}: expected an instruction and subtasks")
    if unknown := set(entry) - {"instruction", "also", "subtasks"}:
        raise RainError(f"{where}: unknown {', '.join(sorted(map(str, unknown)))}")
    also = entry.get("also", [])
    if not isinstance(also, list) or not all(isinstance(words, str) for words in also):
        raise RainError(f"{where}: also: expected a list of instructions")
    listed = entry.get("subtasks")
    if not isinstance(listed, list) or not listed:
        raise RainError(f"{where}: expected a list of subtasks")
    pairs = [_subtask(item, f"{where}, subtask {i}") for i, item in enumerate(listed, 1)]
    script = TaskScript(entry["instruction"], tuple(subtask for subtask, _ in pairs))
    return [entry["instruction"], *also], PhrasedScript(script, tuple(p for _, p in pairs))


def _subtask(item: Any, where: str) -> tuple[Subtask, str]:
    keys = {"action_type", "target", "phrase"}
    if not isinstance(item, dict) or not {"action_type", "target"} <= set(item) <= keys:
        raise RainError(f"{where}: expected action_type, target and perhaps phrase, got {item!r}")
    try:
        subtask = Subtask(str(item["action_type"]), str(item["target"]))
    except RainError as error:
        raise RainError(f"{where}: {error}") from None
    return subtask, str(item.get("phrase") or phrase_from_name(subtask.target))
