"""``rain demos view``, ``sheet`` and ``augmented``: what a dataset looks like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress

from rain.demos.augment import AugmentOptions
from rain.demos.augment_view import augmentation_sheet
from rain.demos.dataset import Dataset
from rain.demos.region_noise import TRACKER
from rain.demos.view import Project, contact_sheet, film_episode, scene_projection
from rain.types import RainError
from rain.worlds.opening import RecordedWorld, open_world


@dataclass(frozen=True)
class View:
    """Write an episode as a video: regions, plan, subtasks, progress targets, boundaries."""

    dataset: Annotated[Path, tyro.conf.Positional]
    episode: int = 0
    out: Path = Path("view.mp4")
    plan: bool = True
    """Draw the plan into the views; needs the simulator, which knows the cameras."""


@dataclass(frozen=True)
class Sheet:
    """Write a contact sheet: one tile a task, its first interaction with the region tinted."""

    dataset: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("sheet.png")


@dataclass(frozen=True)
class Augmented:
    """Write a sheet of samples as recorded and as training sees them, regions tinted."""

    dataset: Annotated[Path, tyro.conf.Positional]
    out: Path = Path("augmented.png")
    samples: int = 6
    """Rows: frames of different episodes."""
    draws: int = 5
    """Columns: variations of each."""
    seed: int = 0
    augment: AugmentOptions = field(default_factory=lambda: AugmentOptions(region=TRACKER))
    """As of ``rain train``; by default the region noise that all its presets have."""


def run_view(command: View) -> int:
    """Film one episode."""
    console, dataset = Console(), Dataset.open(command.dataset)
    if not 0 <= command.episode < len(dataset):
        raise RainError(f"--episode: the dataset has 0 to {len(dataset) - 1}")
    world = open_scene(dataset, command.episode, "plan", console) if command.plan else None
    try:
        project: Project | None = scene_projection(world) if world is not None else None
        _show("frames", film_episode(dataset, command.episode, command.out, project), console)
    finally:
        if world is not None:
            world.close()
    console.print(f"episode {command.episode}: {command.out}", highlight=False, soft_wrap=True)
    return 0


def run_sheet(command: Sheet) -> int:
    """Draw the contact sheet."""
    console = Console()
    _show("tasks", contact_sheet(Dataset.open(command.dataset), command.out), console)
    console.print(f"{command.out}", highlight=False, soft_wrap=True)
    return 0


def run_augmented(command: Augmented) -> int:
    """Draw samples before and after augmentation."""
    console, dataset = Console(), Dataset.open(command.dataset)
    steps = augmentation_sheet(
        dataset, command.augment, command.out, command.samples, command.draws, command.seed
    )
    _show("samples", steps, console)
    console.print(f"{command.out}", highlight=False, soft_wrap=True)
    return 0


def open_scene(dataset: Dataset, episode: int, what: str, console: Console) -> RecordedWorld | None:
    """Open the scene of an episode, for its cameras; without one say that ``what`` is not drawn."""
    details = dataset.entries[episode].details
    try:
        return open_world(str(details["suite"]), int(details["task"]))
    except KeyError:
        console.print(f"no {what} drawn: the dataset does not name the episode's task")
    except RainError as error:
        console.print(f"no {what} drawn: {error}", highlight=False)
    return None


def _show(what: str, steps: Iterator[tuple[int, int]], console: Console) -> None:
    with Progress(console=console) as progress:
        bar = progress.add_task(what, total=None)
        for done, total in steps:
            progress.update(bar, completed=done, total=total)
