"""Segmenters that know, and the prompts and grounder made of what they know."""

from __future__ import annotations

import numpy as np
import pytest
from demos_helpers import TARGETS, VIEWS, episode

from rain.perception.prompts import Box, Mask, Points
from rain.perception.reasoner.libero import TruthGrounder, libero_registry
from rain.perception.segmenter import Frame, Segmenter
from rain.perception.truth import RecordedSegmenter, TruthSegmenter, point_on
from rain.types import RainError


class Moving:
    """A world whose target moves right by a pixel each time it is asked."""

    def __init__(self) -> None:
        self.at = 0

    def regions(self, targets: list[str], view: str, size: int) -> np.ndarray:
        found = np.zeros((len(targets), size, size), bool)
        for i, target in enumerate(targets):
            if target == "milk_1" and view == "a":
                found[i, 2:5, self.at : self.at + 4] = True
        return found


def frame(stamp: float, size: int = 16) -> Frame:
    return Frame({view: np.zeros((size, size, 3), np.uint8) for view in "ab"}, stamp)


def test_truth_is_of_the_present():
    world = Moving()
    segmenter = TruthSegmenter(world)
    assert isinstance(segmenter, Segmenter)
    segmenter.seed("milk_1", frame(0), {"a": Box(0, 0, 5, 5), "b": Box(0, 0, 5, 5)})
    world.at = 3
    found = segmenter.follow(frame(1))["milk_1"]
    assert np.flatnonzero(found["a"].region.any(axis=0)).tolist() == [3, 4, 5, 6]
    assert (found["a"].score, found["a"].stamp, found["a"].found) == (1.0, 1, True)
    assert (found["b"].score, found["b"].found) == (0.0, False)
    segmenter.forget("milk_1")
    assert segmenter.follow(frame(2)) == {}


def test_recorded_masks_are_those_of_the_frame():
    recorded = episode(0)
    segmenter = RecordedSegmenter(recorded, VIEWS, 20.0)
    first = segmenter.frame(0)
    segmenter.seed(TARGETS[0], first, {VIEWS[0]: Box(0, 0, 5, 5)})
    for number in range(1, len(recorded.frames), 5):
        at = segmenter.frame(number)
        assert at.stamp == recorded.frames[number] / 20
        found = segmenter.follow(at)[TARGETS[0]]
        assert list(found) == [VIEWS[0]]
        assert np.array_equal(found[VIEWS[0]].region, recorded.region(number, TARGETS[0])[0])
    with pytest.raises(RainError, match="keeps no frame of"):
        segmenter.follow(Frame(first.images, 99.0))


@pytest.mark.parametrize(
    ("kind", "prompt"),
    [("box", Box(0, 2, 4, 5)), ("point", Points(((1.5, 3.5),)))],
)
def test_the_truth_points(kind, prompt):
    found = TruthGrounder(Moving(), kind).ground("milk_1", "the milk", frame(0))
    assert found == {"a": prompt}


def test_the_truth_gives_its_mask():
    found = TruthGrounder(Moving(), "mask").ground("milk_1", "the milk", frame(0))
    assert isinstance(found["a"], Mask)
    assert found["a"].region.sum() == 12


def test_a_point_lies_on_its_region_even_where_the_centre_does_not():
    ring = np.ones((7, 7), bool)
    ring[1:6, 1:6] = False
    x, y = point_on(ring)
    assert ring[int(y), int(x)]


def test_a_box_is_around_its_mask():
    mask = np.zeros((6, 8), bool)
    mask[1:3, 4:7] = True
    assert Box.around(mask) == Box(4, 1, 7, 3)
    assert Box.around(np.zeros((6, 8), bool)) is None
    assert Box(-3, -3, 4, 4).within(6, 8) == Box(0, 0, 4, 4)


def test_liberos_tasks_are_known_by_their_words():
    pytest.importorskip("libero", reason="the simulator is not installed")
    registry = libero_registry()
    plan = registry.decompose("pick the alphabet soup and place it in the basket.", {})
    assert [str(s) for s in plan.script.subtasks] == [
        "grasp alphabet_soup_1",
        "release basket_1:contain_region",
    ]
    assert plan.phrases[0] == "the alphabet soup"
    assert len(registry.instructions) == 40
