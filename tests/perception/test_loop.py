"""The control loop's contract: grounding once, regions with stamps and an age, reasons to pause."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import numpy as np
import pytest

from rain.perception.loop import LoopOptions, RegionLoop
from rain.perception.prompts import Box, Points, Prompt
from rain.perception.reasoner.protocols import ReasonError
from rain.perception.segmenter import Frame, Tracked, TrackedRegion, checked_prompts

BOX = Box(2, 2, 6, 6)
BOTH = {"top": BOX, "wrist": BOX}


class Marked:
    """A segmenter that gives each view's box back; ``lost``: views in which it sees nothing."""

    def __init__(self) -> None:
        self.seeds: list[tuple[str, float, tuple[str, ...]]] = []
        self.followed: list[float] = []
        self.lost: set[str] = set()
        self.error: Exception | None = None
        self._targets: dict[str, dict[str, Prompt]] = {}

    def seed(self, target: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        prompts = checked_prompts(frame, prompts)
        self.seeds.append((target, frame.stamp, tuple(prompts)))
        self._targets.setdefault(target, {}).update(prompts)
        return {view: self._region(view, frame) for view in prompts}

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        if self.error is not None:
            raise self.error
        self.followed.append(frame.stamp)
        return {
            target: {v: self._region(v, frame) for v in views if v in frame.images}
            for target, views in self._targets.items()
        }

    def forget(self, target: str | None = None) -> None:
        self._targets.clear()

    def _region(self, view: str, frame: Frame) -> TrackedRegion:
        region = np.zeros(frame.images[view].shape[:2], bool)
        region[2:6, 2:6] = view not in self.lost
        return TrackedRegion(region, 0.9 if view not in self.lost else 0.1, frame.stamp)


class Pointing:
    """A grounder that gives what it is told, and counts."""

    def __init__(self, answer: Any = BOTH) -> None:
        self.answer, self.asked = answer, []

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Prompt]:
        self.asked.append((target, phrase, frame.stamp, tuple(frame.images)))
        if isinstance(self.answer, Exception):
            raise self.answer
        return {view: p for view, p in self.answer.items() if view in frame.images}


class Later:
    """Runs nothing before it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future, Callable]] = []

    def __call__(self, call: Callable) -> Future:
        self.waiting.append((Future(), call))
        return self.waiting[-1][0]

    def finish(self) -> None:
        future, call = self.waiting.pop()
        try:
            future.set_result(call())
        except Exception as error:
            future.set_exception(error)


def images(number: int, views: tuple[str, ...] = ("top", "wrist"), size: int = 8) -> dict:
    """Pictures that differ from number to number, with the marked square alike in all views."""
    made = {}
    for view in views:
        made[view] = np.full((size, size, 3), 10 + number % 200, np.uint8)
        made[view][2:6, 2:6] = 200
    return made


def started(
    grounder: Pointing | None = None, **options: Any
) -> tuple[RegionLoop, Marked, Pointing]:
    segmenter, grounder = Marked(), grounder or Pointing()
    loop = RegionLoop(segmenter, grounder, LoopOptions(**options))
    loop.begin("potato_1", "the potato")
    return loop, segmenter, grounder


def test_a_subtask_is_grounded_once_and_followed_in_every_frame():
    loop, segmenter, grounder = started()
    for number in range(5):
        look = loop.look(images(number), number / 10)
        assert look.pause is None
        assert look.notes == ()
        assert set(look.regions) == {"top", "wrist"}
        assert look.stamps == {"top": number / 10, "wrist": number / 10}
        assert look.scores["top"] == 0.9
        assert look.regions["top"].sum() == 16
    assert grounder.asked == [("potato_1", "the potato", 0.0, ("top", "wrist"))]
    assert segmenter.followed == [0.0, 0.1, 0.2, 0.3, 0.4]
    loop.begin("plate_1", "the plate")
    loop.look(images(9), 0.9)
    assert [asked[:3] for asked in grounder.asked[1:]] == [("plate_1", "the plate", 0.9)]


def test_before_a_subtask_the_robot_waits():
    loop = RegionLoop(Marked(), Pointing())
    assert loop.look(images(0), 0.0).pause == "no subtask has begun"


def test_while_grounding_runs_elsewhere_the_robot_pauses_and_the_loop_goes_on():
    segmenter, grounder, later = Marked(), Pointing(), Later()
    loop = RegionLoop(segmenter, grounder, submit=later)
    loop.begin("potato_1", "the potato")
    for number in range(3):
        look = loop.look(images(number), number / 10)
        assert look.pause == "grounding 'the potato'"
        assert not look.regions
    later.finish()
    look = loop.look(images(3), 0.3)
    assert look.pause is None
    # The answer is about the frame that was shown; the region is of the newest.
    assert segmenter.seeds[0][:2] == ("potato_1", 0.0)
    assert look.stamps["top"] == 0.3


def test_an_answer_that_comes_after_the_next_subtask_began_is_ignored():
    segmenter, later = Marked(), Later()
    loop = RegionLoop(segmenter, Pointing(), submit=later)
    loop.begin("potato_1", "the potato")
    loop.look(images(0), 0.0)
    old = later.waiting.pop()
    loop.begin("plate_1", "the plate")
    loop.look(images(1), 0.1)
    old[0].set_result(BOTH)
    assert loop.look(images(2), 0.2).pause == "grounding 'the plate'"
    assert segmenter.seeds == []


def test_grounding_that_takes_too_long_is_a_failure():
    loop = RegionLoop(Marked(), Pointing(), LoopOptions(ground_timeout_s=0.5), submit=Later())
    loop.begin("potato_1", "the potato")
    loop.look(images(0), 0.0)
    look = loop.look(images(1), 0.6)
    assert look.pause == "grounding 'the potato' failed: no answer within 0.5 s"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (ReasonError("VLM endpoint http://x/v1: it cannot be reached"),
         "grounding 'the potato' failed: VLM endpoint http://x/v1: it cannot be reached"),
        (ZeroDivisionError("division by zero"),
         "grounding 'the potato' failed: ZeroDivisionError: division by zero"),
        ({}, "grounding 'the potato' failed: no view shows it"),
        ({"top": Box(50, 50, 60, 60)}, "grounding 'the potato' failed: view top: box .* outside"),
    ],
)  # fmt: skip
def test_grounding_that_fails_pauses_until_it_is_asked_again(answer, reason):
    loop, _, grounder = started(Pointing(answer))
    for number in range(3):
        look = loop.look(images(number), number / 10)
        assert look.pause is not None
        assert re.match(reason, look.pause)
        assert not look.regions
    assert len(grounder.asked) == 1
    grounder.answer = BOTH
    loop.ground_again()
    assert loop.look(images(5), 0.5).pause is None


def test_a_click_takes_the_place_of_grounding():
    loop, segmenter, _ = started(Pointing(ReasonError("no")))
    assert loop.look(images(0), 0.0).pause is not None
    loop.click("top", Points(((3, 3),)))
    look = loop.look(images(1), 0.1)
    assert look.pause is None
    assert set(look.regions) == {"top"}
    assert segmenter.seeds == [("potato_1", 0.1, ("top",))]
    loop.click("wrist", Points(((30, 3),)))
    look = loop.look(images(2), 0.2)
    assert set(look.regions) == {"top"}
    assert any("point (30, 3) lies outside" in note for note in look.notes)


def test_a_box_outside_one_image_costs_only_that_view():
    loop, _, _ = started(Pointing({"top": BOX, "wrist": Box(50, 50, 60, 60)}))
    look = loop.look(images(0), 0.0)
    assert look.pause is None
    assert set(look.regions) == {"top"}
    assert "view wrist: box (50, 50, 60, 60) lies outside" in look.notes[0]


def test_a_target_that_leaves_one_view_is_absent_there_and_comes_back():
    loop, segmenter, _ = started()
    loop.look(images(0), 0.0)
    segmenter.lost = {"wrist"}
    look = loop.look(images(1), 0.1)
    assert set(look.regions) == {"top"}
    assert look.notes == ("wrist: the target is not to be seen (score 0.10)",)
    segmenter.lost = set()
    assert set(loop.look(images(2), 0.2).regions) == {"top", "wrist"}


def test_a_target_lost_in_every_view_pauses_after_a_while_and_goes_on_when_found():
    loop, segmenter, _ = started(lost_after_s=0.25)
    loop.look(images(0), 0.0)
    segmenter.lost = {"top", "wrist"}
    assert loop.look(images(1), 0.1).pause is None
    assert loop.look(images(2), 0.2).pause is None
    assert loop.look(images(3), 0.3).pause == "the target 'the potato' is lost"
    segmenter.lost = {"wrist"}
    assert loop.look(images(4), 0.4).pause is None


def test_a_missing_camera_leaves_a_region_that_ages_out():
    loop, _, _ = started(max_age_s=0.25)
    loop.look(images(0), 0.0)
    look = loop.look(images(1, ("top",)), 0.2)
    assert look.stamps == {"top": 0.2, "wrist": 0.0}
    assert look.notes == ("wrist: the camera gives no image",)
    look = loop.look({"top": images(2)["top"], "wrist": None}, 0.3)
    assert set(look.regions) == {"top"}
    assert "wrist: its region is 0.3 s old" in look.notes
    assert loop.look(images(3), 0.4).stamps == {"top": 0.4, "wrist": 0.4}


def test_no_camera_at_all_pauses():
    loop, _, _ = started(max_age_s=0.1, lost_after_s=0.2)
    assert loop.look({}, 0.0).pause == "no camera gives an image"
    loop.look(images(0), 0.1)
    assert loop.look({}, 0.2).pause is None
    assert "is lost" in str(loop.look({}, 0.4).pause)


def test_a_resized_camera_is_left_out():
    loop, _, _ = started(max_age_s=0.05)
    loop.look(images(0), 0.0)
    resized = {"top": images(1)["top"], "wrist": images(1, size=16)["wrist"]}
    look = loop.look(resized, 0.1)
    assert set(look.regions) == {"top"}
    assert "wrist: its image is now 16 x 16, it was 8 x 8" in look.notes
    # At the next subtask the new size is as good as any.
    loop.begin("plate_1", "the plate")
    resized = {"top": images(2)["top"], "wrist": images(2, size=16)["wrist"]}
    assert set(loop.look(resized, 0.2).regions) == {"top", "wrist"}


def test_a_frozen_camera_is_left_out_and_thaws():
    loop, _, _ = started(frozen_after_s=0.15, max_age_s=0.05)
    still = images(7)["wrist"]
    for number in range(2):
        assert not loop.look({**images(number), "wrist": still}, number / 10).notes
    look = loop.look({**images(2), "wrist": still.copy()}, 0.2)
    assert set(look.regions) == {"top"}
    assert "wrist: the camera has shown the same picture for 0.2 s" in look.notes
    assert set(loop.look(images(3), 0.3).regions) == {"top", "wrist"}


def test_a_buffer_that_is_drawn_into_is_not_taken_for_a_frozen_camera():
    loop, _, _ = started(frozen_after_s=0.15)
    buffer = images(0)
    for number in range(5):
        buffer["top"][0, 0], buffer["wrist"][0, 0] = number, number
        assert not loop.look(buffer, number / 10).notes


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((8, 8), np.uint8), r"expected an image uint8 \(H, W, 3\)"),
        (np.zeros((8, 8, 3)), "got float64"),
        ("jpeg", "expected an image"),
    ],
)
def test_what_is_no_image_is_left_out(image, message):
    loop, _, _ = started()
    look = loop.look({"top": images(0)["top"], "wrist": image}, 0.0)
    assert set(look.regions) == {"top"}
    assert re.search(message, look.notes[0])


def test_a_frame_from_the_past_changes_nothing():
    loop, segmenter, _ = started()
    first = loop.look(images(0), 1.0)
    look = loop.look(images(1), 0.9)
    assert segmenter.followed == [1.0]
    assert look.stamps == first.stamps
    assert "not later than the last" in look.notes[0]


def test_views_that_show_different_things_lose_the_less_sure_one():
    loop, _, _ = started(late_every_s=0.1)
    for number in range(4):
        shown = images(number)
        shown["wrist"][2:6, 2:6] = (0, 0, 255)
        look = loop.look(shown, number / 10)
        assert look.pause is None
        assert set(look.regions) == {"top"}  # not again by a late look either
        if number == 0:
            assert "wrist: it disagrees with top about the target" in look.notes[0]


def test_a_view_may_be_grounded_late():
    loop, _, grounder = started(Pointing({"top": BOX}), late_every_s=0.25)
    loop.look(images(0), 0.0)
    grounder.answer = BOTH
    assert set(loop.look(images(1), 0.1).regions) == {"top"}
    assert set(loop.look(images(2), 0.3).regions) == {"top", "wrist"}
    assert [asked[2:] for asked in grounder.asked] == [(0.0, ("top", "wrist")), (0.3, ("wrist",))]
    # A late look that fails takes nothing from the view that follows already.
    loop, _, grounder = started(Pointing({"top": BOX}), late_every_s=0.25)
    loop.look(images(0), 0.0)
    grounder.answer = ReasonError("down")
    assert loop.look(images(2), 0.3).pause is None


def test_a_segmenter_that_breaks_pauses_and_raises_nothing():
    loop, segmenter, _ = started()
    loop.look(images(0), 0.0)
    segmenter.error = RuntimeError("out of\nmemory")
    look = loop.look(images(1), 0.1)
    assert look.pause == "perception failed: RuntimeError: out of memory"
    segmenter.error = None
    loop.ground_again()
    assert loop.look(images(2), 0.2).pause is None
