"""Pictures of retargeting, in 3-D and in the camera view: references, junctions, approaches."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.demos.episode import Episode
from rain.demos.retarget_panels import CAPTIONS, Panel, make_panels
from rain.demos.view import Project
from rain.drawing import REGION, replacing, tint
from rain.types import RainError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = (".png", ".pdf", ".svg")
WIDTH, SPACE, VIEW, GAP, LINE = 3.7, 2.8, 3.5, 0.42, 0.2
"""Inches: a panel's width and its two parts' heights, what lies between, and a line of text."""
ELEVATION, AZIMUTH = np.deg2rad(22), np.deg2rad(28)
"""From where 3-D is seen: much as LIBERO's camera does, from in front of the robot."""
DPI = 96
BORDER, LEAST = 0.06, 0.45
"""Of a picture's side: left free about what is drawn, and the least that is shown."""
# Blue and orange are told apart by all kinds of colour vision (Okabe and Ito, 2008).
APPROACH, POINT, INK = "#D55E00", "#F0E442", "#222222"
_EDGE = {"linestyle": "none", "markeredgecolor": INK, "markeredgewidth": 0.7}
MARKS: dict[str, dict[str, Any]] = {
    "start": {**_EDGE, "marker": "^", "markersize": 5, "markerfacecolor": APPROACH},
    "near": {**_EDGE, "marker": "s", "markersize": 4.5, "markerfacecolor": APPROACH},
    "junction": {**_EDGE, "marker": "o", "markersize": 4.5, "markerfacecolor": "white"},
    "point": {**_EDGE, "marker": "*", "markersize": 13, "markerfacecolor": POINT},
}


def draw_retarget(
    dataset: Dataset,
    index: int,
    out: Path,
    subtask: int | None = None,
    modes: Sequence[str] = ("rrs",),
    starts: int = 12,
    seed: int = 0,
    project: Project | None = None,
) -> list[Panel]:
    """Write a picture of retargeting in an episode (PNG, PDF or SVG); returns what it shows.

    One panel for each subtask and mode, and below it, with ``project``, the same in the first
    view, at the subtask's start and with its region tinted.
    """
    if out.suffix not in FORMATS:
        raise RainError(f"out: {out} must end in {', '.join(FORMATS)}")
    if not 0 <= index < len(dataset):
        raise RainError(f"episode: the dataset has 0 to {len(dataset) - 1}, not {index}")
    panels = make_panels(dataset.motion(index), subtask, modes, starts, seed)
    camera = None
    if project is not None:
        camera = Camera(dataset.episode(index), dataset.conventions.views[0], project)
    title = str(dataset.entries[index].details.get("instruction", ""))
    figure = make_figure(panels, camera, title)
    with replacing(out) as temporary:
        figure.savefig(temporary, dpi=DPI, format=out.suffix[1:])
    return panels


@dataclass(frozen=True)
class Camera:
    """An episode as one of its views saw it. Places in a picture are in units of its side."""

    episode: Episode
    view: str
    project: Project

    def frame(self, panel: Panel) -> int:
        """Number of the last kept frame up to the subtask's start; the first if there is none."""
        return int(np.searchsorted(self.episode.frames, panel.span.start, side="right").clip(1)) - 1

    def picture(self, panel: Panel) -> NDArray[np.uint8]:
        """The view in that frame with the region tinted: uint8 (S, S, 3)."""
        frame = self.frame(panel)
        region = self.episode.region(frame, panel.span.subtask.target)[0]
        return tint(self.episode.images[frame, 0], region)

    def place(self, panel: Panel, points: NDArray) -> NDArray:
        """Where points (N, 3) appear in that frame: (N, 2), u right and v down."""
        step = self.episode.frames[self.frame(panel)]
        position, rotation = self.episode.positions[step], self.episode.ee_rotation[step]
        return self.project(points, self.view, position, rotation)

    def window(self, panels: Sequence[Panel]) -> tuple[NDArray, NDArray]:
        """The square that shows all that is drawn of a subtask: lowest and highest (u, v)."""
        first = panels[0]
        region = self.episode.region(self.frame(first), first.span.subtask.target)[0]
        inside = (np.argwhere(region)[:, ::-1] + 0.5) / len(region)
        seen = np.concatenate([inside, self.place(first, _all_points(panels))])
        seen = seen[((seen >= 0) & (seen <= 1)).all(axis=1)]
        if not len(seen):
            return np.zeros(2), np.ones(2)
        low, high = seen.min(axis=0), seen.max(axis=0)
        side = np.clip((high - low).max() + 2 * BORDER, LEAST, 1.0)
        low = np.clip((low + high - side) / 2, 0.0, 1.0 - side)
        return low, low + side


def make_figure(panels: Sequence[Panel], camera: Camera | None, title: str) -> Figure:
    """Lay the panels out: a row for each mode, or one row where there is one subtask."""
    # Only here: matplotlib takes a second to import. Figure needs no display.
    from matplotlib.figure import Figure

    subtasks = len({panel.number for panel in panels})
    columns = len(panels) if subtasks == 1 else subtasks
    parts = [SPACE] if camera is None else [SPACE, VIEW]
    heights = parts * (len(panels) // columns)
    width = columns * WIDTH
    lines = textwrap.wrap(title, int(9 * width))
    entries = _legend_entries(camera is not None)
    above = len(lines) * LINE + GAP + 0.1
    below = math.ceil(len(entries) / _legend_columns(width)) * LINE + 0.2
    height = sum(heights) + (len(heights) - 1) * GAP + above + below
    figure = Figure(figsize=(width, height), facecolor="white")
    grid = figure.add_gridspec(
        len(heights), columns, height_ratios=heights, wspace=0.05,
        hspace=GAP / (sum(heights) / len(heights)),
        left=0.03, right=0.97, bottom=below / height, top=1 - above / height,
    )  # fmt: skip
    for i, panel in enumerate(panels):
        row, column = divmod(i, columns)
        shown = [p for p in panels if p.number == panel.number]
        # Drawn in our order, so that marks are never behind lines.
        space: dict[str, Any] = {"projection": "3d", "computed_zorder": False}
        place = grid[row * len(parts), column]
        _draw_space(figure.add_subplot(place, **space), panel, shown)
        if camera is not None:
            _draw_view(figure.add_subplot(grid[2 * row + 1, column]), panel, shown, camera)
    figure.suptitle("\n".join(lines), y=1 - 0.08 / height, va="top", fontsize=12, color=INK)
    _draw_legend(figure, entries)
    return figure


def _draw_space(axes: Any, panel: Panel, shown: Sequence[Panel]) -> None:
    """A panel in 3-D."""
    from matplotlib.ticker import MultipleLocator

    _draw_paths(axes, panel, lambda points: points, halo=False)
    # One scale for all modes of a subtask, and for all three axes.
    every = _all_points(shown)
    low, high = every.min(axis=0) - 0.02, every.max(axis=0) + 0.02
    axes.set(xlim=(low[0], high[0]), ylim=(low[1], high[1]), zlim=(low[2], high[2]))
    axes.set_box_aspect(high - low, zoom=_zoom(high - low))
    axes.view_init(elev=np.rad2deg(ELEVATION), azim=np.rad2deg(AZIMUTH))
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y"), (axes.zaxis, "z")):
        axis.set_label_text(f"{name} (m)", fontsize=8)
        axis.labelpad = -2
        axis.set_major_locator(MultipleLocator(0.1))
    axes.tick_params(labelsize=7, pad=0)
    axes.set_title(f"{panel.span.subtask}\n{CAPTIONS[panel.mode]}", fontsize=9, color=INK, pad=2)


def _zoom(side: NDArray) -> float:
    """How large a box of these sides (3,) can be drawn so that it and its labels fill the axes."""
    sine, cosine = np.sin(AZIMUTH), np.cos(AZIMUTH)
    wide = side @ [sine, cosine, 0]
    high = side @ [cosine * np.sin(ELEVATION), sine * np.sin(ELEVATION), np.cos(ELEVATION)]
    # Matplotlib scales the box by the length of its diagonal; the shares are tried out.
    return float(np.linalg.norm(side) * min(0.88 / wide, 0.76 / high))


def _draw_view(axes: Any, panel: Panel, shown: Sequence[Panel], camera: Camera) -> None:
    """A panel in the camera view."""
    # Its side is 1, as in ``Project``.
    axes.imshow(camera.picture(panel), extent=(0, 1, 1, 0), interpolation="bicubic")
    _draw_paths(axes, panel, lambda points: camera.place(panel, points), halo=True)
    low, high = camera.window(shown)
    axes.set(xlim=(low[0], high[0]), ylim=(high[1], low[1]))
    axes.set_axis_off()


def _all_points(panels: Sequence[Panel]) -> NDArray:
    """Every point that is drawn: (N, 3) m."""
    paths = (path for p in panels for path in (p.reference.positions, *p.approaches))
    return np.concatenate([*paths, panels[0].span.position[None]])


def _draw_paths(axes: Any, panel: Panel, place: Callable[[NDArray], NDArray], halo: bool) -> None:
    """Reference, approaches, junctions, interaction point; ``place`` puts (N, 3) into the axes.

    halo: white behind lines, so that they are seen on any picture.
    """
    path = place(panel.reference.positions)
    for line, width in ((path, 2.6), *((place(a), 1.2) for a in panel.approaches)):
        if halo:
            axes.plot(*line.T, color="white", linewidth=width + 1.4, alpha=0.8)
    for approach in panel.approaches:
        axes.plot(*place(approach).T, color=APPROACH, linewidth=1.2)
    for i, colour in enumerate(_shades(len(path) - 1)):
        piece = path[i : i + 2].T
        axes.plot(*piece, color=colour, linewidth=2.6, solid_capstyle="round")
    for points, kind in (
        (panel.starts[~panel.near], "start"),
        (panel.starts[panel.near], "near"),
        (panel.junctions, "junction"),
        (panel.span.position[None], "point"),
    ):
        axes.plot(*place(points).T, **MARKS[kind])


def _shades(count: int) -> list[tuple[float, float, float, float]]:
    """Light to dark blue."""
    from matplotlib import colormaps

    return [tuple(c) for c in colormaps["Blues"](np.linspace(0.4, 1.0, count))]


def _legend_entries(region: bool) -> dict[str, Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    entries: dict[str, Any] = {
        "recorded reference, light to dark": tuple(
            Line2D([], [], color=c, linewidth=2.6) for c in _shades(4)
        ),
        "start around the recorded one": Line2D([], [], **MARKS["start"]),
        "start around the interaction point": Line2D([], [], **MARKS["near"]),
        "approach": Line2D([], [], color=APPROACH, linewidth=1.2),
        "junction": Line2D([], [], **MARKS["junction"]),
        "interaction point": Line2D([], [], **MARKS["point"]),
    }
    if region:
        red, green, blue = (part / 255 for part in REGION)
        entries["region"] = Patch(color=(red, green, blue), alpha=0.6)
    return entries


def _legend_columns(width: float) -> int:
    """As many as fit beside each other."""
    return max(1, int(width / 1.85))


def _draw_legend(figure: Figure, entries: dict[str, Any]) -> None:
    from matplotlib.legend_handler import HandlerTuple

    figure.legend(
        list(entries.values()), list(entries), loc="lower center", fontsize=8, frameon=False,
        ncols=_legend_columns(figure.get_figwidth()), labelspacing=0.4,
        handler_map={tuple: HandlerTuple(ndivide=None, pad=0)},
    )  # fmt: skip
