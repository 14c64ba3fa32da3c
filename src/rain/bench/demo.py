"""One filmed episode, told as it happens."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from rain.bench.rollouts import EpisodeResult, Moment, RolloutConfig, rollout
from rain.bench.sources import CheckpointPolicies, LiberoWorlds
from rain.bench.trials import horizon_of
from rain.bench.video import EpisodeFilm
from rain.drawing import VideoWriter
from rain.types import TaskScript

SUITE = "libero_object"


def run_demo(
    checkpoint: str, task: int, init_state: int, video: Path, console: Console, *, threads: int = 1
) -> bool:
    """Run and film one episode of libero_object; say whether it succeeded."""
    policy = CheckpointPolicies(checkpoint, threads)(seed=0)
    console.print(f"opening {SUITE} task {task} …")
    asked = policy.conventions
    world = LiberoWorlds(threads=threads)(SUITE, task, asked.image_size, asked.views)
    try:
        script = world.script
        world.reset(init_state=init_state)
        console.print(f"“{script.instruction}”, init state {init_state}", markup=False)
        with VideoWriter(video, EpisodeFilm.fps(world.conventions.rate_hz)) as writer:
            narrator = _Narrator(script, EpisodeFilm(world, script, writer), console)
            config = RolloutConfig(horizon=horizon_of(SUITE))
            result = rollout(world, policy, script, config, watch=narrator)
    finally:
        world.close()
    _conclude(result, video, console)
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


def _conclude(result: EpisodeResult, video: Path, console: Console) -> None:
    for grasp in result.grasps:
        console.print(f"  held {grasp.object} from step {grasp.step}")
    parts = ", ".join(f"{part} {seconds:.1f} s" for part, seconds in result.seconds.items())
    console.print(f"{result.steps} steps, {result.predictions} predictions: {parts}")
    verdict = (
        "[bold green]success[/]" if result.success else f"[bold red]failure[/] ({result.outcome})"
    )
    console.print(f"{verdict}, video in {video}")
