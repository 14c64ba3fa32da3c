from __future__ import annotations

import dataclasses
from pathlib import Path

import av
import demos_helpers
import numpy as np
import pytest
from PIL import Image

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.cli import demos as command
from rain.demos import augment_view
from rain.demos.augment_view import GAP
from rain.demos.dataset import Dataset, DatasetWriter
from rain.demos.view import TILE, draw_frame, film_episode, first_episodes, scene_projection
from rain.drawing import REGION, VIEW_PIXELS
from rain.types import RainError
from rain.worlds.libero import LiberoWorld

VIEWS = ("agentview", "wrist")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tasks of two suites, three episodes."""
    folder = tmp_path_factory.mktemp("dataset")
    writer = DatasetWriter(folder, demos_helpers.conventions(), "open")
    for seed, (suite, task) in enumerate((("suite_b", 1), ("suite_a", 3), ("suite_a", 3))):
        episode = demos_helpers.episode(seed, stride=5)
        details = {**episode.details, "suite": suite, "task": task}
        writer.append(dataclasses.replace(episode, details=details))
    writer.commit()
    return folder


def test_a_video_in_real_time(folder: Path, tmp_path: Path) -> None:
    dataset, out = Dataset.open(folder), tmp_path / "view.mp4"
    steps = list(film_episode(dataset, 1, out))
    assert steps[-1] == (20, 20)
    with av.open(str(out)) as container:
        frames = [f.to_ndarray(format="rgb24") for f in container.decode(video=0)]
        assert container.streams.video[0].average_rate == 20
    # Kept frames 0, 5 … 95 of 100 steps at 20 Hz, the last for a second.
    assert len(frames) == 95 + 20
    assert frames[0].shape[1] == 2 * VIEW_PIXELS
    assert [p.name for p in tmp_path.iterdir()] == ["view.mp4"]


def test_a_frame_shows_region_plan_and_cursor(folder: Path) -> None:
    dataset = Dataset.open(folder)
    episode = dataset.episode(0)

    def middle(points, view, position, rotation):
        assert points.shape == (8, 3)
        return np.full((8, 2), 0.5) if view == "wrist" else np.full((8, 2), np.nan)

    plain = draw_frame(dataset, episode, 0, None)
    planned = draw_frame(dataset, episode, 0, middle)
    assert plain.shape == planned.shape
    assert not any(side % 2 for side in plain.shape[:2])
    changed = np.argwhere((plain != planned).any(axis=2))
    # Only about the middle of the second view.
    np.testing.assert_allclose(changed.mean(axis=0), [28 + 160, 320 + 160], atol=6)
    region = np.kron(episode.region(0, "block_1")[0], np.ones((10, 10), bool))
    inside = plain[28 : 28 + 320, :320][region].astype(float).mean(axis=0)
    block = np.array([200, 30, 30])
    toward = (np.array(REGION) - block) @ (inside - block)
    assert toward > 0
    # After its last boundary the cursor is further right than at the beginning.
    late = draw_frame(dataset, episode, len(episode.frames) - 1, None)
    red = [np.flatnonzero((p[-2] == (255, 84, 60)).all(axis=1)).mean() for p in (plain, late)]
    assert red[0] < 20 < 560 < red[1]


def test_bad_requests(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RainError, match="0 to 2"):
        command.main(["view", str(folder), "--episode", "3"])
    with pytest.raises(RainError, match=r"\.png"):
        command.main(["sheet", str(folder), "--out", str(tmp_path / "sheet.jpg")])
    with pytest.raises(RainError, match=r"\.mp4"):
        command.main(["view", str(folder), "--no-plan", "--out", str(tmp_path / "view.gif")])
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_has_one_tile_a_task(folder: Path, tmp_path: Path) -> None:
    assert first_episodes(Dataset.open(folder)) == {"suite_a 3": 1, "suite_b 1": 0}
    out = tmp_path / "sheet.png"
    assert command.main(["sheet", str(folder), "--out", str(out)]) == 0
    with Image.open(out) as sheet:
        assert sheet.width == 2 * (TILE + 8) + 8
        tile = np.asarray(sheet)[8 : 8 + TILE, 8 : 8 + TILE]
    assert tile.std() > 5
    assert [p.name for p in tmp_path.iterdir()] == ["sheet.png"]


def test_samples_as_training_sees_them(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "augmented.png"
    size = ["--samples", "2", "--draws", "3", "--out", str(out)]
    assert command.main(["augmented", str(folder), *size, "--augment.region.drop", "0"]) == 0
    with Image.open(out) as sheet:
        assert sheet.width == GAP + (1 + 3) * (2 * augment_view.TILE + GAP)
    out.unlink()
    with pytest.raises(RainError, match=r"augment\.crop: .* got 3"):
        command.main(["augmented", str(folder), *size, "--augment.crop", "3"])
    assert list(tmp_path.iterdir()) == []


def test_the_wrist_camera_goes_with_the_hand(libero_world: LiberoWorld) -> None:
    libero_world.reset(seed=3)
    for _ in range(15):
        libero_world.step([0.5, 0.3, -0.4, 0.1, 0.0, 0.3, -1])
    position, rotation = libero_world.ee_pose()
    points = position + [[0.0, 0.0, -0.1], [0.05, 0.02, -0.15]]
    expected = {v: (libero_world.project(points, v, 1000) + 0.5) / 1000 for v in VIEWS}
    libero_world.reset(seed=4)
    project = scene_projection(libero_world)
    for view in VIEWS:
        found = project(points, view, position, rotation)
        np.testing.assert_allclose(found, expected[view], atol=1e-3)
