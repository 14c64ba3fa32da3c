"""The policy by rule acts on what the region marks, and on nothing else."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import numpy as np
import pytest

from rain.bench.episode import RolloutConfig
from rain.bench.policies import policy_source
from rain.bench.rollouts import rollout
from rain.types import Observation, RainError
from rain.worlds.omy import OmyWorld

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def world() -> Iterator[OmyWorld]:
    if not find_spec("mujoco"):
        pytest.skip("the simulator is not installed")
    world = OmyWorld("omy", 0, image_size=128)
    yield world
    world.close()


@pytest.mark.parametrize("target", ["potato", "lemon"])
def test_it_does_the_task_of_whatever_is_marked(world, target):
    world.reset(seed=7)
    script = world.script_for(target)
    result = rollout(
        world, policy_source("omy-regions")(0), script, RolloutConfig(horizon=300),
        goal=lambda: world.script_success(script),
    )  # fmt: skip
    assert result.success
    assert [grasp.object for grasp in result.grasps] == [target]
    assert [t.held for t in result.transitions][:1] == [target]


def test_without_a_region_the_arm_stays(world):
    world.reset(seed=7)
    images = {view: world.render(view, 128) for view in world.conventions.views}
    prediction = policy_source("omy-regions")(0).predict(
        Observation(images, {}, world.state(), "grasp")
    )
    np.testing.assert_allclose(
        prediction.action_chunk.actions, np.tile(world.state(), (16, 1)), atol=1e-6
    )
    assert prediction.progress.completion == 0


def test_it_takes_nothing_after_its_name():
    with pytest.raises(RainError, match="nothing after it"):
        policy_source("omy-regions:fast")
