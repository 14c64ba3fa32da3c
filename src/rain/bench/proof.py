"""The proof that LIBERO-EX can be solved: the scripted expert does every task.

It starts from the frozen init states and is judged by the benchmark's own rules; nothing is
rendered. Every episode is recorded as it ends (``lines.py``), so an interrupted run goes on.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from rain.bench.experts import CALM, play
from rain.bench.lines import LineFile
from rain.types import RainError
from rain.worlds.libero import LiberoWorld, experts
from rain.worlds.libero.ex.states import DEVELOPMENT, EVALUATION, STATES, digest_of, states_file
from rain.worlds.libero.ex.tasks import EX_SUITE, ExTask
from rain.worlds.processes import stream_jobs

ProofStarts = Literal["evaluation", "development"]
"""Which of the frozen init states episodes start from."""


@dataclass(frozen=True)
class ProofTrials:
    """Which episodes: the first ``episodes`` init states of a kind of each task."""

    episodes: int = EVALUATION
    """Init states of each task."""
    starts: ProofStarts = "evaluation"
    """The init states for evaluation, or those for development."""
    seed: int = 0
    """Seed of the expert's style."""
    workers: int = 2
    """Processes with one simulator each."""

    def init_states(self) -> range:
        """Numbers of the init states; RainError where there are not so many."""
        first, count = {
            "evaluation": (0, EVALUATION),
            "development": (EVALUATION, DEVELOPMENT),
        }[self.starts]
        if not 1 <= self.episodes <= count:
            raise RainError(
                f"episodes: LIBERO-EX has {count} init states for {self.starts} a task, "
                f"so 1 to {count}, not {self.episodes}"
            )
        if self.workers < 1:
            raise RainError("workers must be at least 1")
        return range(first, first + self.episodes)


@dataclass(frozen=True)
class ProofEpisode:
    """One episode, judged.

    steps: control steps until the goal first held; of decomposition tasks, and of failures, until
    the episode ended. failure: why it failed, or empty. complaint: what the expert itself missed.
    settings: what the result depends on beside task and init state.
    """

    task: str
    init_state: int
    settings: dict[str, Any]
    steps: int
    seconds: float
    failure: str
    complaint: str

    @property
    def success(self) -> bool:
        """Whether it succeeded by the benchmark's rules."""
        return not self.failure

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {"success": self.success, **asdict(self)}

    @classmethod
    def from_json(cls, line: dict[str, Any]) -> ProofEpisode:
        """The inverse of ``to_json``."""
        return cls(**{name: line[name] for name in cls.__dataclass_fields__})


class Judged(Protocol):
    """What a judge asks a world."""

    def success(self) -> bool:
        """Whether the task's goal holds now."""
        ...

    def full_success(self) -> bool:
        """Whether the whole task holds now of which this one is a part."""
        ...


class Judge:
    """Judges an episode by LIBERO-EX's rules; it looks after every control step.

    A task is done when all of its goal holds at one instant. A decomposition task is done when the
    goal holds at the end and the whole task of which it is a part has never held. What comes after
    the task's horizon does not count.
    """

    def __init__(self, world: Judged, task: ExTask) -> None:
        """Judge an episode of ``task`` in ``world``."""
        self.world, self.task = world, task
        self.part = bool(task.full_goal())
        self.steps, self.holds, self.whole = 0, False, False

    def look(self) -> None:
        """Take note of one more step."""
        if self.steps == self.task.horizon or (self.holds and not self.part):
            return
        self.steps += 1
        self.holds = self.world.success()
        self.whole = self.whole or self.world.full_success()

    def failure(self, complaint: str) -> str:
        """Why the episode failed, or empty; complaint: what the expert says."""
        if self.whole:
            return "the whole task was done"
        if self.holds:
            return ""
        if self.steps == self.task.horizon:
            return f"not done within the horizon of {self.task.horizon} steps"
        return complaint or "the expert took it for done"


def settings_of(task: ExTask, trials: ProofTrials) -> dict[str, Any]:
    """What an episode's result depends on: the expert's code, the task, its states, the seed."""
    code = hashlib.sha256()
    for path in sorted(Path(experts.__file__).parent.glob("*.py")):
        code.update(path.read_bytes())
    return {
        "expert": code.hexdigest()[:16],
        "task": hashlib.sha256(repr(task).encode()).hexdigest()[:16],
        "states": digest_of(states_file(STATES, task.id))[:16],
        "seed": trials.seed,
    }


def prove_task(
    task: ExTask, init_states: Sequence[int], settings: dict[str, Any]
) -> Iterator[ProofEpisode]:
    """Yield a task's episodes as they end."""
    world = LiberoWorld(EX_SUITE, int(task.id))
    limit = math.ceil(task.horizon / len(task.script.subtasks))
    config = type(CALM)(horizon=limit, pushed=CALM.pushed, missed=CALM.missed)
    try:
        for init_state in init_states:
            judge = Judge(world, task)
            played = play(world, init_state, settings["seed"], config, judge.look)
            failure = judge.failure(played.failure)
            yield ProofEpisode(
                task.id, init_state, settings, judge.steps, round(played.seconds, 2), failure,
                played.failure,
            )  # fmt: skip
    finally:
        world.close()


def prove(
    tasks: Sequence[ExTask],
    trials: ProofTrials,
    file: LineFile[ProofEpisode],
    tell: Callable[[int], None],
    prove_task: Callable[..., Iterator[ProofEpisode]] = prove_task,
) -> list[ProofEpisode]:
    """Play what the file does not hold yet, and return all episodes asked for, in order.

    tell: given how many more are done, first those that were there.
    """
    init_states = trials.init_states()
    settings = {task.id: settings_of(task, trials) for task in tasks}
    known = {(e.task, e.init_state): e for e in file.records if e.settings == settings.get(e.task)}
    found = {
        key: known[key] for task in tasks for i in init_states if (key := (task.id, i)) in known
    }
    tell(len(found))
    missing = {task.id: [i for i in init_states if (task.id, i) not in found] for task in tasks}
    jobs = [(t, missing[t.id], settings[t.id]) for t in tasks if missing[t.id]]
    for episode in stream_jobs(prove_task, jobs, trials.workers):
        file.append(episode)
        found[episode.task, episode.init_state] = episode
        tell(1)
    return [found[key] for key in sorted(found)]
