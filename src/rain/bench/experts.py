"""How often the scripted expert solves tasks from their official init states; nothing is rendered.

No demonstration is kept: official init states are for evaluation only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from rain.bench.trials import parse_tasks
from rain.types import RainError
from rain.worlds.demonstration import ExpertError
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.demonstrate import ExpertConfig, attempt
from rain.worlds.libero.experts.motion import Style
from rain.worlds.libero.experts.skills import Skills
from rain.worlds.omy import SUITE as OMY
from rain.worlds.omy import OmyWorld
from rain.worlds.omy import demonstrate as omy
from rain.worlds.opening import tasks_of
from rain.worlds.processes import run_jobs

CALM = ExpertConfig(pushed=0, missed=0)
"""Nothing disturbs the expert."""


@dataclass(frozen=True)
class ExpertTrials:
    """Which trials: ``episodes`` official init states of each task."""

    suite: str = "libero_object"
    """One of LIBERO's, or the simulated arm's: omy."""
    task: str = "all"
    """Task number, several (0,2,5) or all."""
    episodes: int = 20
    workers: int = 2
    seed: int = 0


@dataclass(frozen=True)
class ExpertScore:
    """One task's result; steps: mean control steps; seconds: mean wall-clock time an episode."""

    task: int
    episodes: int
    successes: int
    steps: float
    seconds: float
    failures: tuple[str, ...]


def run_expert(trials: ExpertTrials) -> Iterator[ExpertScore]:
    """Yield every task's score as it is finished."""
    tasks = parse_tasks(trials.task, tasks_of(trials.suite), trials.suite)
    if trials.episodes < 1 or trials.workers < 1:
        raise RainError("episodes and workers must be at least 1")
    yield from run_jobs(_score_task, [(trials, task) for task in tasks], trials.workers)


@dataclass(frozen=True)
class Played:
    """An episode of the expert's. failure: why it did not do the script, by its own judgement."""

    steps: int
    seconds: float
    failure: str


def play(
    world: LiberoWorld,
    init_state: int,
    seed: int,
    config: ExpertConfig = CALM,
    watch: Callable[[], None] | None = None,
) -> Played:
    """Let the expert do the task's own script from an init state; ``watch``: after every step."""
    began = time.perf_counter()
    world.reset(init_state=init_state)
    rng = np.random.default_rng([seed, world.task.index, init_state])
    try:
        skills = Skills(world, Style.sample(rng), world.script)
        steps, failure = attempt(skills, world.script, rng, config, watch=watch), ""
    except ExpertError as error:
        steps, failure = error.steps, str(error)
    except RainError as error:
        steps, failure = [], str(error)
    return Played(len(steps), time.perf_counter() - began, failure)


def play_omy(world: OmyWorld, init_state: int, seed: int) -> Played:
    """Let the arm's expert do the task's own script from an init state, undisturbed."""
    began = time.perf_counter()
    world.reset(init_state=init_state)
    rng = np.random.default_rng([seed, world.task.index, init_state])
    try:
        steps, failure = omy.attempt(world, world.script, rng, CALM), ""
    except ExpertError as error:
        steps, failure = error.steps, str(error)
    return Played(len(steps), time.perf_counter() - began, failure)


def _score_task(trials: ExpertTrials, task: int) -> ExpertScore:
    opened = OmyWorld if trials.suite == OMY else LiberoWorld
    world: LiberoWorld | OmyWorld = opened(trials.suite, task)
    try:
        count = min(trials.episodes, world.init_state_count)
        episodes = [
            play_omy(world, init_state, trials.seed)
            if isinstance(world, OmyWorld)
            else play(world, init_state, trials.seed)
            for init_state in range(count)
        ]
    finally:
        world.close()
    done = [episode.steps for episode in episodes if not episode.failure]
    return ExpertScore(
        task,
        count,
        len(done),
        float(np.mean(done)) if done else float("nan"),
        sum(episode.seconds for episode in episodes) / count,
        tuple(f"init state {i}: {e.failure}" for i, e in enumerate(episodes) if e.failure),
    )
