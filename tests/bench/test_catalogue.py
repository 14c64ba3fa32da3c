from __future__ import annotations

import numpy as np

from rain.bench.catalogue import COLOURS, VIEW_SIZE, draw_task
from rain.drawing import HEADER
from rain.types import Conventions, Subtask, TaskScript


class Wall:
    """A grey wall; each target fills a column of its own."""

    conventions = Conventions(("agentview", "wrist"), 128, "s", "a", 20.0)

    def __init__(self, columns: dict[str, int]) -> None:
        self.columns = columns

    def render(self, view: str, size: int) -> np.ndarray:
        return np.full((size, size, 3), 128, dtype=np.uint8)

    def project(self, points: np.ndarray, view: str) -> np.ndarray:
        return np.zeros((len(points), 2))

    def regions(self, targets: list[str], view: str, size: int) -> np.ndarray:
        regions = np.zeros((len(targets), size, size), dtype=bool)
        for region, target in zip(regions, targets, strict=True):
            if view == "agentview":
                region[:, self.columns[target] : self.columns[target] + 40] = True
        return regions


def test_every_target_has_its_own_colour_in_the_views_that_show_it():
    script = TaskScript(
        "as told",
        (Subtask("grasp", "milk_1"), Subtask("release", "plate_1"), Subtask("grasp", "milk_1")),
    )
    picture = draw_task(Wall({"milk_1": 100, "plate_1": 300}), script, "title", "goal")
    assert picture.shape[1] == 2 * VIEW_SIZE
    row = picture[HEADER + 10].astype(int)
    assert (row[VIEW_SIZE:] == 128).all(), "the wrist sees neither"
    for column, colour in ((120, COLOURS[0]), (320, COLOURS[1])):
        # Tinted towards the colour: each channel moved its way.
        assert (np.sign(row[column] - 128) == np.sign(np.array(colour) - 128)).all()
    assert (row[20] == 128).all()
    assert (row[120] != row[320]).any()
