"""Where the subtasks of a recording end, from the hand's motion alone: no simulator is asked.

The rules are those of ``rain.demos.annotate``, as far as a robot can know them: a grasp is complete
when the hand that closed has risen by 4 cm, a release when the hand that opened is 4 cm away. An
operator's marks go before them, and are needed for the other action types.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rain.demos.annotate import CLOSES_ABOVE, WITHDRAWN
from rain.types import RainError, Subtask, SubtaskSpan, TaskScript
from rain.worlds.mujoco_world import LIFTED


def find_spans(
    script: TaskScript,
    positions: NDArray,
    rotations: NDArray,
    actions: NDArray,
    meaning: str,
    marks: Sequence[int] = (),
) -> tuple[SubtaskSpan, ...]:
    """Each subtask's start, interaction and end, in order; RainError names one that is not found.

    positions (L, 3) m and rotations (L, 3, 3): the hand's, robot base frame. actions (L, 7) in
    ``meaning``. marks: control steps at which an operator said that a subtask was complete, of the
    first, the second and so on.
    """
    count = len(script.subtasks)
    if len(marks) > count:
        raise RainError(f"{len(marks)} subtasks were marked complete, the task has {count}")
    closing = actions[:, -1] > CLOSES_ABOVE.get(meaning, 0.0)
    spans: list[SubtaskSpan] = []
    start = 0
    for number, subtask in enumerate(script.subtasks):
        mark = marks[number] if number < len(marks) else None
        interaction, end = _one(subtask, positions, closing, start, mark)
        spans.append(
            SubtaskSpan(subtask, start, interaction, end, positions[interaction],
                        rotations[interaction])
        )  # fmt: skip
        start = end
    return tuple(spans)


def _one(
    subtask: Subtask, positions: NDArray, closing: NDArray, start: int, mark: int | None
) -> tuple[int, int]:
    """The interaction and the end of a subtask that begins at ``start``."""
    if subtask.action_type not in ("grasp", "release"):
        if mark is None:
            raise RainError(f"{subtask}: its end must be marked; a robot cannot see it")
        return max(start, mark - 1), mark
    wanted = closing if subtask.action_type == "grasp" else ~closing
    turned = start + np.flatnonzero(wanted[start:] & ~np.r_[False, wanted[start:-1]])
    if mark is not None:
        before = turned[turned < mark]
        if mark <= start or mark > len(positions):
            raise RainError(f"{subtask}: marked complete at step {mark}, before it began")
        return int(before[-1]) if len(before) else start, mark
    done = _rises if subtask.action_type == "grasp" else _withdraws
    # The last try counts: a hand that closed on nothing opens again.
    ends_of = np.append(turned, len(positions))[1:]
    for interaction, until in zip(turned, ends_of, strict=True):
        ends = np.flatnonzero(~wanted[interaction:until])
        last = interaction + int(ends[0]) if len(ends) else int(until)
        found = np.flatnonzero(done(positions[interaction:last]))
        if len(found) and found[0] > 0:
            return int(interaction), int(interaction + found[0])
    never = "closed and rose" if subtask.action_type == "grasp" else "opened and withdrew"
    raise RainError(f"{subtask}: the hand never {never} by 4 cm")


def _rises(path: NDArray) -> NDArray[np.bool_]:
    return path[:, 2] - path[0, 2] >= LIFTED


def _withdraws(path: NDArray) -> NDArray[np.bool_]:
    return np.linalg.norm(path - path[0], axis=1) >= WITHDRAWN
