from __future__ import annotations

import numpy as np
import pytest

from rain.types import RainError
from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import ceiling, forward, inverse, nearest, pointing_down, solutions


def chain(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Forward kinematics joint by joint, from the published origins and axes."""
    from scipy.spatial.transform import Rotation

    origins = [(0, 0, 0.1715), (0, -0.1215, 0), (0, 0, 0.247), (0, 0.1215, 0.2195),
               (0, -0.113, 0), (0, 0, 0.1155)]  # fmt: skip
    position, rotation = np.zeros(3), np.eye(3)
    for origin, axis, angle in zip(origins, "zyyyzy", q, strict=True):
        position = position + rotation @ origin
        rotation = rotation @ Rotation.from_euler(axis, angle).as_matrix()
    return position + rotation @ (0, -0.103 - 0.141, 0), rotation


def random_joints(count: int, seed: int = 0) -> np.ndarray:
    low, high = arm.PLANNED.T
    return np.random.default_rng(seed).uniform(low, high, (count, 6))


def test_forward_is_the_chain_of_joints():
    joints = random_joints(20)
    positions, rotations = forward(joints)
    for q, position, rotation in zip(joints, positions, rotations, strict=True):
        there, link6 = chain(q)
        np.testing.assert_allclose(position, there, atol=1e-12)
        # The fingers close along link6's x, the hand approaches along its -y.
        np.testing.assert_allclose(rotation[:, 0], link6[:, 0], atol=1e-12)
        np.testing.assert_allclose(rotation[:, 2], -link6[:, 1], atol=1e-12)


def test_inverse_finds_the_joints_it_is_asked_near():
    joints = random_joints(500)
    # Where elbow or wrist are straight, two solutions are nearer to each other than the noise.
    plain = (np.abs(joints[:, 2]) > 0.1) & (np.abs(np.sin(joints[:, 4])) > 0.1)
    joints = joints[plain]
    noise = np.random.default_rng(1).normal(0, 0.01, joints.shape)
    found = nearest(*forward(joints), joints + noise, limits=arm.LIMITS)
    np.testing.assert_allclose(found, joints, atol=1e-6)


def test_every_solution_is_one():
    joints = random_joints(200, seed=2)
    position, rotation = forward(joints)
    found = solutions(position, rotation)
    real = np.isfinite(found).all(axis=-1)
    assert real.sum(axis=-1).min() >= 2
    again = forward(found)
    np.testing.assert_allclose(again[0][real], np.repeat(position, real.sum(-1), 0), atol=1e-9)
    np.testing.assert_allclose(again[1][real], np.repeat(rotation, real.sum(-1), 0), atol=1e-9)


def test_the_limits_are_kept():
    joints = random_joints(300, seed=3)
    far = np.random.default_rng(4).uniform(-6, 6, joints.shape)
    found = nearest(*forward(joints), far)
    low, high = arm.PLANNED.T
    assert (found >= low).all()
    assert (found <= high).all()
    np.testing.assert_allclose(forward(found)[0], forward(joints)[0], atol=1e-9)


def test_a_straight_wrist_keeps_joint6():
    joints = np.array([0.3, -0.4, 1.2, 0.6, 0.0, 0.7])
    found = inverse(*forward(joints), joints + 0.001)
    np.testing.assert_allclose(forward(found)[0], forward(joints)[0], atol=1e-9)
    assert abs(found[5] - joints[5]) < 0.01


def test_out_of_reach_is_an_error_and_not_a_guess():
    with pytest.raises(RainError, match="cannot be brought to"):
        inverse([1.5, 0, 0.2], pointing_down(0.0), arm.HOME)
    assert np.isnan(nearest([[0.0, 0.05, 0.1]], pointing_down([0.0]), [arm.HOME])).all()


def test_pointing_down():
    rotation = pointing_down(0.4)
    np.testing.assert_allclose(rotation[:, 2], [0, 0, -1], atol=1e-12)
    np.testing.assert_allclose(rotation[:, 0], [-np.sin(0.4), np.cos(0.4), 0], atol=1e-12)
    np.testing.assert_allclose(np.linalg.det(rotation), 1)


def test_the_gripper_opens_as_wide_as_published():
    assert arm.opening(0.0) == pytest.approx(0.106, abs=0.001)
    for width in (0.02, 0.05, 0.09):
        assert arm.opening(arm.gripper_at(width)) == pytest.approx(width)
    assert arm.gripper_at(0.2) == 0.0


def test_the_ceiling_is_where_the_arm_is_almost_straight():
    x, y = 0.45, 0.2
    highest = ceiling(x, y, stretch=1.0)
    near = arm.HOME
    assert np.isfinite(nearest([x, y, highest - 1e-4], pointing_down(0.0), near)).all()
    assert not np.isfinite(nearest([x, y, highest + 1e-4], pointing_down(0.0), near)).any()
    assert ceiling(x, y) < highest
    assert ceiling(0.9, 0.0) == ceiling(0.0, 0.05) == -np.inf
