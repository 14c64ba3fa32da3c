"""The bench runs the simulated arm: worlds, expert, holding still, pictures."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rain.bench.drivers import hold, resting
from rain.bench.episode import RolloutConfig
from rain.bench.experts import ExpertTrials, play_omy
from rain.bench.omy import (
    HORIZON,
    OmyWorlds,
    draw_scene,
    measure_speed,
    worlds_of,
)
from rain.bench.policies import policy_source
from rain.bench.policies.expert import OmyExpert
from rain.bench.protocols import WorldPolicy
from rain.bench.rollouts import rollout
from rain.bench.sources import LiberoWorlds
from rain.types import RainError

# Not importorskip: the world chooses a GL back end before mujoco is imported for the first time.
pytestmark = pytest.mark.skipif(not find_spec("mujoco"), reason="the simulator is not installed")


@pytest.fixture(scope="module")
def world():
    made = OmyWorlds()("omy", 0, 128, ("third", "top", "wrist"))
    yield made
    made.close()


def test_a_rollout_of_the_expert_is_judged_by_the_world(world):
    policy = policy_source("omy-expert")(seed=1)
    assert isinstance(policy, WorldPolicy)
    world.reset(init_state=0)
    result = rollout(world, policy, world.script, RolloutConfig(horizon=HORIZON))
    assert result.success
    assert [grasp.object for grasp in result.grasps] == ["potato"]
    assert result.done[0] is not None
    assert result.done[0] < result.success_step


def test_another_object_is_put_where_the_task_says(world):
    world.reset(init_state=1)
    script = world.script_for("lemon")
    goal = lambda: world.script_success(script)  # noqa: E731
    config = RolloutConfig(horizon=HORIZON)
    result = rollout(world, OmyExpert(2), script, config, goal=goal)
    assert result.success
    assert not world.success()


def test_an_arm_of_joint_targets_is_held_where_it_was_sent_or_is(world):
    world.reset(init_state=2)
    last = np.arange(7.0)
    np.testing.assert_array_equal(hold(last, None, "omy_joint_absolute"), last)
    # Zeros, which hold a delta arm still, would send this one to its zero pose.
    np.testing.assert_array_equal(hold(None, resting(world), "omy_joint_absolute"), world.state())


def test_the_experts_trials_are_of_the_evaluation_starts(world):
    played = play_omy(world, 3, ExpertTrials().seed)
    assert not played.failure
    assert 100 < played.steps < HORIZON


def test_which_worlds_a_suite_has():
    assert isinstance(worlds_of("omy", "fast", 1), OmyWorlds)
    assert isinstance(worlds_of("libero_goal", "fast", 1), LiberoWorlds)
    worlds = OmyWorlds()
    assert worlds.tasks("omy")[0] == "potato_on_red_plate"
    facts = worlds.facts("omy", 8)
    assert (facts.category, facts.horizon) == ("omy", HORIZON)
    assert facts.instruction == "put the yellow tape on the clay"
    for wrong in (lambda: worlds.suites("omy,libero_goal"), lambda: worlds.facts("omy", 9)):
        with pytest.raises(RainError):
            wrong()
    with pytest.raises(RainError, match="takes nothing after it"):
        policy_source("omy-expert:fast")


def test_a_picture_shows_every_view_and_every_region(world, tmp_path: Path):
    draw_scene(world, 0, 64, tmp_path / "scene.png")
    picture = np.asarray(Image.open(tmp_path / "scene.png"))
    views, rows = 3, 1 + len(world.script.subtasks)
    assert picture.shape[1] == 64 * views
    plain, grasp = picture[-64 * rows :][:64], picture[-64 * (rows - 1) :][:64]
    assert (plain[:40] != grasp[:40]).any()  # the region is tinted
    with pytest.raises(RainError, match=r"\.png"):
        draw_scene(world, 0, 64, tmp_path / "scene.jpg")


def test_speed_is_measured_without_and_with_views(world):
    nothing, small = measure_speed(world, (32,), seconds=0.05)
    assert (nothing.size, nothing.views, small.size, small.views) == (0, 0, 32, 3)
    assert nothing.steps > 1
    assert small.steps >= 1
