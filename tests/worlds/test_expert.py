from __future__ import annotations

import numpy as np
import pytest

from rain.types import ActionChunk, Observation, Plan, Prediction, Progress, RainError
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.demonstrate import ExpertConfig, attempt, demonstrate
from rain.worlds.libero.experts.grasps import choose_grasp
from rain.worlds.libero.experts.motion import Style, down_at, rotation_vector, yaw_of
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.experts.shapes import object_box
from rain.worlds.libero.experts.skills import Skills
from rain.worlds.libero.loading import quaternion_product
from rain.worlds.libero.world import libero_conventions


def test_expert_solves_its_task_and_the_same_seed_gives_the_same_demonstration(
    libero_world: LiberoWorld,
) -> None:
    first = demonstrate(libero_world, "protocol", 1, ExpertConfig())
    assert isinstance(first, Demonstration), first
    assert libero_world.success()
    again = demonstrate(libero_world, "protocol", 1, ExpertConfig())
    assert isinstance(again, Demonstration)
    np.testing.assert_array_equal(first.actions, again.actions)
    np.testing.assert_array_equal(first.states, again.states)
    # Each step is logged with its subtask, in the script's order.
    assert first.subtask is not None
    assert len(first.subtask) == len(first.actions)
    np.testing.assert_array_equal(np.unique(first.subtask), range(len(first.script.subtasks)))
    assert (np.diff(first.subtask) >= 0).all()


def test_open_track_varies_target_place_and_path(libero_world: LiberoWorld) -> None:
    made = [demonstrate(libero_world, "open", seed, ExpertConfig()) for seed in range(5)]
    kept = [d for d in made if isinstance(d, Demonstration)]
    assert len(kept) >= 3, made
    assert len({d.script.subtasks[0].target for d in kept}) > 1
    assert len({len(d.actions) for d in kept}) > 1
    assert all(np.abs(d.actions).max() <= 1 for d in kept)


def test_disturbances_are_recorded_as_such_and_recovered_from(libero_world: LiberoWorld) -> None:
    always = ExpertConfig(pushed=1.0, missed=1.0)
    made = [demonstrate(libero_world, "protocol", seed, always) for seed in range(4)]
    kept = [d for d in made if isinstance(d, Demonstration)]
    assert kept, made
    for demonstration in kept:
        assert demonstration.disturbed.any()
        assert not demonstration.disturbed[-1]
    calm = demonstrate(libero_world, "protocol", 1, ExpertConfig(pushed=0.0, missed=0.0))
    assert isinstance(calm, Demonstration)
    assert not calm.disturbed.any()


def test_what_falls_from_the_hand_is_taken_up_again(
    libero_world: LiberoWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    libero_world.reset(seed=1)
    script = libero_world.script
    name = script.subtasks[0].target
    start = libero_world.object_pose(name)[0]
    carried, step = [], libero_world.step

    def slippery(action: np.ndarray) -> None:
        step(action)
        carried.append(libero_world.held_object() == name)
        if carried[-1] and sum(carried) == 25:  # once, on its way
            libero_world.place_object(name, start[:2], z=start[2] + 0.01)

    monkeypatch.setattr(libero_world, "step", slippery)
    skills = Skills(libero_world, Style.sample(rng), script)
    steps = attempt(skills, script, rng, ExpertConfig(pushed=0, missed=0))
    assert libero_world.success()
    assert skills.hand.stalls == 1
    disturbed = np.array([d for _, _, d, _ in steps])
    lost = carried.index(True) + 25
    assert not disturbed[: carried.index(True) - 5].any()
    assert disturbed[lost + 20 : lost + 40].all()  # grasping again is nothing a release does
    assert not disturbed[-20:].any()


def test_a_grasp_that_failed_is_not_chosen_again(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=0)
    reach, tried = Reach(libero_world), []
    for _ in range(3):
        grasp = choose_grasp(libero_world, reach, "milk_1", tried=tried)
        assert not any(grasp.like(other) for other in tried)
        tried.append(grasp)


class _Wanders:
    """A policy that drives the hand sideways and holds what it holds."""

    def __init__(self, seed: int) -> None:
        self.conventions = libero_conventions(128)
        self.looks = 0

    def predict(self, observation: Observation) -> Prediction:
        self.looks += 1
        gripper = -1 if observation.action_type == "grasp" else 1
        actions = np.tile(np.float32([0, 0.4, 0, 0, 0, 0, gripper]), (16, 1))
        plan = np.tile(observation.state[:3], (8, 1))
        return Prediction(ActionChunk(actions), Plan(plan), Progress(0.0, 0.0, 0.0))


def test_the_expert_goes_on_from_where_a_policy_came_to(libero_world: LiberoWorld) -> None:
    policies: list[_Wanders] = []

    def make_policy(seed: int) -> _Wanders:
        policies.append(_Wanders(seed))
        return policies[-1]

    config = ExpertConfig(pushed=0, missed=0, led=1.0, led_steps=(24, 25))
    made = demonstrate(libero_world, "protocol", 1, config, make_policy)
    assert isinstance(made, Demonstration), made
    assert libero_world.success()
    assert policies[0].looks == 6
    # 24 steps of each subtask are the policy's, and only those count as disturbed.
    assert made.disturbed[:24].all()
    assert made.disturbed.sum() == 48
    np.testing.assert_allclose(made.actions[made.disturbed][:, 1], 0.4, rtol=1e-6)


def test_hand_pinches_the_thin_side(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=0)
    position, _ = libero_world.object_pose("butter_1")
    for turned in (0.0, 0.5, 0.5):  # each turns it further
        libero_world.place_object("butter_1", position[:2], turned)
        box = object_box(libero_world, "butter_1")
        fingers = choose_grasp(libero_world, Reach(libero_world), "butter_1").pose[:2, 1]
        # The hand may lean a little to turn less, never so far as to span the long side.
        assert abs(fingers @ box.axes[int(np.argmin(box.half))]) > np.cos(0.25)


def test_a_fallen_carton_can_still_be_pinched(libero_world: LiberoWorld) -> None:
    libero_world.reset(init_state=0)
    joint = libero_world.env.objects_dict["milk_1"].joints[-1]
    for axis in range(2):
        pose = np.array(libero_world.env.sim.data.get_joint_qpos(joint))
        half_turn = np.zeros(4)
        half_turn[[0, 1 + axis]] = np.sqrt(0.5)
        pose[3:] = quaternion_product(half_turn, pose[3:])
        libero_world.env.sim.data.set_joint_qpos(joint, pose)
        libero_world.env.sim.forward()
        box = object_box(libero_world, "milk_1")
        fingers = choose_grasp(libero_world, Reach(libero_world), "milk_1").pose[:2, 1]
        assert abs(fingers @ box.axes[int(np.argmin(box.half))]) > np.cos(0.25)


@pytest.mark.parametrize("yaw", [-1.2, -0.3, 0.0, 0.7, 1.5])
def test_yaw_and_rotation_vector_invert_down_at(yaw: float) -> None:
    assert yaw_of(down_at(yaw)) == pytest.approx(yaw)
    turn = rotation_vector(down_at(yaw) @ down_at(0).T)
    np.testing.assert_allclose(turn, [0, 0, yaw], atol=1e-9)


def test_unknown_object_is_an_error(libero_world: LiberoWorld) -> None:
    with pytest.raises(RainError, match="is not an object here"):
        libero_world.script_for("plate_1")
