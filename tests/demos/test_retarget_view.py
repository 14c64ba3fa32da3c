from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import demos_helpers
import numpy as np
import pytest
from PIL import Image

from rain.cli.retarget_show import Show, run_show
from rain.demos.dataset import Dataset
from rain.demos.retarget_panels import AROUND_POINT, AROUND_START, ROOM, make_panels, sample_starts
from rain.demos.retarget_view import DPI, WIDTH, Camera, draw_retarget, make_figure
from rain.retarget.hermite import hermite
from rain.retarget.reference import unit_tangents
from rain.types import RainError

EPISODE = demos_helpers.episode(seed=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return demos_helpers.dataset(tmp_path_factory.mktemp("dataset"), 2)


def to_pixels(points, view, position, rotation):
    """Where the helpers draw a point: seen from above."""
    assert view == "agentview"
    return (np.asarray(points)[:, [1, 0]] + 0.3) / 0.6


@pytest.mark.parametrize("number", [0, 1])
def test_starts_lie_around_the_recorded_start_and_the_interaction_point(number: int) -> None:
    span, path = EPISODE.spans[number], EPISODE.positions
    starts, near = sample_starts(EPISODE, number, 300, seed=3)
    assert starts.shape == (300, 3)
    assert near.sum() == 100
    for some, centre, (least, most) in (
        (~near, path[span.start], AROUND_START),
        (near, span.position, AROUND_POINT),
    ):
        offset = starts[some] - centre
        distance = np.linalg.norm(offset, axis=1)
        assert least <= distance.min() <= distance.max() <= most
        # To all sides: each axis both ways, but not below what the hand ever reached.
        assert (offset[:, :2].min(axis=0) < 0).all()
        assert (offset.max(axis=0) > 0).all()
    assert starts[:, 2].min() >= path[:, 2].min() - 1e-6
    assert (starts <= path.max(axis=0) + ROOM + 1e-6).all()
    again, _ = sample_starts(EPISODE, number, 300, seed=3)
    other, _ = sample_starts(EPISODE, number, 300, seed=4)
    np.testing.assert_array_equal(starts, again)
    assert not np.allclose(starts, other)


def test_an_approach_leads_from_its_start_to_its_junction() -> None:
    (panel,) = make_panels(EPISODE, 1, ["rrs"], 20, seed=0)
    span, path = EPISODE.spans[1], EPISODE.positions
    np.testing.assert_array_equal(panel.reference.positions, path[span.start : span.end])
    np.testing.assert_array_equal(panel.junctions, path[span.start + panel.made.junction])
    assert len(panel.approaches) == len(panel.starts) == 20
    tangents = unit_tangents(panel.reference.positions)[panel.made.junction]
    for i, approach in enumerate(panel.approaches):
        assert len(approach) == panel.made.approach[i] + 1
        np.testing.assert_allclose(approach[0], panel.starts[i], atol=1e-6)
        np.testing.assert_array_equal(approach[-1], panel.junctions[i])
        one = slice(i, i + 1)
        u = np.linspace(0, 1, len(approach))
        curve = hermite(panel.starts[one], panel.junctions[one], tangents[one], u)[0]
        np.testing.assert_allclose(approach, curve, atol=1e-6)


def test_every_mode_gets_the_same_starts_and_its_own_junctions() -> None:
    panels = make_panels(EPISODE, None, ["mimicgen", "rrs", "linear"], 5, seed=0)
    assert [(p.mode, p.number) for p in panels] == [
        (mode, number) for mode in ("rrs", "linear", "mimicgen") for number in (0, 1)
    ]
    for panel in panels:
        np.testing.assert_array_equal(panel.starts, panels[panel.number].starts)
        if panel.mode == "linear":
            expected = np.repeat(panel.span.position[None], 5, 0)
            np.testing.assert_allclose(panel.junctions, expected, atol=1e-6)
        elif panel.mode == "mimicgen":
            assert (panel.made.junction == 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"episode": 2}, "--episode: the dataset has 0 to 1"),
        ({"episode": -1}, "--episode: the dataset has 0 to 1"),
        ({"subtask": 2}, "subtask: the episode has 0 to 1, not 2"),
        ({"subtask": -1}, "subtask: the episode has 0 to 1, not -1"),
        ({"starts": 0}, "starts: expected at least 1, got 0"),
        ({"modes": ("rrs", "none")}, "modes: expected some of rrs, linear, mimicgen, not none"),
        ({"modes": ()}, "modes: expected some of rrs, linear, mimicgen"),
        ({"out": Path("retarget.gif")}, "out: .*retarget.gif must end in .png, .pdf, .svg"),
    ],
)
def test_an_error_names_the_field(folder: Path, tmp_path: Path, change: dict, message: str) -> None:
    command = dataclasses.replace(Show(folder, image=False), **change)
    command = dataclasses.replace(command, out=tmp_path / command.out)
    with pytest.raises(RainError, match=message):
        run_show(command)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_a_picture_and_says_what_it_shows(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "new" / "retarget.png"
    show = Show(folder, subtask=0, starts=4, modes=("rrs", "linear"), out=out, image=False)
    assert run_show(show) == 0
    said = capsys.readouterr().out
    assert re.search(r"0 grasp block_1: rrs, 4 starts joined \d by eq. 7", said)
    assert "0 grasp block_1: linear, 4 starts\n" in said
    with Image.open(out) as picture:
        assert picture.width == int(2 * WIDTH * DPI)
        assert np.asarray(picture.convert("L")).std() > 10
    assert [p.name for p in out.parent.iterdir()] == ["retarget.png"]


def test_without_the_scene_the_rest_is_drawn(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # The dataset's suite is one that no world has.
    assert run_show(Show(folder, subtask=0, starts=2, out=tmp_path / "a.svg")) == 0
    assert "no camera view drawn" in capsys.readouterr().out
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


def drawn(axes) -> list[np.ndarray]:
    return [np.stack(line.get_data(), axis=1) for line in axes.lines]


def test_the_camera_view_shows_paths_where_they_are(folder: Path) -> None:
    panels = make_panels(EPISODE, None, ["rrs", "linear"], 3, seed=0)
    figure = make_figure(panels, Camera(EPISODE, "agentview", to_pixels), "block on tray")
    # Two modes below each other, two subtasks beside each other, each in 3-D and in the view.
    assert [axes.name for axes in figure.axes] == ["3d", "rectilinear"] * 4
    assert figure.get_suptitle() == "block on tray"
    titles = [axes.get_title() for axes in figure.axes[::2]]
    assert titles[3].startswith("release tray_1\nlinear")
    panel, view = panels[1], figure.axes[3]
    lines = drawn(view)
    expected = [
        panel.reference.positions, *panel.approaches, panel.junctions, panel.span.position[None],
    ]  # fmt: skip
    for points in expected:
        where = to_pixels(points, "agentview", None, None)
        assert any(len(x) == len(where) and np.allclose(x, where, atol=1e-6) for x in lines)
    # The tray of the second subtask is tinted, the block is not.
    picture, plain = view.images[0].get_array(), EPISODE.images[panel.span.start // 2, 0]
    changed = (picture != plain).any(axis=2)
    tray = EPISODE.region(panel.span.start // 2, "tray_1")[0]
    np.testing.assert_array_equal(changed, tray)


def test_the_view_is_cut_to_what_is_drawn() -> None:
    panels = make_panels(EPISODE, 0, ["rrs"], 3, seed=0)
    camera = Camera(EPISODE, "agentview", to_pixels)
    low, high = camera.window(panels)
    assert np.ptp(high - low) < 1e-9
    assert (low >= 0).all()
    assert (high <= 1 + 1e-9).all()
    for path in panels[0].approaches:
        where = to_pixels(path, "agentview", None, None)
        inside = ((where >= 0) & (where <= 1)).all(axis=1)
        assert ((where[inside] >= low) & (where[inside] <= high)).all()
    behind = Camera(EPISODE, "agentview", lambda points, *_: np.full((len(points), 2), np.nan))
    low, high = behind.window(panels)
    assert (low >= 0).all()
    assert (high <= 1).all()


def test_a_dataset_with_the_scene_has_two_rows(folder: Path, tmp_path: Path) -> None:
    sizes = []
    for project in (None, to_pixels):
        out = tmp_path / "a.png"
        draw_retarget(Dataset.open(folder), 0, out, 0, starts=2, project=project)
        with Image.open(out) as picture:
            sizes.append(picture.size)
    assert sizes[0][0] == sizes[1][0]
    assert sizes[1][1] > 1.7 * sizes[0][1]
