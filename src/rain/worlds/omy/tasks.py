"""The tasks of the simulated arm: one thing put onto another, as in the paper's Appendix C.2."""

from __future__ import annotations

from dataclasses import dataclass

from rain.types import RainError, Subtask, TaskScript
from rain.worlds.omy.things import find_thing, words

SUITE = "omy"

PLATES = ("red_plate", "green_plate", "blue_plate")
TAPES = ("blue_tape", "red_tape", "yellow_tape")
SCENES: dict[str, tuple[str, ...]] = {
    "plates": (*PLATES, "potato", "lemon", "red_tape"),
    "clay": ("clay", *TAPES, "potato"),
}
"""What lies on the table: of the paper's Potato-to-Plate and of its Tape-to-Clay."""


@dataclass(frozen=True)
class OmyTask:
    """One task: its number, its scene, what is grasped and where it is put."""

    index: int
    scene: str
    thing: str
    place: str
    suite: str = SUITE

    @property
    def name(self) -> str:
        """A name for tables and folders."""
        return f"{self.thing}_on_{self.place}"

    @property
    def things(self) -> tuple[str, ...]:
        """Everything on the table."""
        return SCENES[self.scene]

    @property
    def script(self) -> TaskScript:
        """Grasp the thing, release it on its place."""
        return put_on(self.thing, self.place)


TASKS: tuple[OmyTask, ...] = tuple(
    OmyTask(index, scene, thing, place)
    for index, (scene, thing, place) in enumerate(
        [("plates", thing, plate) for thing in ("potato", "lemon") for plate in PLATES]
        + [("clay", tape, "clay") for tape in TAPES]
    )
)


def put_on(thing: str, place: str) -> TaskScript:
    """The script of putting a thing on a place."""
    return TaskScript(
        f"put the {words(thing)} on the {words(place)}",
        (Subtask("grasp", thing), Subtask("release", place)),
    )


def one_after_another(first: TaskScript, second: TaskScript) -> TaskScript:
    """The script of doing both."""
    words = f"{first.instruction} and {second.instruction}"
    return TaskScript(words, (*first.subtasks, *second.subtasks))


def omy_tasks() -> dict[int, str]:
    """Number and name of every task."""
    return {task.index: task.name for task in TASKS}


def find_omy_task(suite: str, index: int) -> OmyTask:
    """A task by its number; RainError for another suite or an unknown number."""
    if suite != SUITE:
        raise RainError(f"suite {suite!r} is unknown here; the simulated arm has {SUITE}")
    if not 0 <= index < len(TASKS):
        raise RainError(f"{SUITE} has tasks 0 to {len(TASKS) - 1}, not {index}")
    return TASKS[index]


def placements(script: TaskScript) -> dict[str, str]:
    """Thing -> the place where a script leaves it; RainError where the arm cannot do that."""
    found: dict[str, str] = {}
    held: str | None = None
    for subtask in script.subtasks:
        if subtask.action_type == "grasp":
            held = subtask.target
        elif subtask.action_type == "release":
            if held is None:
                raise RainError("script releases an object that it never grasped")
            if not find_thing(subtask.target).place:
                raise RainError(f"nothing can be put on {subtask.target!r}")
            found[held], held = subtask.target, None
        else:
            raise RainError(f"{subtask}: the simulated arm only grasps and releases")
    return found
