"""What the page shows and asks for, whoever acts behind it: a rollout, a recording, a robot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from rain.dashboard.board import Board

COMMANDS = {
    "point": "point at a target: frame, view, x, y (pixels); its region is shown first",
    "box": "draw a box around it: frame, view, left, top, right, bottom (pixels)",
    "confirm": "the shown region is the target from now on",
    "cancel": "the shown region was not meant",
    "clear": "the script's own target again",
    "next": "go on to the next subtask",
    "previous": "go back to the subtask before",
    "set": "go to the subtask of this index, from 0",
    "pause": "stand still, ask the policy nothing",
    "hold": "hold the arm still while time goes on",
    "resume": "end pause and hold",
    "release": "end the emergency stop; the arm stays paused",
    "instruct": "do what this text says",
    "instructions": "which texts are known",
    "again": "begin an episode: episode",
    "end": "end the episode",
    "seek": "show this frame of a recording",
}
"""Command -> what it does. The emergency stop is none of them: it has a way of its own."""


class Session(Protocol):
    """Something that an operator looks at and acts on. All methods may be called by any thread.

    about: title, kind (``rollout``, ``replay``, ``robot``), commands it takes, as JSON values.
    """

    board: Board
    about: Mapping[str, Any]

    def do(self, command: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Do a command and wait for its answer; RainError where it is refused."""

    def stop(self, why: str) -> None:
        """Emergency stop: returns at once and waits for nothing; no further action is begun."""

    def close(self) -> None:
        """Whoever acts is to end."""
