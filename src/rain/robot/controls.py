"""What an operator may say to a run, from a keyboard, a page or another program."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Any

from rain.types import RainError

COMMANDS = {
    "e_stop": "hold where the arm is until release; wins over everything",
    "release": "end the e-stop; the arm stays paused",
    "pause": "hold still, ask the policy nothing",
    "hold": "hold still, go on asking the policy",
    "resume": "end pause and hold, and a crash's",
    "next": "go on to the next subtask",
    "previous": "go back to the subtask before",
    "set": "go to the subtask of this number, from 0",
    "task": "begin this instruction of the task registry",
    "click": "another target, in the next frame: view -> prompt",
}
"""Command -> what it does. ``set``, ``task`` and ``click`` have an argument."""
WITH_ARGUMENT = ("set", "task", "click")
MOST = 256


@dataclass(frozen=True)
class Command:
    """Something that was said."""

    name: str
    argument: Any = None


class Controls:
    """A small queue that any thread may put commands into; an e-stop passes all others."""

    def __init__(self) -> None:
        # A deque's append and popleft need no lock.
        self._stops: deque[Command] = deque(maxlen=MOST)
        self._others: deque[Command] = deque(maxlen=MOST)

    def put(self, name: str, argument: Any = None) -> None:
        """Say something; RainError where it is unknown."""
        if name not in COMMANDS:
            raise RainError(f"command {name!r} is unknown; known: {', '.join(COMMANDS)}")
        if (name in WITH_ARGUMENT) != (argument is not None):
            needs = "needs an argument" if name in WITH_ARGUMENT else "takes no argument"
            raise RainError(f"command {name} {needs}")
        command = Command(name, argument)
        (self._stops if name == "e_stop" else self._others).append(command)

    def say(self, line: str) -> None:
        """A line of a keyboard: ``next``, ``set 1``; an empty one is an e-stop. RainError."""
        name, _, rest = line.strip().partition(" ")
        if not name:
            self.put("e_stop")
            return
        argument: Any = rest.strip() or None
        if name == "set" and argument is not None:
            try:
                argument = int(argument)
            except ValueError:
                raise RainError(f"set: expected a number, got {argument!r}") from None
        if name == "click":
            raise RainError("click: a keyboard cannot point")
        self.put(name, argument)

    def take(self) -> list[Command]:
        """What was said since, e-stops last: what is said at the same time does not undo them."""
        said = [self._others.popleft() for _ in range(len(self._others))]
        stops = [self._stops.popleft() for _ in range(len(self._stops))]
        return [*said, *stops]
