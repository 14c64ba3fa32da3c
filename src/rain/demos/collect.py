"""Collecting demonstrations with the scripted expert, resumable at any moment.

One file a demonstration, named by suite, task and number; what is there is never made again. A
demonstration's seed follows from (seed, suite, task, number, attempt), so that a resumed collection
ends with the same demonstrations as an undisturbed one. Failed attempts are kept aside.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rain.demos.hdf5 import FAILURES, remove_stale, write_demonstration
from rain.types import RainError
from rain.worlds.demonstration import TRACKS, Demonstration, Failure
from rain.worlds.libero.experts.demonstrate import ExpertConfig, MakePolicy, demonstrate
from rain.worlds.libero.suites import SUITES, find_task
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.omy import SUITE as OMY
from rain.worlds.omy import OmyWorld
from rain.worlds.omy import demonstrate as omy
from rain.worlds.opening import tasks_of
from rain.worlds.processes import stream_jobs

ATTEMPTS = 40
"""Tries per demonstration before it counts as missing. On the open track every try draws another
layout and script; of a scene where seven in eight fail, one demonstration in 200 is lost."""
PIECE = 25
"""Demonstrations that a worker makes with one simulator."""
MOST_NUMBERS, MOST_ATTEMPTS = 100_000, 100
"""Bounds of numbers and attempts within which no two seeds are equal."""


@dataclass(frozen=True)
class CollectConfig:
    """What to collect: demonstrations ``first`` to ``first + demos`` of each task's scene."""

    suite: str = "libero_object"
    """One of LIBERO's four suites, all of them: all, or the simulated arm's: omy."""
    track: str = "open"
    """protocol: the 40 tasks in their own scenes; open: every sensible target in varied layouts."""
    demos: int = 20
    first: int = 0
    seed: int = 0
    workers: int = 2
    out: Path = Path("data/demos")
    tasks: tuple[int, ...] = ()
    """Only these tasks of the suite."""
    expert: ExpertConfig = field(default_factory=ExpertConfig)

    @property
    def numbers(self) -> range:
        """The numbers of each task's demonstrations."""
        return range(self.first, self.first + self.demos)

    @property
    def scenes(self) -> list[tuple[str, int]]:
        """Suite and task of every scene, in order."""
        suites = SUITES if self.suite == "all" else (self.suite,)
        return [(s, task) for s in suites for task in self.tasks or range(len(tasks_of(s)))]

    def folder(self, suite: str) -> Path:
        """Where the files of a suite go."""
        return self.out / self.track / suite

    def file(self, suite: str, task: int, number: int) -> Path:
        """The file of one demonstration."""
        return self.folder(suite) / f"task_{task:02d}" / f"demo_{number:05d}.hdf5"

    def missing(self, suite: str, task: int) -> list[int]:
        """Numbers of a scene's demonstrations that are not there yet."""
        return [n for n in self.numbers if not self.file(suite, task, n).exists()]

    def seed_of(self, suite: str, task: int, number: int, attempt: int) -> int:
        """The seed of one attempt; no two attempts at anything share one."""
        # The arm's scenes are no LIBERO scene's: its seeds may be equal to theirs.
        place = self.seed if suite == OMY else self.seed * len(SUITES) + SUITES.index(suite)
        scene = place * 100 + task
        return (scene * MOST_NUMBERS + number) * MOST_ATTEMPTS + attempt

    def check(self) -> None:
        """Raise RainError for an unknown suite, track or task, or a number out of bounds."""
        if self.track not in TRACKS:
            raise RainError(f"track {self.track!r} is unknown; known: {', '.join(TRACKS)}")
        if self.demos < 1 or self.workers < 1 or self.first < 0 or self.seed < 0:
            raise RainError("demos and workers must be at least 1, first and seed at least 0")
        if self.first + self.demos > MOST_NUMBERS:
            raise RainError(f"demonstrations are numbered below {MOST_NUMBERS}")
        if self.suite == "all":
            if self.tasks:
                raise RainError("--tasks needs one suite: its numbers mean other tasks in each")
            return
        if self.suite not in (*SUITES, OMY):
            known = ", ".join((*SUITES, "all", OMY))
            raise RainError(f"suite {self.suite!r} is unknown; known: {known}")
        names = tasks_of(self.suite)
        for task in self.tasks:
            if not 0 <= task < len(names):
                raise RainError(f"{self.suite} has tasks 0 to {len(names) - 1}, not {task}")
        if len(set(self.tasks)) < len(self.tasks):
            raise RainError("--tasks names a task twice")


@dataclass(frozen=True)
class Outcome:
    """What came of one demonstration.

    steps: its length in control steps, 0 where it is missing after all attempts; action_types: of
    its subtasks; failures: the failed attempts' reasons; seconds: of work, without making a scene.
    """

    suite: str
    task: int
    number: int
    steps: int
    action_types: tuple[str, ...]
    failures: tuple[str, ...]
    seconds: float

    @property
    def made(self) -> bool:
        """Whether there is a demonstration now."""
        return self.steps > 0


def collect(config: CollectConfig, make_policy: MakePolicy | None = None) -> Iterator[Outcome]:
    """Collect what is missing; yields the outcome of every demonstration when it is known.

    A policy, where one is given, begins subtasks that the expert then ends: corrections of what
    that policy does, from the states into which it comes. ``make_policy`` must be picklable.
    """
    config.check()
    if config.suite == OMY and make_policy is not None:
        raise RainError("corrections of a policy can be collected in LIBERO only")
    for scene in config.scenes:
        if config.suite != OMY:
            find_task(*scene)  # the simulator must be there before workers start
    remove_leftovers(config)
    pieces = []
    for suite, task in config.scenes:
        missing = config.missing(suite, task)
        pieces += [(i, suite, task, missing[i : i + PIECE]) for i in range(0, len(missing), PIECE)]
    # First pieces first, so that a collection that was stopped holds something of every scene.
    pieces.sort(key=lambda piece: piece[0])
    jobs = [(config, suite, task, numbers, make_policy) for _, suite, task, numbers in pieces]
    try:
        yield from stream_jobs(_collect_piece, jobs, config.workers)
    finally:
        remove_leftovers(config)


def remove_leftovers(config: CollectConfig) -> None:
    """Remove the temporary files that killed runs left in the collection's folders."""
    for suite in {suite for suite, _ in config.scenes}:
        remove_stale(config.folder(suite))


def _collect_piece(
    config: CollectConfig,
    suite: str,
    task: int,
    numbers: list[int],
    make_policy: MakePolicy | None,
) -> Iterator[Outcome]:
    world: LiberoWorld | OmyWorld
    if suite == OMY:
        world = OmyWorld(suite, task)
    elif make_policy is None:
        world = LiberoWorld(suite, task)
    else:
        conventions = make_policy(0).conventions
        world = LiberoWorld(suite, task, image_size=conventions.image_size)
        conventions.check(world.conventions, "the policy", "the world")
    try:
        for number in numbers:
            yield _collect_one(config, world, number, make_policy)
    finally:
        world.close()


def _collect_one(
    config: CollectConfig,
    world: LiberoWorld | OmyWorld,
    number: int,
    make_policy: MakePolicy | None,
) -> Outcome:
    suite, task = world.task.suite, world.task.index
    began, reasons = time.monotonic(), list[str]()
    made: Demonstration | None = None
    for attempt in range(ATTEMPTS):
        seed = config.seed_of(suite, task, number, attempt)
        try:
            result = _demonstrate(config, world, seed, make_policy)
        except RainError as error:  # of this layout: it must not end what other seeds can do
            result = Failure(seed, str(error))
        if isinstance(result, Demonstration):
            write_demonstration(config.file(suite, task, number), result, _scene_file(world))
            made = result
            break
        reasons.append(result.reason)
        _keep_failure(config, world, number, attempt, result)
    return Outcome(
        suite=suite,
        task=task,
        number=number,
        steps=len(made.actions) if made else 0,
        action_types=tuple(s.action_type for s in made.script.subtasks) if made else (),
        failures=tuple(reasons),
        seconds=time.monotonic() - began,
    )


def _demonstrate(
    config: CollectConfig,
    world: LiberoWorld | OmyWorld,
    seed: int,
    make_policy: MakePolicy | None,
) -> Demonstration | Failure:
    """One attempt, by the expert of this world."""
    if isinstance(world, OmyWorld):
        return omy.demonstrate(world, config.track, seed, config.expert)
    return demonstrate(world, config.track, seed, config.expert, make_policy)


def _scene_file(world: LiberoWorld | OmyWorld) -> str:
    """The name of the scene's BDDL file; the arm's scenes have none."""
    return "" if isinstance(world, OmyWorld) else world.task.bddl.name


def _keep_failure(
    config: CollectConfig,
    world: LiberoWorld | OmyWorld,
    number: int,
    attempt: int,
    failure: Failure,
) -> None:
    """Keep what was done under ``failures/``, and the reason in ``failures.jsonl`` after it."""
    suite, task = world.task.suite, world.task.index
    name = ""
    if failure.demonstration is not None:
        path = config.file(suite, task, number)
        name = f"{FAILURES}/{path.parent.name}/{path.stem}_try_{attempt:02d}.hdf5"
        path = config.folder(suite) / name
        write_demonstration(path, failure.demonstration, _scene_file(world), failure.reason)
    note_failure(
        config.folder(suite) / f"{FAILURES}.jsonl",
        {"task": task, "demo": number, "attempt": attempt, "seed": failure.seed,
         "reason": failure.reason, "file": name},
    )  # fmt: skip


def note_failure(path: Path, facts: dict[str, object]) -> None:
    """Add a line to a file of failures unless an earlier, interrupted run has written it already.

    Workers share the file: one line is appended at once, and after one that a kill cut short.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(facts).encode()
    there = path.read_bytes() if path.exists() else b""
    if line in there.split(b"\n"):
        return
    start = b"\n" if there and not there.endswith(b"\n") else b""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
    try:
        os.write(file, start + line + b"\n")
    finally:
        os.close(file)
