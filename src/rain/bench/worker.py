"""What a worker process does: one world, some trials of one task, one record each.

A simulator renders reliably only when its process holds no other, so a worker serves one task and
ends. It also ends after an episode that crashed, because the world may be broken; the rest of its
trials then go to a fresh process.
"""

from __future__ import annotations

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from rain.bench.episode import EpisodeResult, RolloutConfig
from rain.bench.operator import Operator
from rain.bench.policy_process import PolicyLostError
from rain.bench.protocols import AnyPolicy, PerceivedWorld, TaskWorld
from rain.bench.records import EpisodeRecord, Trial
from rain.bench.rollouts import rollout
from rain.bench.scoring import TaskKey
from rain.bench.trials import Assignment, Starts, assign, policy_seed
from rain.bench.video import EpisodeFilm
from rain.drawing import VideoWriter
from rain.types import Conventions, RainError
from rain.worlds.processes import end_with

Film = Literal["none", "first", "all", "failures"]


@dataclass(frozen=True)
class Setup:
    """Everything a worker needs; picklable, so that a spawned process can take it.

    settings: what results depend on beside the trial, copied into every record; task_settings: what
        they depend on in the one or other task. horizons: of tasks that have their own.
    folder: videos go to ``folder/videos``; film: which episodes are filmed, ``first`` is episode 0
        of each task; of ``failures`` all are, and the films of successes are thrown away.
    """

    make_policy: Callable[[int], AnyPolicy]
    """seed -> policy."""
    make_world: Callable[[str, int, int, tuple[str, ...]], TaskWorld]
    """suite, task, image size, views -> world."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    settings: dict[str, Any] = field(default_factory=dict)
    task_settings: Mapping[TaskKey, dict[str, Any]] = field(default_factory=dict)
    horizons: Mapping[TaskKey, int] = field(default_factory=dict)
    starts: Starts = "official"
    seed: int = 0
    film: Film = "none"
    folder: Path = Path()
    operator: Operator | None = None
    """Who may change what the policy is told; only where the worker is a thread of this process."""

    def rollout_of(self, trial: Trial) -> RolloutConfig:
        """How a trial is run: with its task's own horizon, if it has one."""
        horizon = self.horizons.get((trial.suite, trial.task))
        return self.rollout if horizon is None else replace(self.rollout, horizon=horizon)

    def settings_of(self, trial: Trial) -> dict[str, Any]:
        """What a trial's result depends on beside it."""
        settings = {**self.settings, **self.task_settings.get((trial.suite, trial.task), {})}
        horizon = self.horizons.get((trial.suite, trial.task))
        if horizon is not None and "rollout" in settings:
            settings["rollout"] = {**settings["rollout"], "horizon": horizon}
        return settings

    def films(self, trial: Trial) -> bool:
        """Whether this trial is filmed."""
        return self.film in ("all", "failures") or (self.film == "first" and trial.episode == 0)


Message = tuple[str, Any]
"""What a worker says: ("begun", EpisodeRecord), the record as it would be if the worker died in it;
("record", EpisodeRecord); ("error", one line for the user); ("bug", traceback)."""


def run_trials(trials: Sequence[Trial], setup: Setup) -> Iterator[Message]:
    """Run trials of one task in this process; stops after the first that crashes.

    Yields ``begun`` before each and ``record`` after it. RainError (unknown task, conventions that
    do not match …) comes before any trial.
    """
    suite, task = trials[0].suite, trials[0].task
    conventions = setup.make_policy(setup.seed).conventions
    world = setup.make_world(suite, task, conventions.image_size, conventions.views)
    try:
        conventions.check(world.conventions, "the policy", "the world")
        for trial, assignment in [(t, assign(t, world, setup.starts)) for t in trials]:
            begun = _begun(trial, assignment, setup, world.conventions)
            yield "begun", begun
            record = run_trial(begun, assignment, world, setup)
            yield "record", record
            if record.result is None:
                return
    finally:
        world.close()


def _begun(
    trial: Trial, assignment: Assignment, setup: Setup, conventions: Conventions
) -> EpisodeRecord:
    return EpisodeRecord(
        trial=trial,
        settings=setup.settings_of(trial),
        init_state=assignment.init_state,
        seed=assignment.seed,
        script=assignment.script,
        marked=assignment.marked,
        result=None,
        conventions={**asdict(conventions), "views": list(conventions.views)},
    )


def run_trial(
    begun: EpisodeRecord, assignment: Assignment, world: TaskWorld, setup: Setup
) -> EpisodeRecord:
    """Run one episode; an exception in it makes a crashed record, never a failed one."""
    try:
        policy = setup.make_policy(policy_seed(begun.trial, setup.seed))
        world.reset(init_state=assignment.init_state, seed=assignment.seed)
        result, video = _play(begun.trial, assignment, world, policy, setup)
    except PolicyLostError:
        raise  # no episode's fault
    except RainError as error:
        # It says in one line what happened, e.g. that a policy server went away.
        return replace(begun, error=str(error))
    except Exception:
        return replace(begun, error=traceback.format_exc())
    return replace(begun, result=result, video=video)


def _play(
    trial: Trial, assignment: Assignment, world: TaskWorld, policy: AnyPolicy, setup: Setup
) -> tuple[EpisodeResult, str | None]:
    """The rollout, filmed or not; also the video's name."""
    script, config = assignment.script, setup.rollout_of(trial)
    told = world.told(script) if isinstance(world, PerceivedWorld) else script
    play = partial(
        rollout,
        world,
        policy,
        script,
        config,
        told=told,
        goal=assignment.goal,
        whole=assignment.whole,
        operator=setup.operator,
    )
    if not setup.films(trial):
        return play(), None
    name = (
        f"videos/{trial.suite}_{trial.target}_task{trial.task:02d}_episode{trial.episode:03d}.mp4"
    )
    film = setup.folder / name
    with VideoWriter(film, EpisodeFilm.fps(world.conventions.rate_hz)) as writer:
        result = play(watch=EpisodeFilm(world, told, writer))
    if setup.film == "failures" and result.success:
        film.unlink()
        return result, None
    return result, name


def serve(connection: Connection, trials: Sequence[Trial], setup: Setup) -> None:
    """Entry point of a worker process: runs the trials and reports over the connection.

    It sends what ``report`` yields; end of file is the end.
    """
    # Ctrl-C reaches the whole process group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with(os.getppid())
    try:
        for message in report(trials, setup):
            connection.send(message)
    finally:
        connection.close()


def report(trials: Sequence[Trial], setup: Setup) -> Iterator[Message]:
    """Run the trials; what ends them before their end comes as a message too."""
    try:
        yield from run_trials(trials, setup)
    except RainError as error:
        yield "error", str(error)
    except Exception:
        yield "bug", traceback.format_exc()
