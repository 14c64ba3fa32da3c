from __future__ import annotations

import numpy as np
import pytest

from rain.types import RainError
from rain.worlds.demonstration import Demonstration, Failure
from rain.worlds.libero.experts.demonstrate import ExpertConfig
from rain.worlds.omy import arm
from rain.worlds.omy.demonstrate import attempt, demonstrate
from rain.worlds.omy.tasks import put_on


@pytest.mark.parametrize(("task", "seed"), [(0, 11), (8, 12)])
def test_the_expert_does_the_task_by_joint_targets(omy, task, seed):
    world = omy(task)
    made = demonstrate(world, "protocol", seed, ExpertConfig(pushed=1.0))
    assert isinstance(made, Demonstration)
    assert made.script == world.script
    assert world.success()
    assert made.disturbed.any()
    assert set(made.subtask) == {0, 1}
    # Within the limits, and never faster than the joints turn.
    low, high = arm.PLANNED.T
    joints = made.actions[:, :6]
    assert ((joints >= low) & (joints <= high)).all()
    assert np.abs(np.diff(joints, axis=0)).max() <= arm.SPEED / 30
    # Played again from the first state it comes to the same end.
    world.set_state(made.states[0])
    for action in made.actions:
        world.step(action)
    assert world.success()


def test_the_same_seed_makes_the_same_demonstration(omy):
    one, two = (demonstrate(omy(0), "open", 5, ExpertConfig()) for _ in range(2))
    assert isinstance(one, Demonstration)
    assert isinstance(two, Demonstration)
    np.testing.assert_array_equal(one.actions, two.actions)
    assert one.script == two.script


def test_the_open_track_varies_thing_and_place(omy):
    scripts = set()
    for seed in range(6):
        made = demonstrate(omy(0), "open", seed, ExpertConfig(horizon=3))
        assert isinstance(made, Failure)  # within three steps nothing is done
        assert made.reason == "not done within the horizon"
        assert made.demonstration is not None
        scripts.add(made.demonstration.script)
    assert len(scripts) >= 4


def test_what_the_arm_cannot_do_is_said(omy):
    world = omy(0)
    world.reset(seed=1)
    rng, config = np.random.default_rng(0), ExpertConfig(pushed=0)
    with pytest.raises(RainError, match="does not fit between the fingers"):
        attempt(world, put_on("red_plate", "blue_plate"), rng, config)
    with pytest.raises(RainError, match="unknown"):
        demonstrate(world, "closed", 0, config)
