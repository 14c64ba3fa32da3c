"""The demo's films side by side, and which tasks it is asked for."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest
from rich.console import Console

from rain.bench.demo import Scene, run_demo, side_by_side
from rain.types import RainError


def film(length: int, height: int, width: int, first: int) -> list[np.ndarray]:
    return [np.full((height, width, 3), first + i, np.uint8) for i in range(length)]


def test_the_shorter_film_keeps_its_last_frame_and_the_lower_one_is_filled_up() -> None:
    joined = list(side_by_side([film(3, 4, 2, 10), film(1, 6, 5, 50)]))
    assert [frame.shape for frame in joined] == [(6, 7, 3)] * 3
    assert [int(frame[0, 0, 0]) for frame in joined] == [10, 11, 12]
    assert [int(frame[5, 6, 0]) for frame in joined] == [50, 50, 50]
    assert all((frame[4:, :2] == 0).all() for frame in joined)


def test_a_scene_is_a_suite_and_a_number() -> None:
    assert Scene.from_text("libero-ex/8") == Scene("libero-ex", 8)
    for wrong in ("libero_object", "libero_object/", "/x", "libero_object/-1"):
        with pytest.raises(RainError, match="SUITE/TASK"):
            Scene.from_text(wrong)


@pytest.mark.skipif(not find_spec("mujoco"), reason="the simulator is not installed")
def test_an_unknown_task_leaves_no_video(tmp_path) -> None:
    with pytest.raises(RainError):
        run_demo("rain-nano", [Scene("libero_object", 99)], 0, tmp_path / "d.mp4", Console())
    assert not list(tmp_path.iterdir())
