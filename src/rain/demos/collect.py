"""Collecting demonstrations with the scripted expert, resumable at any moment.

One file a demonstration, named by task and number; what is there is never made again. A
demonstration's seed follows from (seed, task, number, attempt), so that a resumed collection ends
with the same files as an undisturbed one.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rain.demos.hdf5 import write_demonstration
from rain.types import RainError
from rain.worlds.libero.experts.demonstrate import (
    TRACKS,
    Demonstration,
    ExpertConfig,
    MakePolicy,
    demonstrate,
)
from rain.worlds.libero.suites import find_task, suite_tasks
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.processes import run_jobs

ATTEMPTS = 8
"""Tries per demonstration before its scene counts as not solvable."""


@dataclass(frozen=True)
class CollectConfig:
    """What to collect: demonstrations ``first`` to ``first + demos`` of each task's scene."""

    suite: str = "libero_object"
    track: str = "open"
    demos: int = 20
    first: int = 0
    seed: int = 0
    workers: int = 2
    out: Path = Path("data/demos")
    tasks: tuple[int, ...] = ()
    expert: ExpertConfig = field(default_factory=ExpertConfig)

    @property
    def numbers(self) -> range:
        """The numbers of each task's demonstrations."""
        return range(self.first, self.first + self.demos)

    @property
    def folder(self) -> Path:
        """Where the files of this suite and track go."""
        return self.out / self.track / self.suite

    def file(self, task: int, number: int) -> Path:
        """The file of one demonstration."""
        return self.folder / f"task_{task:02d}" / f"demo_{number:05d}.hdf5"

    def check(self) -> None:
        """Raise RainError for an unknown suite, track or task."""
        names = suite_tasks(self.suite)
        if self.track not in TRACKS:
            raise RainError(f"track {self.track!r} is unknown; known: {', '.join(TRACKS)}")
        if self.demos < 1 or self.workers < 1 or self.first < 0:
            raise RainError("demos and workers must be at least 1, first at least 0")
        for task in self.tasks:
            if not 0 <= task < len(names):
                raise RainError(f"{self.suite} has tasks 0 to {len(names) - 1}, not {task}")


@dataclass(frozen=True)
class TaskSummary:
    """What a worker did for one task; seconds of work, without making the scene."""

    task: int
    made: int
    steps: int
    failures: Counter[str]
    seconds: float


def collect(config: CollectConfig, make_policy: MakePolicy | None = None) -> Iterator[TaskSummary]:
    """Collect what is missing; yields a summary whenever a part of a task is finished.

    A policy, where one is given, begins subtasks that the expert then ends: corrections of what
    that policy does, from the states into which it comes. ``make_policy`` must be picklable.
    """
    config.check()
    tasks = config.tasks or tuple(range(len(suite_tasks(config.suite))))
    for task in tasks:
        find_task(config.suite, task)  # the simulator must be there before workers start
    jobs = []
    for task in tasks:
        missing = [n for n in config.numbers if not config.file(task, n).exists()]
        jobs += [
            (config, task, missing[i : i + 25], make_policy) for i in range(0, len(missing), 25)
        ]
    yield from run_jobs(_collect_task, jobs, config.workers)


def _collect_task(
    config: CollectConfig, task: int, numbers: list[int], make_policy: MakePolicy | None
) -> TaskSummary:
    if make_policy is None:
        world = LiberoWorld(config.suite, task)
    else:
        conventions = make_policy(0).conventions
        world = LiberoWorld(config.suite, task, image_size=conventions.image_size)
        conventions.check(world.conventions, "the policy", "the world")
    began, steps, failures = time.monotonic(), 0, Counter[str]()
    try:
        for number in numbers:
            demonstration = _collect_one(config, world, task, number, failures, make_policy)
            write_demonstration(config.file(task, number), demonstration, world.task.bddl.name)
            steps += len(demonstration.actions)
    finally:
        world.close()
    return TaskSummary(task, len(numbers), steps, failures, time.monotonic() - began)


def _collect_one(
    config: CollectConfig,
    world: LiberoWorld,
    task: int,
    number: int,
    failures: Counter[str],
    make_policy: MakePolicy | None,
) -> Demonstration:
    for attempt in range(ATTEMPTS):
        seed = ((config.seed * 100 + task) * 100_000 + number) * ATTEMPTS + attempt
        result = demonstrate(world, config.track, seed, config.expert, make_policy)
        if isinstance(result, Demonstration):
            return result
        failures[result.reason] += 1
        _log_failure(config, task, number, result.seed, result.reason)
    raise RainError(
        f"{config.suite} task {task}: the expert failed {ATTEMPTS} times for demonstration "
        f"{number}; see {config.folder / 'failures.jsonl'}"
    )


def _log_failure(config: CollectConfig, task: int, number: int, seed: int, reason: str) -> None:
    config.folder.mkdir(parents=True, exist_ok=True)
    line = {"task": task, "demo": number, "seed": seed, "reason": reason}
    with (config.folder / "failures.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
