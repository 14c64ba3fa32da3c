"""How often the scripted expert solves tasks from their official init states; nothing is rendered.

No demonstration is kept: official init states are for evaluation only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from rain.bench.trials import parse_tasks
from rain.types import RainError
from rain.worlds.libero import LiberoWorld, suite_tasks
from rain.worlds.libero.experts.demonstrate import ExpertConfig, attempt
from rain.worlds.libero.experts.motion import Style
from rain.worlds.libero.experts.skills import Skills
from rain.worlds.processes import run_jobs


@dataclass(frozen=True)
class ExpertTrials:
    """Which trials: ``episodes`` official init states of each task."""

    suite: str = "libero_object"
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
    tasks = parse_tasks(trials.task, suite_tasks(trials.suite), trials.suite)
    if trials.episodes < 1 or trials.workers < 1:
        raise RainError("episodes and workers must be at least 1")
    yield from run_jobs(_score_task, [(trials, task) for task in tasks], trials.workers)


def _score_task(trials: ExpertTrials, task: int) -> ExpertScore:
    world = LiberoWorld(trials.suite, task)
    try:
        count = min(trials.episodes, world.init_state_count)
        steps, failures = [], []
        calm = ExpertConfig(pushed=0, missed=0)
        began = time.perf_counter()
        for init_state in range(count):
            world.reset(init_state=init_state)
            rng = np.random.default_rng([trials.seed, task, init_state])
            try:
                skills = Skills(world, Style.sample(rng), world.script)
                steps.append(len(attempt(skills, world.script, rng, calm)))
            except RainError as error:
                failures.append(f"init state {init_state}: {error}")
        seconds = (time.perf_counter() - began) / count
        mean = float(np.mean(steps)) if steps else float("nan")
        return ExpertScore(task, count, len(steps), mean, seconds, tuple(failures))
    finally:
        world.close()
