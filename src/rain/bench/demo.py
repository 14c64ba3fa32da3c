"""Filmed episodes, told as they happen: one, or several side by side in one video."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from rain.bench.rollouts import EpisodeResult, Moment, RolloutConfig, rollout
from rain.bench.sources import CheckpointPolicies, LiberoWorlds
from rain.bench.trials import horizon_of
from rain.bench.video import EpisodeFilm
from rain.drawing import VideoWriter
from rain.types import RainError, TaskScript

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Scene:
    """What an episode of the demo is of: a suite's task, by its number."""

    suite: str
    task: int

    @classmethod
    def from_text(cls, text: str) -> Scene:
        """Read SUITE/TASK, e.g. libero_object/0; RainError where it is none."""
        suite, slash, number = text.rpartition("/")
        if not slash or not number.isdecimal():
            raise RainError(f"{text!r}: expected SUITE/TASK, such as libero_object/0")
        return cls(suite, int(number))

    def __str__(self) -> str:
        return f"{self.suite}/{self.task}"


def run_demo(
    checkpoint: str,
    scenes: Sequence[Scene],
    init_state: int,
    video: Path,
    console: Console,
    *,
    threads: int = 1,
) -> bool:
    """Run one episode of each scene, film them side by side; say whether all succeeded."""
    if not scenes:
        raise RainError("the demo needs a task at least")
    policies = CheckpointPolicies(checkpoint, threads)
    rate = policies(seed=0).conventions.rate_hz
    films, successes = list[list[Picture]](), list[bool]()
    # The video's name is refused before anything runs, and nothing is left where something fails.
    with VideoWriter(video, EpisodeFilm.fps(rate)) as writer:
        for scene in scenes:
            film = _Frames()
            successes.append(_play(policies, scene, init_state, film, console, threads))
            films.append(film.frames)
        for frame in side_by_side(films):
            writer.add(frame)
    console.print(f"video in {video}", markup=False)
    return all(successes)


def side_by_side(films: Sequence[Sequence[Picture]]) -> Iterator[Picture]:
    """Put films (H, W, 3) of equal height next to each other; one that ends keeps its last frame.

    Films of another height are filled up with black below.
    """
    tallest = max(film[0].shape[0] for film in films)
    last: list[Picture] = [film[0] for film in films]
    for frames in zip_longest(*films):
        last = [old if new is None else new for old, new in zip(last, frames, strict=True)]
        below = [((0, tallest - frame.shape[0]), (0, 0), (0, 0)) for frame in last]
        yield np.concatenate([np.pad(f, b) for f, b in zip(last, below, strict=True)], axis=1)


class _Frames:
    """Keeps frames until all films are made."""

    def __init__(self) -> None:
        self.frames: list[Picture] = []

    def add(self, frame: Picture) -> None:
        self.frames.append(frame)


def _play(
    policies: CheckpointPolicies,
    scene: Scene,
    init_state: int,
    film: _Frames,
    console: Console,
    threads: int,
) -> bool:
    policy = policies(seed=0)
    console.print(f"opening {scene} …", markup=False)
    asked = policy.conventions
    world = LiberoWorlds(threads=threads)(scene.suite, scene.task, asked.image_size, asked.views)
    try:
        script = world.script
        world.reset(init_state=init_state)
        console.print(f"“{script.instruction}”, init state {init_state}", markup=False)
        narrator = _Narrator(script, EpisodeFilm(world, script, film), console)
        config = RolloutConfig(horizon=horizon_of(scene.suite))
        result = rollout(world, policy, script, config, watch=narrator)
    finally:
        world.close()
    _conclude(result, console)
    return result.success


class _Narrator:
    """Prints each subtask as it begins, and films."""

    def __init__(self, script: TaskScript, film: EpisodeFilm, console: Console) -> None:
        self._script, self._film, self._console = script, film, console
        self._began = time.perf_counter()
        self._told: int | None = None

    def __call__(self, moment: Moment) -> None:
        current = len(self._script.subtasks) if moment.finished else moment.subtask
        if current != self._told:
            self._told = current
            doing = "done, holding still" if moment.finished else self._script.subtasks[current]
            passed = time.perf_counter() - self._began
            self._console.print(f"  step {moment.step - 1:3d}  {passed:5.1f} s  {doing}")
        self._film(moment)


def _conclude(result: EpisodeResult, console: Console) -> None:
    for grasp in result.grasps:
        console.print(f"  held {grasp.object} from step {grasp.step}")
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in result.seconds.items())
    console.print(f"{result.steps} steps, {result.predictions} predictions: {parts}")
    verdict = (
        "[bold green]success[/]" if result.success else f"[bold red]failure[/] ({result.outcome})"
    )
    console.print(verdict)
