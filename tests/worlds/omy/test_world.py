from __future__ import annotations

import numpy as np
import pytest

from rain.types import ConventionError, RainError, Subtask, World
from rain.worlds.labels import Labeller
from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import forward, inverse
from rain.worlds.omy.things import THINGS


def test_it_is_a_world_with_meanings_of_its_own(omy):
    from rain.worlds.libero.world import libero_conventions

    world = omy(0)
    assert isinstance(world, World)
    assert world.conventions.rate_hz == 30
    assert world.conventions.views == ("third", "top", "wrist")
    with pytest.raises(ConventionError, match="omy_joint_absolute"):
        world.conventions.check(libero_conventions(96), "the arm", "LIBERO")


def test_the_hand_is_where_the_model_has_it(omy):
    world = omy(0)
    world.reset(seed=1)
    site = world.data.site("hand")
    position, rotation = world.ee_pose()
    np.testing.assert_allclose(position, site.xpos, atol=1e-9)
    np.testing.assert_allclose(rotation, site.xmat.reshape(3, 3), atol=1e-9)


def test_joints_follow_absolute_targets(omy):
    world = omy(0)
    world.reset(seed=2)
    target = np.append(world.state()[:6] + [0.1, -0.05, 0.05, 0.05, -0.1, 0.2], 0.4)
    for _ in range(20):
        world.step(target)
    np.testing.assert_allclose(world.state(), target, atol=0.01)


def test_a_target_is_followed_within_about_a_control_period(omy):
    world = omy(0)
    world.reset(seed=3)
    (start, rotation), joints = world.ee_pose(), world.setpoint[:6]
    late = []
    for i in range(40):
        goal = start + [0, 0.1 * np.sin(i / 6), 0]
        joints = inverse(goal, rotation, joints)
        world.step([*joints, 0.0])
        late.append(abs(goal[1] - world.ee_pose()[0][1]))
    fastest = 0.1 / 6  # m a step
    assert 0 < max(late[10:]) < 1.5 * fastest


def test_no_joint_is_asked_to_be_faster_than_it_may_or_beyond_its_limits(omy):
    world = omy(0)
    world.reset(seed=2)
    before = world.setpoint
    world.step(np.full(7, 50.0))
    farthest = np.array([4.8] * 6 + [6.5]) / 30
    np.testing.assert_allclose(world.setpoint - before, farthest)
    for _ in range(10):
        world.step(np.append(before[:6], 50.0))
    assert world.setpoint[6] == pytest.approx(arm.GRIPPER_LIMITS[1])


@pytest.mark.parametrize("action", [np.full(7, np.nan), np.zeros(6)])
def test_an_action_that_is_none_moves_nothing(omy, action):
    world = omy(0)
    before = world.get_state()
    with pytest.raises(RainError, match="7 finite numbers"):
        world.step(action)
    np.testing.assert_array_equal(world.get_state(), before)


def test_the_same_seed_gives_the_same_and_layouts_do_not_touch(omy):
    world = omy(0)
    states = []
    for seed in (5, 6, 5):
        world.reset(seed=seed)
        states.append(world.get_state())
        for name in world.objects():
            for other in world.objects():
                apart = world.object_pose(name)[0][:2] - world.object_pose(other)[0][:2]
                room = THINGS[name].radius + THINGS[other].radius
                assert name == other or np.linalg.norm(apart) > room
    np.testing.assert_array_equal(states[0], states[2])
    assert not np.array_equal(states[0], states[1])


def test_evaluation_starts_are_no_seed_of_ours(omy):
    world = omy(0)
    world.reset(init_state=3)
    start = world.get_state()
    world.reset(seed=3)
    assert not np.array_equal(start, world.get_state())
    for wrong in ({"init_state": 50}, {}, {"init_state": 0, "seed": 0}):
        with pytest.raises(RainError):
            world.reset(**wrong)


def test_a_state_comes_back_and_goes_on_alike(omy):
    world = omy(0)
    world.reset(seed=4)
    state = world.get_state()
    world.step(np.append(world.setpoint[:6] + 0.05, 0.3))
    after = world.get_state()
    world.set_state(state)
    np.testing.assert_array_equal(world.get_state(), state)
    world.step(np.append(world.setpoint[:6] + 0.05, 0.3))
    np.testing.assert_allclose(world.get_state(), after, atol=1e-6)
    with pytest.raises(RainError, match="another scene"):
        world.set_state(state[:-1])


def test_observing_gives_three_views_and_the_region_of_the_target(omy):
    world = omy(0)
    world.reset(seed=1)
    seen = world.observe(Subtask("grasp", "potato"))
    assert set(seen.images) == {"third", "top", "wrist"}
    assert seen.images["top"].shape == (96, 96, 3)
    np.testing.assert_array_equal(seen.state, world.state())
    # The region is where the potato's middle is projected to.
    u, v = np.round(world.project([world.object_pose("potato")[0]], "third")[0]).astype(int)
    assert seen.regions["third"][v, u]
    assert 0.002 < seen.regions["third"].mean() < 0.05
    assert not world.observe(Subtask("grasp", "potato"), regions=False).regions
    with pytest.raises(RainError, match="not in this scene"):
        world.observe(Subtask("grasp", "clay"))


def test_label_maps_hold_every_region(omy):
    world = omy(0)
    world.reset(seed=1)
    labeller = Labeller(world.targets())
    for view in world.conventions.views:
        labels = world.label_map(view, labeller)
        for target in world.targets():
            np.testing.assert_array_equal(
                labeller.table.lookup(target)[labels], world.regions([target], view)[0]
            )


def test_a_thing_lies_on_a_place_when_it_was_let_go_of_there(omy):
    world = omy(0)
    world.reset(seed=1)
    assert not world.success()
    at, _ = world.object_pose("red_plate")
    pose = world.data.joint("potato").qpos
    pose[:3] = at + [0.01, 0, 0.04]
    for _ in range(20):
        world.step(world.setpoint)
    assert world.success()
    assert not world.script_success(world.script_for("lemon"))
    pose[0] += 0.12
    for _ in range(20):
        world.step(world.setpoint)
    assert not world.success()


def test_other_things_can_be_asked_for(omy):
    script = omy(0).script_for("lemon")
    assert [str(s) for s in script.subtasks] == ["grasp lemon", "release red_plate"]
    assert script.instruction == "put the lemon on the red plate"
    with pytest.raises(RainError, match="cannot be grasped"):
        omy(0).script_for("red_plate")
    with pytest.raises(RainError, match="where things are put"):
        omy(6).script_for("clay")


def test_home_points_down_above_the_table():
    position, rotation = forward(arm.HOME)
    np.testing.assert_allclose(rotation[:, 2], [0, 0, -1], atol=0.01)
    assert 0.2 < position[2] < 0.3


def test_every_thing_can_be_pointed_at(omy):
    world = omy(0)
    world.reset(seed=1)
    for target in world.pointed_at():
        script = world.script_to(target, turn=1)
        assert target in [subtask.target for subtask in script.subtasks]
        assert not world.script_success(script)
    assert {*world.graspable(), *world.places()} == set(world.pointed_at())


def test_the_margin_is_of_the_joint_nearest_to_its_limit(omy):
    world = omy(0)
    world.reset(seed=1)
    angles = world.state()[:6]
    assert world.joint_margin() == pytest.approx(2 * np.pi - np.abs(angles).max(), abs=1e-5)
