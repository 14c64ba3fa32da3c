"""How often the scripted expert solves tasks from their official init states; nothing is rendered.

No demonstration is kept: official init states are for evaluation only.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np

from rain.bench.trials import parse_tasks
from rain.demos.collect import use_one_thread_each
from rain.types import RainError
from rain.worlds.libero import LiberoWorld, suite_tasks
from rain.worlds.libero.expert import ExpertConfig, attempt
from rain.worlds.libero.skills import Skills, Style


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
    tasks = parse_tasks(trials.task, len(suite_tasks(trials.suite)), trials.suite)
    if trials.episodes < 1 or trials.workers < 1:
        raise RainError("episodes and workers must be at least 1")
    use_one_thread_each()
    context = get_context("spawn")
    with ProcessPoolExecutor(trials.workers, context, max_tasks_per_child=1) as pool:
        futures = [pool.submit(_score_task, trials, task) for task in tasks]
        try:
            for future in as_completed(futures):
                yield future.result()
        finally:
            for future in futures:
                future.cancel()


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
                skills = Skills(world, Style.sample(rng))
                steps.append(len(attempt(skills, world.script, rng, calm)))
            except RainError as error:
                failures.append(f"init state {init_state}: {error}")
        seconds = (time.perf_counter() - began) / count
        mean = float(np.mean(steps)) if steps else float("nan")
        return ExpertScore(task, count, len(steps), mean, seconds, tuple(failures))
    finally:
        world.close()
