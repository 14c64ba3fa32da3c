"""Somebody who points at targets where the session has no region of them."""

from __future__ import annotations

import numpy as np
import pytest

from rain.perception.prompts import Box
from rain.robot.demo import registry_of
from rain.robot.pointing import AGAIN_S, LEAST_PIXELS, Pointer, box_of
from rain.types import Look
from rain.worlds.labels import LabelTable
from rain.worlds.omy.tasks import put_on

TABLE = LabelTable(("potato", "red_plate"), ((), ("potato",), ("red_plate",)))


def labels(rows: slice, columns: slice) -> np.ndarray:
    found = np.zeros((32, 40), np.uint8)
    found[rows, columns] = 1
    return found


class Session:
    """A mask server's session that knows regions in some views."""

    def __init__(self, *views: str) -> None:
        self.views, self.pointed = list(views), []

    def latest(self) -> Look | None:
        regions = {view: np.ones((2, 2), bool) for view in self.views}
        return Look(1.0, regions, dict.fromkeys(regions, 1.0), dict.fromkeys(regions, 1.0))

    def point_at_next(self, view, prompt):
        self.pointed.append((view, prompt))
        return 0


def test_the_box_is_around_all_pixels_of_the_target():
    assert box_of(labels(slice(4, 9), slice(10, 16)), TABLE, "potato") == Box(10, 4, 16, 9)
    assert box_of(labels(slice(4, 9), slice(10, 16)), TABLE, "red_plate") is None
    assert box_of(labels(slice(4, 9), slice(10, 16)), TABLE, "lemon") is None
    edge = labels(slice(0, 1), slice(0, LEAST_PIXELS - 1))
    assert box_of(edge, TABLE, "potato") is None


def test_points_where_there_is_no_region_and_not_at_once_again():
    seen = labels(slice(4, 9), slice(10, 16)), TABLE
    session = Session("top")
    pointer = Pointer(session)
    for now in (0.0, 0.1, AGAIN_S + 0.01):
        pointer.step("potato", {"top": seen, "wrist": seen}, now)
    assert session.pointed == [("wrist", Box(10, 4, 16, 9))] * 2
    session.views.clear()
    pointer.step("red_plate", {"top": seen}, 1.0)  # nothing of it is to be seen
    assert len(session.pointed) == 2


def test_another_target_is_pointed_at_without_waiting():
    both = np.concatenate([labels(slice(4, 9), slice(10, 16)), np.full((8, 40), 2, np.uint8)])
    session = Session()
    pointer = Pointer(session)
    pointer.step("potato", {"top": (both, TABLE)}, 0.0)
    pointer.step("red_plate", {"top": (both, TABLE)}, 0.01)
    assert [box for _, box in session.pointed] == [Box(10, 4, 16, 9), Box(0, 32, 40, 40)]
    assert [target for _, target, _ in pointer.pointed] == ["potato", "red_plate"]


def test_the_registry_reads_back(tmp_path):
    registry = pytest.importorskip("rain.perception.reasoner.registry")
    path = tmp_path / "tasks.yaml"
    path.write_text(registry_of(put_on("potato", "red_plate")))
    found = registry.TaskRegistry.load(path).decompose("put the potato on the red plate", {})
    assert found.script == put_on("potato", "red_plate")
    assert found.phrases == ("potato", "red plate")
