"""What a worker process does: one world, some trials of one task, one record each.

A simulator renders reliably only when its process holds no other, so a worker serves one task and
ends. It also ends after an episode that crashed, because the world may be broken; the rest of its
trials then go to a fresh process.
"""

from __future__ import annotations

import signal
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

from rain.bench.protocols import TaskWorld
from rain.bench.records import EpisodeRecord, Trial
from rain.bench.rollouts import EpisodeResult, RolloutConfig, rollout
from rain.bench.trials import Assignment, Starts, assign, policy_seed
from rain.bench.video import EpisodeFilm
from rain.drawing import VideoWriter
from rain.types import Policy, RainError

Film = Literal["none", "first", "all"]


@dataclass(frozen=True)
class Setup:
    """Everything a worker needs; picklable, so that a spawned process can take it.

    settings: what results depend on beside the trial, copied into every record.
    folder: videos go to ``folder/videos``; film: which episodes are filmed, ``first`` is episode 0
        of each task.
    """

    make_policy: Callable[[int], Policy]
    """seed -> policy."""
    make_world: Callable[[str, int, int], TaskWorld]
    """suite, task, image size -> world."""
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    settings: dict[str, Any] = field(default_factory=dict)
    starts: Starts = "official"
    seed: int = 0
    film: Film = "none"
    folder: Path = Path()

    def films(self, trial: Trial) -> bool:
        """Whether this trial is filmed."""
        return self.film == "all" or (self.film == "first" and trial.episode == 0)


def run_trials(
    trials: Sequence[Trial],
    setup: Setup,
    emit: Callable[[EpisodeRecord], None],
    announce: Callable[[EpisodeRecord], None] = lambda record: None,
) -> None:
    """Run trials of one task in this process; stops after the first that crashes.

    announce is called before a trial with its record as it would be if the process died in it;
    emit after it. RainError (unknown task, conventions that do not match …) comes before any trial.
    """
    suite, task = trials[0].suite, trials[0].task
    conventions = setup.make_policy(setup.seed).conventions
    world = setup.make_world(suite, task, conventions.image_size)
    try:
        conventions.check(world.conventions, "the policy", "the world")
        for trial, assignment in [(t, assign(t, world, setup.starts)) for t in trials]:
            begun = _begun(trial, assignment, setup)
            announce(begun)
            record = run_trial(begun, assignment, world, setup)
            emit(record)
            if record.result is None:
                return
    finally:
        world.close()


def _begun(trial: Trial, assignment: Assignment, setup: Setup) -> EpisodeRecord:
    return EpisodeRecord(
        trial=trial,
        settings=setup.settings,
        init_state=assignment.init_state,
        seed=assignment.seed,
        script=assignment.script,
        marked=assignment.marked,
        result=None,
    )


def run_trial(
    begun: EpisodeRecord, assignment: Assignment, world: TaskWorld, setup: Setup
) -> EpisodeRecord:
    """Run one episode; an exception in it makes a crashed record, never a failed one."""
    try:
        policy = setup.make_policy(policy_seed(begun.trial, setup.seed))
        world.reset(init_state=assignment.init_state, seed=assignment.seed)
        result, video = _play(begun.trial, assignment, world, policy, setup)
    except RainError as error:
        # It says in one line what happened, e.g. that a policy server went away.
        return replace(begun, error=str(error))
    except Exception:
        return replace(begun, error=traceback.format_exc())
    return replace(begun, result=result, video=video)


def _play(
    trial: Trial, assignment: Assignment, world: TaskWorld, policy: Policy, setup: Setup
) -> tuple[EpisodeResult, str | None]:
    """The rollout, filmed or not; also the video's name."""
    script, goal = assignment.script, assignment.goal
    if not setup.films(trial):
        return rollout(world, policy, script, setup.rollout, goal=goal), None
    name = f"videos/{trial.target}_task{trial.task:02d}_episode{trial.episode:03d}.mp4"
    writer = VideoWriter(setup.folder / name, EpisodeFilm.fps(world.conventions.rate_hz))
    with writer:
        film = EpisodeFilm(world, script, writer)
        result = rollout(world, policy, script, setup.rollout, goal=goal, watch=film)
    return result, name


def serve(connection: Connection, trials: Sequence[Trial], setup: Setup) -> None:
    """Entry point of a worker process: runs the trials and reports over the connection.

    Messages: ("begun", EpisodeRecord), ("record", EpisodeRecord), ("error", one line for the user),
    ("bug", traceback). End of file is the end.
    """
    # Ctrl-C reaches the whole process group; the parent decides what happens then.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        run_trials(
            trials,
            setup,
            emit=lambda record: connection.send(("record", record)),
            announce=lambda record: connection.send(("begun", record)),
        )
    except RainError as error:
        connection.send(("error", str(error)))
    except Exception:
        connection.send(("bug", traceback.format_exc()))
    finally:
        connection.close()
