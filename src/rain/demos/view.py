"""Looking at a dataset: an episode as a video, and one tile a task on a contact sheet."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageDraw

from rain.demos.dataset import Dataset
from rain.demos.episode import Episode
from rain.demos.samples import plans, progress_targets
from rain.drawing import (
    INK,
    PAPER,
    VIEW_PIXELS,
    VideoWriter,
    draw_header,
    draw_panel,
    draw_plan,
    draw_timeline,
    font,
    label,
    replacing,
    tint,
)
from rain.types import Progress, RainError
from rain.worlds.opening import RecordedWorld

TILE = 192
"""Side of a contact sheet's picture, pixels."""
CAPTION = 64
MOST_TILES = 40

Project = Callable[[ArrayLike, str, NDArray, NDArray], NDArray]
"""Points (N, 3), base frame; view; end-effector position and rotation -> pixels (N, 2) of a
square image of side 1, u right and v down, NaN where behind the camera."""


def scene_projection(world: RecordedWorld) -> Project:
    """Project into the views of a world's scene; the wrist's camera goes with the end-effector."""
    size = 1000

    def project(points: ArrayLike, view: str, position: NDArray, rotation: NDArray) -> NDArray:
        moved = np.asarray(points, dtype=np.float64)
        if view == "wrist":
            here, pose = world.ee_pose()
            moved = (moved - position) @ rotation @ pose.T + here
        return (world.project(moved, view, size) + 0.5) / size

    return project


def film_episode(
    dataset: Dataset, index: int, out: Path, project: Project | None = None
) -> Iterator[tuple[int, int]]:
    """Write an episode as a video in real time; yields (frames done, of how many).

    Each kept frame stays until the next one: what was left out about disturbances shows as a
    standstill. Plans are drawn where ``project`` can tell where they are.
    """
    if not 0 <= index < len(dataset):
        raise RainError(f"the dataset has episodes 0 to {len(dataset) - 1}, not {index}")
    episode = dataset.episode(index)
    rate = dataset.conventions.rate_hz
    until = np.append(episode.frames[1:], episode.frames[-1] + round(rate))
    with VideoWriter(out, rate) as writer:
        for frame, stay in enumerate(until - episode.frames):
            picture = draw_frame(dataset, episode, frame, project)
            for _ in range(int(stay)):
                writer.add(picture)
            yield frame + 1, len(episode.frames)


def draw_frame(
    dataset: Dataset, episode: Episode, frame: int, project: Project | None
) -> NDArray[np.uint8]:
    """One kept frame with all that is known of it: uint8 (H, W, 3), both sides even."""
    step = int(episode.frames[frame])
    ahead = [j for j, span in enumerate(episode.spans) if step < span.end]
    current = ahead[0] if ahead else len(episode.spans)
    span = episode.spans[min(current, len(episode.spans) - 1)]
    at = np.array([step])
    progress = progress_targets(
        episode.positions, episode.ee_rotation, at, span, dataset.progress_alpha
    )[0]
    plan = plans(episode.positions, at, span.interaction, span.position)[0]
    regions = episode.region(frame, span.subtask.target)
    views = []
    for v, view in enumerate(dataset.conventions.views):
        picture = tint(_scaled(episode.images[frame, v], VIEW_PIXELS), regions[v])
        if project is not None and step < span.interaction:
            place = project(plan, view, episode.positions[step], episode.ee_rotation[step])
            picture = draw_plan(picture, place * VIEW_PIXELS - 0.5)
        views.append(label(picture, view))
    width = VIEW_PIXELS * len(views)
    disturbed = "  disturbed" if episode.disturbed[step] else ""
    return np.concatenate(
        [
            draw_header(str(episode.details.get("instruction", "")), width),
            np.concatenate(views, axis=1),
            draw_panel(
                [s.subtask for s in episode.spans], current, Progress(*map(float, progress)),
                f"step {step} of {len(episode.states)}{disturbed}", width,
            ),
            draw_timeline(episode.spans, step, len(episode.states), width),
        ]
    )  # fmt: skip


def contact_sheet(dataset: Dataset, out: Path) -> Iterator[tuple[int, int]]:
    """Write a PNG with one tile a task; yields (tiles done, of how many).

    A tile shows the first view just before the task's first interaction, its region tinted.
    """
    if out.suffix != ".png":
        raise RainError(f"{out}: a contact sheet's name ends in .png")
    chosen = first_episodes(dataset)
    columns = math.ceil(math.sqrt(len(chosen) * 1.3))
    rows = math.ceil(len(chosen) / columns)
    sheet = Image.new("RGB", (columns * (TILE + 8) + 8, rows * (TILE + CAPTION) + 8), PAPER)
    for place, (name, index) in enumerate(chosen.items()):
        tile = draw_tile(name, dataset.episode(index))
        row, column = divmod(place, columns)
        sheet.paste(tile, (8 + column * (TILE + 8), 8 + row * (TILE + CAPTION)))
        yield place + 1, len(chosen)
    with replacing(out) as temporary:
        sheet.save(temporary, format="PNG")


def first_episodes(dataset: Dataset) -> dict[str, int]:
    """Name of each task -> its first episode, by suite and number, 40 at most."""
    found: dict[tuple[str, int], int] = {}
    for index, entry in enumerate(dataset.entries):
        details = entry.details
        suite, task = str(details.get("suite", "")), int(details.get("task", -1))
        found.setdefault((suite, task), index)
    ordered = sorted(found.items())[:MOST_TILES]
    return {f"{suite} {task}" if task >= 0 else suite: i for (suite, task), i in ordered}


def draw_tile(name: str, episode: Episode) -> Image.Image:
    """A tile of the contact sheet: picture, task and instruction."""
    span = episode.spans[0]
    before = np.flatnonzero(episode.frames <= span.interaction)
    frame = int(before[-1]) if len(before) else 0
    picture = _scaled(episode.images[frame, 0], TILE)
    picture = tint(picture, episode.region(frame, span.subtask.target)[0])
    tile = Image.new("RGB", (TILE, TILE + CAPTION), PAPER)
    tile.paste(Image.fromarray(picture))
    draw = ImageDraw.Draw(tile)
    draw.text((0, TILE + 2), name, fill=INK, font=font(12))
    lines = textwrap.wrap(str(episode.details.get("instruction", "")), 33)[:3]
    for i, line in enumerate(lines):
        draw.text((0, TILE + 18 + 13 * i), line, fill=INK, font=font(11))
    return tile


def _scaled(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(image).resize((size, size), Image.Resampling.BICUBIC))
