"""Where in its task the arm is: on by the progress head, or as an operator says."""

from __future__ import annotations

from rain.bench.drivers import SubtaskCursor
from rain.perception.reasoner.protocols import PhrasedScript
from rain.types import RainError, Subtask, TaskScript


class TaskPointer:
    """The current subtask of a task; rollouts in the simulator move on by the same cursor."""

    def __init__(self, task: PhrasedScript, threshold: float, consecutive: int) -> None:
        """Point at the first subtask. It is complete after so many looks above the threshold."""
        self.task = task
        self._threshold, self._consecutive = threshold, consecutive
        self.go(0)

    @property
    def count(self) -> int:
        """How many subtasks there are."""
        return len(self.task.script.subtasks)

    @property
    def finished(self) -> bool:
        """Whether the last subtask is complete."""
        return self._cursor.finished

    @property
    def index(self) -> int:
        """Index of the current subtask; of the last one when finished."""
        return self._first + self._cursor.index

    @property
    def subtask(self) -> Subtask:
        """The current subtask; the last one when finished."""
        return self._cursor.subtask

    @property
    def phrase(self) -> str:
        """By which its target is found in images."""
        return self.task.phrases[self.index]

    @property
    def confirming(self) -> bool:
        """Whether the last look said complete, and the next one is to confirm it."""
        return self._cursor.streak > 0

    def update(self, completion: float) -> bool:
        """Count one look; say whether the subtask is left."""
        return self._cursor.update(completion)

    def go(self, index: int) -> None:
        """Go to a subtask; RainError where there is none of that number."""
        if not isinstance(index, int) or not 0 <= index < self.count:
            raise RainError(f"there is no subtask {index}; the task has 0 to {self.count - 1}")
        script = self.task.script
        rest = TaskScript(script.instruction, script.subtasks[index:])
        self._first = index
        self._cursor = SubtaskCursor(rest, self._threshold, self._consecutive)
