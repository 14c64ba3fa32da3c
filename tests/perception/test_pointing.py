"""Click-to-act: what a click means, in the frame that was clicked, and what it leaves untouched."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from rain.perception.classical import ClassicalSegmenter
from rain.perception.loop import LoopOptions, RegionLoop
from rain.perception.pointing import (
    SeenFrame,
    TrackedPointing,
    TruthPointing,
    pointing_in,
)
from rain.perception.prompts import Box, Mask, Points
from rain.perception.truth import TruthSegmenter, point_on
from rain.perception.world import PerceivedWorld
from rain.types import RainError, Subtask

if TYPE_CHECKING:
    from rain.worlds.omy import OmyWorld

GRASP, RELEASE = Subtask("grasp", "potato"), Subtask("release", "red_plate")


@pytest.fixture(scope="module")
def arm() -> Iterator[OmyWorld]:
    if not find_spec("mujoco"):
        pytest.skip("the simulator is not installed")
    from rain.worlds.omy import OmyWorld

    world = OmyWorld("omy", 0, image_size=96)
    yield world
    world.close()


@pytest.fixture
def world(arm) -> OmyWorld:
    arm.reset(seed=7)
    return arm


def seen_in(world: Any, step: int = 0) -> SeenFrame:
    images = {view: world.render(view, 96) for view in world.conventions.views}
    return SeenFrame(images, step, world.poses())


def middle(world: Any, target: str, view: str = "top") -> Points:
    return Points((point_on(world.regions([target], view)[0]),))


def test_the_past_is_shown_and_the_world_stays_as_it_is_to_the_bit(world):
    seen, then = world.poses(), world.render("top", 96)
    for _ in range(15):
        world.step(world.setpoint + 0.05)
    now, state = world.render("top", 96), world.get_state()
    forces = world.data.qfrc_constraint.copy(), world.data.qacc_warmstart.copy()
    with world.seen_at(seen):
        np.testing.assert_array_equal(world.render("top", 96), then)
    assert (now != then).any()
    np.testing.assert_array_equal(world.render("top", 96), now)
    np.testing.assert_array_equal(world.get_state(), state)
    np.testing.assert_array_equal(world.data.qfrc_constraint, forces[0])
    np.testing.assert_array_equal(world.data.qacc_warmstart, forces[1])


def test_the_past_of_libero_is_shown_too(libero_world):
    libero_world.reset(seed=0)
    seen = libero_world.poses()
    image = libero_world.render("wrist", 64).astype(int)
    region = libero_world.regions(["basket_1"], "agentview", 64)
    for _ in range(5):
        libero_world.step([0.5, 0.5, -0.5, 0, 0, 0, -1])
    assert np.abs(libero_world.render("wrist", 64) - image).max() > 20
    with libero_world.seen_at(seen):
        # What was drawn was computed a substep before the poses, as robosuite leaves it.
        assert np.abs(libero_world.render("wrist", 64) - image).max() <= 2
        np.testing.assert_array_equal(libero_world.regions(["basket_1"], "agentview", 64), region)


@pytest.mark.parametrize("target", ["potato", "lemon", "red_tape"])
def test_a_click_means_the_thing_that_it_hits(world, target):
    pointed = TruthPointing(world).point(seen_in(world), {"top": middle(world, target)}, GRASP)
    assert pointed.target == target
    for view in world.conventions.views:
        np.testing.assert_array_equal(pointed.regions[view], world.regions([target], view)[0])


def test_only_what_fits_the_action_type_is_meant(world):
    pointing, seen = TruthPointing(world), seen_in(world)
    plate = {"top": middle(world, "blue_plate")}
    assert pointing.point(seen, plate, RELEASE).target == "blue_plate"
    with pytest.raises(RainError, match="nothing that can be grasped"):
        pointing.point(seen, plate, GRASP)
    with pytest.raises(RainError, match="nothing to act on"):
        pointing.point(seen, {"top": Points(((0.5, 0.5),))}, RELEASE)
    with pytest.raises(RainError, match="outside the image"):
        pointing.point(seen, {"top": Points(((96.0, 3.0),))}, GRASP)


def test_a_click_is_taken_in_the_frame_that_was_seen(world):
    seen, clicked = seen_in(world), {"top": middle(world, "lemon")}
    lemon = world.regions(["lemon"], "top")[0]
    joint = world.data.joint("lemon").qpos
    joint[:2] = [0.25, 0.28] if joint[0] > 0.35 else [0.48, -0.28]
    world.step(world.setpoint)
    assert not (world.regions(["lemon"], "top")[0] & lemon).any()
    pointed = TruthPointing(world).point(seen, clicked, GRASP)
    assert pointed.target == "lemon"
    np.testing.assert_array_equal(pointed.regions["top"], lemon)


def test_a_box_means_what_fills_it(world):
    pointing, seen = TruthPointing(world), seen_in(world)
    around = Box.around(world.regions(["green_plate"], "third")[0])
    assert around is not None
    loose = Box(around.left - 2, around.top - 2, around.right + 2, around.bottom + 2)
    assert pointing.point(seen, {"third": loose}, RELEASE).target == "green_plate"
    with pytest.raises(RainError, match="nothing to act on"):
        pointing.point(seen, {"third": Box(0, 0, 96, 96)}, RELEASE)


def perceived(world: Any, segmenter: Any) -> PerceivedWorld:
    class Truth:
        def ground(self, target: str, phrase: str, frame: Any) -> Any:
            regions = {v: world.regions([target], v)[0] for v in frame.images}
            return {view: Mask(region) for view, region in regions.items() if region.any()}

    return PerceivedWorld(world, RegionLoop(segmenter, Truth(), LoopOptions(frozen_after_s=None)))


def test_how_a_world_is_pointed_in(world):
    assert isinstance(pointing_in(world), TruthPointing)
    assert isinstance(pointing_in(perceived(world, TruthSegmenter(world))), TruthPointing)
    assert isinstance(pointing_in(perceived(world, ClassicalSegmenter())), TrackedPointing)


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    return float((one & other).sum() / (one | other).sum())


def test_a_tracker_follows_a_click_from_the_frame_that_was_clicked(world):
    scene = perceived(world, ClassicalSegmenter())
    before = scene.observe(GRASP).regions["top"].copy()
    seen = SeenFrame(dict(scene.images), 0)
    for _ in range(3):
        scene.step(world.setpoint)
        scene.follow()
    pointing = pointing_in(scene)
    pointed = pointing.point(seen, {"top": middle(world, "red_tape")}, GRASP)
    assert set(pointed.regions) == {"top"}
    assert overlap(pointed.regions["top"], world.regions(["red_tape"], "top")[0]) > 0.5
    # Shown only: what the policy gets is the potato still.
    assert overlap(scene.observe(GRASP).regions["top"], before) > 0.8
    subtask = Subtask("grasp", pointed.target)
    pointing.accept(pointed, subtask)
    told = scene.observe(subtask)
    assert set(told.regions) == {"top"}
    assert overlap(told.regions["top"], world.regions(["red_tape"], "top")[0]) > 0.5
    scene.step(world.setpoint)
    scene.follow()
    assert scene.pause is None
    # The script's own target is grounded again when it is asked for.
    assert overlap(scene.observe(GRASP).regions["top"], before) > 0.8


def test_what_was_not_meant_is_forgotten(world):
    segmenter = ClassicalSegmenter()
    scene = perceived(world, segmenter)
    scene.observe(GRASP)
    pointing, seen = pointing_in(scene), SeenFrame(dict(scene.images), 0)
    pointed = pointing.point(seen, {"top": middle(world, "lemon")}, GRASP)
    pointing.withdraw(pointed)
    scene.step(world.setpoint)
    scene.follow()
    assert set(segmenter._targets) == {"potato"}
    assert scene.observe(GRASP).regions
