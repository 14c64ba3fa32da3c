"""LIBERO-EX's scenes as worlds: restored to the bit, judged by their own goals."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from rain.types import RainError
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.ex.states import STATES, read_states, states_file
from rain.worlds.libero.files import init_states_path
from rain.worlds.libero.init_states import read_official
from rain.worlds.libero.world import IDLE

Scene = Callable[[str, int], LiberoWorld]


@pytest.fixture
def closing(scene: Scene) -> LiberoWorld:
    """Task 040: the mug is in the open microwave, which is to be closed."""
    return scene("libero_ex", 40)


def test_a_frozen_state_is_restored_to_the_bit_and_stays(closing: LiberoWorld) -> None:
    stored = read_states(states_file(STATES, "040")).starts
    assert stored.fixture_poses is not None
    for number in (3, 25, 3):
        closing.reset(init_state=number)
        np.testing.assert_array_equal(closing.get_state(), stored.states[number])
        np.testing.assert_array_equal(closing.fixture_poses(), stored.fixture_poses[number])
    before = {name: closing.object_pose(name)[0] for name in closing.objects()}
    opening = closing.gripper_opening()
    for _ in range(10):
        closing.step(IDLE)
    for name, origin in before.items():
        assert np.abs(closing.object_pose(name)[0] - origin).max() < 0.002, name
    assert closing.gripper_opening() == pytest.approx(opening, abs=0.001), "it stays open"


def test_development_states_come_after_those_for_evaluation(closing: LiberoWorld) -> None:
    assert (closing.init_state_count, closing.development_state_count) == (10, 20)
    with pytest.raises(RainError, match="0 to 29, not 30"):
        closing.reset(init_state=30)


def test_the_mug_starts_inside_the_microwave(closing: LiberoWorld) -> None:
    """Where LIBERO's own sampler leaves it on the roof."""
    inside = ("in", "white_yellow_mug_1", "microwave_1_heating_region")
    for reset in ({"init_state": 0}, {"seed": 11}):
        closing.reset(**reset)  # type: ignore[arg-type]
        assert closing.holds(inside)
        assert closing.holds(("open", "microwave_1"))
        assert not closing.success()


def test_success_is_the_tasks_own_goal(closing: LiberoWorld) -> None:
    closing.reset(init_state=0)
    assert not closing.success()
    closing.set_joint("microwave_1_microjoint", 0.0)
    assert closing.success()
    assert not closing.full_success(), "only a decomposed task has a whole"


def test_the_whole_task_is_judged_beside_the_part(scene: Scene) -> None:
    """066: close the microwave; the whole task also puts the mug into it."""
    world = scene("libero_ex", 66)
    world.reset(init_state=0)
    world.set_joint("microwave_1_microjoint", 0.0)
    assert world.success()
    assert not world.full_success()
    middle, _, _ = world.site_pose("microwave_1_heating_region")
    world.place_object("white_yellow_mug_1", middle[:2], z=float(middle[2]) - 0.05)
    assert world.success()
    assert world.full_success()
    world.set_joint("microwave_1_microjoint", -1.5)
    assert not world.full_success()


def test_a_scene_taken_over_starts_from_the_official_objects(scene: Scene) -> None:
    """066 has the objects of LIBERO's own init states, come to rest."""
    world = scene("libero_ex", 66)
    frozen = read_states(states_file(STATES, "066"))
    assert frozen.official
    declared = world.task.declared  # type: ignore[attr-defined]
    official = read_official(init_states_path(declared.suite, declared.source))
    for number in (0, 9, 29):
        world.reset(init_state=number)
        settled = {name: world.object_pose(name)[0] for name in world.objects()}
        world.set_state(official.states[int(frozen.origins[number])])
        for name, origin in settled.items():
            put = world.object_pose(name)[0]
            assert np.abs(put - origin)[:2].max() < 0.03, name
            assert 0.0 < put[2] - origin[2] < 0.12, "it only came down"


def test_nothing_that_cannot_be_placed_opens_a_debugger(
    closing: LiberoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LIBERO calls pdb.set_trace there and then raises; ours goes on to another sample."""
    import pdb

    from robosuite.utils.errors import RandomizationError

    calls = []
    reset = closing.env.reset

    def failing() -> None:
        calls.append(1)
        if len(calls) < 3:
            pdb.set_trace()
            raise RandomizationError("Cannot place all objects ):")
        reset()

    def refuse(*_: object) -> None:
        raise AssertionError("a debugger was opened")

    monkeypatch.setattr(pdb, "set_trace", refuse)
    monkeypatch.setattr(closing.env, "reset", failing)
    closing.reset(seed=1)
    assert len(calls) == 3
    with pytest.raises(AssertionError, match="debugger"):
        pdb.set_trace()
