"""The simulated arm's worlds, as the bench knows them, and how fast they run."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rain.bench.policies.expert import OmyExpert
from rain.bench.protocols import TaskFacts, TaskWorld
from rain.bench.sources import LiberoWorlds, Rendering
from rain.drawing import draw_header, label, replacing, tint
from rain.types import RainError
from rain.worlds.omy import SUITE, OmyWorld, find_omy_task, omy_tasks

HORIZON = 450
"""Control steps an episode may take, 15 s: twice what the expert takes."""


@dataclass(frozen=True)
class OmyWorlds:
    """Makes the arm's worlds. threads: CPU threads of the software renderer, a process."""

    rendering: Rendering = "fast"
    threads: int = 1

    def suites(self, text: str) -> tuple[str, ...]:
        """The arm's one suite; RainError for any other text."""
        if text != SUITE:
            raise RainError(f"suite {text!r}: the simulated arm has {SUITE} only")
        return (SUITE,)

    def tasks(self, suite: str) -> dict[int, str]:
        """Number and name of the tasks."""
        return omy_tasks()

    def facts(self, suite: str, task: int) -> TaskFacts:
        """What is known of a task without its simulator."""
        found = find_omy_task(suite, task)
        return TaskFacts(found.name, found.scene, suite, found.script.instruction, HORIZON)

    def settings(self) -> dict[str, Any]:
        """What results depend on."""
        return {"rendering": self.rendering}

    def __call__(self, suite: str, task: int, image_size: int, views: tuple[str, ...]) -> TaskWorld:
        """The world of a task; RainError when suite, task or a view is unknown."""
        # Mesa reads it when the first GL context is made. On a GPU it means nothing.
        os.environ.setdefault("LP_NUM_THREADS", str(self.threads))
        return OmyWorld(suite, task, image_size=image_size, rendering=self.rendering, views=views)


def worlds_of(suite: str, rendering: Rendering, threads: int) -> LiberoWorlds | OmyWorlds:
    """Where the worlds of a suite, or of several, come from."""
    return OmyWorlds(rendering, threads) if suite == SUITE else LiberoWorlds(rendering, threads)


def draw_scene(world: OmyWorld, seed: int, size: int, out: Path) -> None:
    """Write a PNG of a layout: all views, and below them the region of each subtask's target."""
    if out.suffix != ".png":
        raise RainError(f"{out}: a picture's name ends in .png")
    world.reset(seed=seed)
    views = world.conventions.views
    plain = [world.render(view, size) for view in views]
    rows = [np.concatenate([label(i, v) for i, v in zip(plain, views, strict=True)], axis=1)]
    for subtask in world.script.subtasks:
        regions = [world.regions([subtask.target], view, size)[0] for view in views]
        tinted = [label(tint(i, r), str(subtask)) for i, r in zip(plain, regions, strict=True)]
        rows.append(np.concatenate(tinted, axis=1))
    header = draw_header(world.script.instruction, rows[0].shape[1])
    with replacing(out) as temporary:
        Image.fromarray(np.concatenate([header, *rows])).save(temporary, format="PNG")


@dataclass(frozen=True)
class Speed:
    """Simulated seconds a second: ``physics`` alone, or with all views at ``size`` px."""

    size: int
    views: int
    steps: int
    real_time: float


def measure_speed(world: OmyWorld, sizes: tuple[int, ...], seconds: float = 5.0) -> Iterator[Speed]:
    """Let the expert move the arm, with no view and then with all views of each size."""
    for size in (0, *sizes):
        steps, spent, seed = 0, 0.0, 0
        while spent < seconds:
            world.reset(seed=seed)
            for action, _ in OmyExpert(seed).actions(world, world.script):
                began = time.perf_counter()
                world.step(action)
                for view in world.conventions.views if size else ():
                    world.render(view, size)
                spent += time.perf_counter() - began
                steps += 1
                if spent >= seconds:
                    break
            seed += 1
        rate = world.conventions.rate_hz
        yield Speed(size, len(world.conventions.views) if size else 0, steps, steps / rate / spent)
