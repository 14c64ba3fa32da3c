"""Where in its script a policy is."""

from __future__ import annotations

from rain.types import RainError, Subtask, TaskScript


class SubtaskCursor:
    """Where in its script the policy is; moves on after enough consecutive complete looks."""

    def __init__(self, script: TaskScript, threshold: float, consecutive: int) -> None:
        self._subtasks = script.subtasks
        self._threshold = threshold
        self._consecutive = consecutive
        self._index = 0
        self.streak = 0

    @property
    def finished(self) -> bool:
        """Whether the last subtask is complete."""
        return self._index == len(self._subtasks)

    @property
    def index(self) -> int:
        """Index of the current subtask; of the last one when finished."""
        return min(self._index, len(self._subtasks) - 1)

    @property
    def subtask(self) -> Subtask:
        """The current subtask; the last one when finished."""
        return self._subtasks[self.index]

    def go_to(self, index: int) -> None:
        """Make another subtask the current one; RainError where there is no such."""
        if not 0 <= index < len(self._subtasks):
            raise RainError(f"there is no subtask {index + 1}: there are {len(self._subtasks)}")
        self._index, self.streak = index, 0

    def update(self, completion: float) -> bool:
        """Count one look at the current subtask; say whether it moved on to the next."""
        self.streak = self.streak + 1 if completion > self._threshold else 0
        if self.streak < self._consecutive:
            return False
        self._index += 1
        self.streak = 0
        return True
