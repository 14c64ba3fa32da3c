"""Whole trajectories: their parts, their actions and their targets."""

from __future__ import annotations

import numpy as np
import pytest

from rain.retarget import (
    REJOINED,
    DeltaController,
    JointController,
    Reference,
    References,
    RetargetOptions,
    Trajectories,
    joint_jumps,
    synthesise,
)
from rain.retarget.rotations import between, turn
from rain.types import RainError

DOWN = np.diag([1.0, -1.0, -1.0])


def yaw(angle: float) -> np.ndarray:
    return turn(DOWN[None], np.array([[0.0, 0.0, 1.0]]), np.array([[angle]]))[0, 0]


def grasp(seed: int = 0, reach: int = 24, wait: int = 5, lift: int = 8) -> Reference:
    """A curved descent with a turn, a wait in which the hand closes, and a lift."""
    rng = np.random.default_rng(seed)
    count = reach + wait + lift
    away = np.linspace(1, 0, reach + 1)[:-1] ** 1.3
    path = np.zeros((count, 3))
    path[:reach] = away[:, None] * [*rng.uniform(-0.1, 0.1, 2), 0.2]
    path[reach + wait :, 2] = 0.01 * np.arange(1, lift + 1)
    path += [0.5, 0.1, 0.05]
    angles = np.zeros(count)
    angles[:reach] = 0.5 * away
    actions = rng.uniform(-1, 1, (count, 7))
    actions[:, 6] = np.where(np.arange(count) < reach, -1, 1)
    return Reference(
        path, np.stack([yaw(a) for a in angles]), actions, reach, path[reach], yaw(0.0)
    )


def starts(references: References, count: int, seed: int = 0, spread: float = 0.12):
    rng = np.random.default_rng(seed)
    which = rng.integers(0, len(references), count)
    positions = references.positions[which, 0] + rng.normal(0, spread, (count, 3))
    rotations = np.stack([yaw(a) for a in rng.uniform(-2, 2, count)])
    return positions, rotations, which


@pytest.fixture(scope="module")
def references() -> References:
    return References.pack([grasp(0), grasp(1, reach=30), grasp(2, reach=12, lift=0)])


@pytest.mark.parametrize("mode", ["rrs", "linear", "mimicgen"])
@pytest.mark.parametrize("spacing", ["parameter", "arc"])
def test_the_parts_of_a_trajectory(references, mode, spacing):
    positions, rotations, which = starts(references, 40)
    options = RetargetOptions(mode=mode, spacing=spacing)
    made = synthesise(positions, rotations, references, which, options)
    assert made.approach.min() > 0
    for b in range(40):
        n, k, end = made.approach[b], made.junction[b], made.length[b]
        source = which[b]
        rest = slice(k, references.length[source])
        assert end == n + references.length[source] - k
        # The recorded poses and actions from the junction on, bit for bit.
        np.testing.assert_array_equal(
            made.positions[b, n:end], references.positions[source, rest].astype(np.float32)
        )
        np.testing.assert_array_equal(made.rotations[b, n:end], references.rotations[source, rest])
        np.testing.assert_array_equal(made.actions[b, n:end], references.actions[source, rest])
        np.testing.assert_allclose(made.positions[b, 0], positions[b], atol=1e-6)
        np.testing.assert_allclose(made.rotations[b, 0], rotations[b], atol=1e-6)
        step = np.linalg.norm(np.diff(made.positions[b, : n + 1], axis=0), axis=1)
        assert step.max() <= options.max_step + 1e-6
        if spacing == "arc":
            assert step.std() < 0.03 * step.mean()
        _, turned = between(made.rotations[b, :n], made.rotations[b, 1 : n + 1])
        assert turned.max() <= options.max_turn + 1e-3
        assert turned.std() < 1e-3  # slerp: at one rate
        # The hand does not act on its way, even where it goes right to the interaction.
        before = max(min(k, references.interaction[source] - 1), 0)
        assert (made.actions[b, :n, 6] == references.actions[source, before, 6]).all()
        if mode != "rrs":
            straight = made.positions[b, : n + 1] - positions[b]
            assert np.linalg.matrix_rank(straight, tol=1e-5) == 1
    assert made.valid.all()


def test_modes_choose_their_junction(references):
    positions, rotations, which = starts(references, 20)

    def of(mode: str) -> Trajectories:
        options = RetargetOptions(mode=mode)  # type: ignore[arg-type]
        return synthesise(positions, rotations, references, which, options)

    assert (of("linear").junction == references.interaction[which]).all()
    assert (of("mimicgen").junction == 0).all()
    none = of("none")
    assert (none.approach == 0).all()
    assert (none.length == references.length[which]).all()


def test_the_approach_runs_at_the_references_own_speed(references):
    positions, rotations, which = starts(references, 40)
    options = RetargetOptions(spacing="arc", max_turn=0.0, max_step=0.05)
    made = synthesise(positions, np.tile(yaw(0.4), (40, 1, 1)), references, which, options)
    for b in np.flatnonzero(made.approach > 5):
        path = made.positions[b, : made.approach[b] + 1]
        step = np.linalg.norm(np.diff(path, axis=0), axis=1).mean()
        assert step == pytest.approx(references.speed[which[b]], rel=0.25)
    slow = RetargetOptions(speed=0.004, max_turn=0.0)
    slower = synthesise(positions, rotations, references, which, slow)
    assert slower.approach.sum() > 1.5 * made.approach.sum()


def test_an_episode_retargeted_to_its_own_state_is_the_demonstration(references):
    for source in range(len(references)):
        for k in range(references.interaction[source] + 1):
            made = synthesise(
                references.positions[source, [k]], references.rotations[source, [k]],
                references, [source],
            )  # fmt: skip
            rest = slice(k, references.length[source])
            assert (made.rule[0], made.junction[0], made.approach[0]) == (REJOINED, k, 0)
            recorded = references.positions[source, rest].astype(np.float32)
            np.testing.assert_array_equal(made.positions[0], recorded)
            np.testing.assert_array_equal(made.actions[0], references.actions[source, rest])
            assert made.interaction[0] == references.interaction[source] - k


def test_a_start_on_the_lift_does_not_skip_the_grasp():
    one = grasp(0)
    made = synthesise(one.positions[-1:], one.rotations[-1:], References.pack([one]))
    assert made.rule[0] != REJOINED
    assert made.junction[0] < one.interaction


def test_the_demonstrations_own_plan_chunk_and_progress():
    """From its own state the answers are those that samples of the recording get."""
    one, alpha = grasp(0), 4.0
    made = synthesise(one.positions[3:4], one.rotations[3:4], References.pack([one]))
    path = np.concatenate([one.positions[3 : one.interaction], one.point[None]]).astype(float)
    length = np.r_[0, np.linalg.norm(np.diff(path, axis=0), axis=1).cumsum()]
    wanted = length[-1] * np.arange(1, 9) / 8
    plan = np.stack([np.interp(wanted, length, path[:, i]) for i in range(3)], axis=1)
    np.testing.assert_allclose(made.plans()[0], plan, atol=1e-6)
    np.testing.assert_array_equal(made.plans()[0, -1], one.point)
    np.testing.assert_array_equal(made.chunks()[0], one.actions[3:19])
    distance = np.linalg.norm(one.positions[3] - one.point)
    _, angle = between(one.rotations[3], one.rotation)
    expected = [0, np.exp(-alpha * distance), (1 + np.cos(angle)) / 2]
    np.testing.assert_allclose(made.progress(alpha)[0, :2], expected[:2], rtol=1e-5)
    np.testing.assert_allclose(made.progress(alpha)[0, 2], expected[2], atol=1e-5)


def test_targets_at_later_steps(references):
    positions, rotations, which = starts(references, 16)
    made = synthesise(positions, rotations, references, which)
    for b in range(16):
        at = np.full(16, made.interaction[b])
        assert (made.plans(at)[b] == made.point[b]).all()
        final = made.plans(np.maximum(at - 3, 0))[b]
        assert np.linalg.norm(final[0] - made.positions[b, made.interaction[b] - 3]) < 0.02
    end = made.length - 1
    chunk = made.chunks(at=end)
    rows = np.arange(16)
    np.testing.assert_array_equal(chunk[:, 0], made.actions[rows, end])
    assert (chunk[:, 1:, :6] == 0).all()
    assert (chunk[:, 1:, 6] == made.actions[rows, end, 6][:, None]).all()
    held = made.chunks("hold", at=end)
    np.testing.assert_array_equal(held, np.repeat(held[:, :1], 16, axis=1))
    assert (made.progress(4.0, at=end)[:, 0] == 0).all()
    assert (made.progress(4.0, at=made.length)[:, 0] == 1).all()


def test_the_models_hand_follows_the_approach_and_displacements_do_not(references):
    positions, rotations, which = starts(references, 60, spread=0.08)
    controller = DeltaController()
    made = synthesise(positions, rotations, references, which, controller=controller)
    assert (np.abs(made.actions[:, :, :6]) <= 1).all()
    rows = np.arange(60)

    def miss(actions: np.ndarray) -> np.ndarray:
        reached = controller.simulate(positions, actions)[rows, made.approach]
        return np.linalg.norm(reached - made.positions[rows, made.approach], axis=1)

    assert np.median(miss(made.actions)) < 0.004
    assert miss(made.actions).max() < 0.02
    naive = np.zeros_like(made.actions)
    naive[:, :-1, :3] = np.diff(made.positions, axis=1) / controller.scale
    assert np.median(miss(naive)) > 0.03
    behind = DeltaController(feed_forward=False)
    trailing = synthesise(positions, rotations, references, which, controller=behind)
    assert np.median(miss(trailing.actions)) > np.median(miss(made.actions))


def test_the_controller_is_the_measured_one():
    controller = DeltaController()
    full = np.zeros((1, 30, 7))
    full[:, :, 0] = 1
    step = np.diff(controller.simulate(np.zeros((1, 3)), full)[0, :, 0])
    assert step[-1] == pytest.approx(0.0131, abs=1e-4)
    assert step[0] == pytest.approx(0.006, abs=5e-4)


def test_rotation_commands_turn_about_the_geodesics_axis(references):
    positions, rotations, which = starts(references, 10)
    made = synthesise(positions, rotations, references, which)
    for b in range(10):
        axis, _ = between(rotations[b], references.rotations[which[b], made.junction[b]])
        command = made.actions[b, : made.approach[b], 3:6]
        assert np.abs(np.cross(command, axis)).max() < 1e-6
        assert (command[2:-2] @ axis > 0).all()


def test_joint_actions_come_from_the_callers_inverse_kinematics():
    """A gantry whose joints are the position: its joint targets are the path itself."""
    one = grasp(0)
    joints = np.concatenate([one.positions[1:], one.positions[-1:]])
    recorded = np.concatenate([joints, one.actions[:, 6:]], axis=1)
    pack = References.pack(
        [Reference(one.positions, one.rotations, recorded, one.interaction, one.point, DOWN)]
    )
    begin = one.positions[[0, 0]] + [[0.1, 0, 0.05], [0, 0.06, 0.1]]
    controller = JointController(lambda position, rotation, near: position, begin)
    made = synthesise(begin, np.stack([DOWN, DOWN]), pack, controller=controller)
    for b in range(2):
        n = made.approach[b]
        np.testing.assert_allclose(made.actions[b, :n, :3], made.positions[b, 1 : n + 1], atol=1e-6)
    jumps = joint_jumps(made.actions, made.approach, begin)
    assert (jumps < 0.015).all()
    broken = JointController(lambda position, rotation, near: position + np.nan, begin)
    assert not synthesise(begin, np.stack([DOWN, DOWN]), pack, controller=broken).valid.any()
    # By default the joints are those that the states begin with.
    states = np.concatenate([begin, np.ones((2, 1))], axis=1)
    alike = JointController(lambda position, rotation, near: position, count=3)
    again = synthesise(begin, np.stack([DOWN, DOWN]), pack, controller=alike, states=states)
    np.testing.assert_array_equal(again.actions, made.actions)
    with pytest.raises(RainError, match="joints of 0 arms, 2 starts"):
        synthesise(begin, np.stack([DOWN, DOWN]), pack, controller=alike)
    with pytest.raises(RainError, match="controller"):
        synthesise(begin, np.stack([DOWN, DOWN]), pack)


def test_a_lead_is_ahead_on_the_same_path_and_a_jump_is_not_followed():
    one = grasp(0)
    joints = np.concatenate([one.positions[1:], one.positions[-1:]])
    recorded = np.concatenate([joints, one.actions[:, 6:]], axis=1)
    pack = References.pack(
        [Reference(one.positions, one.rotations, recorded, one.interaction, one.point, DOWN)]
    )
    begin = one.positions[[0]] + [[0.1, 0, 0.05]]
    gantry = lambda position, rotation, near: position  # noqa: E731
    made = synthesise(begin, DOWN[None], pack, controller=JointController(gantry, begin, lead=0.5))
    n, path = int(made.approach[0]), made.positions[0].astype(np.float64)
    ahead = (path[1:n] + path[2 : n + 1]) / 2
    np.testing.assert_allclose(made.actions[0, : n - 1, :3], ahead, atol=1e-6)
    last = path[n] + (path[n] - path[n - 1]) / 2
    np.testing.assert_allclose(made.actions[0, n - 1, :3], last, atol=1e-6)
    slow = JointController(gantry, begin, max_turn=1e-4)
    assert not synthesise(begin, DOWN[None], pack, controller=slow).valid.any()
    with pytest.raises(RainError, match="lead"):
        JointController(gantry, begin, lead=2.0)


@pytest.mark.parametrize("options", [RetargetOptions(), RetargetOptions(spacing="arc")])
def test_batched_equals_single(references, options):
    positions, rotations, which = starts(references, 25, seed=5)
    positions[0], rotations[0] = references.positions[which[0], 0], yaw(0.5)
    batch = synthesise(positions, rotations, references, which, options)
    for b in range(25):
        single = synthesise(positions[[b]], rotations[[b]], references, which[[b]], options)
        for name in ("length", "approach", "junction", "rule", "interaction"):
            assert getattr(single, name)[0] == getattr(batch, name)[b], name
        length = single.length[0]
        for name in ("positions", "rotations", "actions"):
            np.testing.assert_allclose(
                getattr(single, name)[0, :length], getattr(batch, name)[b, :length], atol=1e-6
            )
        np.testing.assert_allclose(single.plans()[0], batch.plans()[b], atol=1e-6)
        np.testing.assert_array_equal(single.chunks()[0], batch.chunks()[b])


def test_wrong_arguments_are_named(references):
    positions, rotations, which = starts(references, 4)
    with pytest.raises(RainError, match="which"):
        synthesise(positions, rotations, references, which + 3)
    with pytest.raises(RainError, match="rotations"):
        synthesise(positions, rotations[:3], references, which)
    with pytest.raises(RainError, match=r"positions.*NaN"):
        synthesise(positions * np.nan, rotations, references, which)
    assert len(synthesise(positions[:0], rotations[:0], references, which[:0])) == 0
