from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rain.model import Normaliser
from rain.model.normalise import LIBERO_STATE, from_gripper_down, relative_to_gripper_down
from rain.types import RainError

DOWN = np.diag([1.0, -1.0, -1.0])


def matrix(rotation: NDArray) -> NDArray:
    """Axis-angle -> rotation matrix by the exponential series of its cross-product matrix."""
    x, y, z = rotation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    term, total = np.eye(3), np.eye(3)
    for k in range(1, 40):
        term = term @ cross / k
        total = total + term
    return total


def relative(rotation: NDArray) -> NDArray:
    return relative_to_gripper_down(torch.from_numpy(np.asarray(rotation))).numpy()


def random_rotations(count: int, largest: float = math.pi) -> NDArray:
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(count, 3))
    return axes / np.linalg.norm(axes, axis=1, keepdims=True) * rng.uniform(0, largest, (count, 1))


def test_rotation_is_relative_to_gripper_down() -> None:
    for rotation in random_rotations(50):
        np.testing.assert_allclose(matrix(relative(rotation)), DOWN.T @ matrix(rotation), atol=1e-9)
    assert np.linalg.norm(relative(random_rotations(50)), axis=1).max() <= math.pi + 1e-9


def test_gripper_down_is_zero_with_either_sign_near_half_a_turn() -> None:
    np.testing.assert_allclose(relative(np.array([math.pi, 0, 0])), 0, atol=1e-9)
    np.testing.assert_allclose(relative(np.array([-math.pi, 0, 0])), 0, atol=1e-9)
    # A little beyond half a turn, and the same rotation written from the other side.
    beyond = np.array([math.pi + 0.05, 0.04, -0.03])
    angle = np.linalg.norm(beyond)
    other = beyond * (angle - 2 * math.pi) / angle
    assert abs(beyond - other).max() > 5
    np.testing.assert_allclose(relative(beyond), relative(other), atol=1e-9)
    assert np.linalg.norm(relative(beyond)) < 0.1


def test_rotation_comes_back() -> None:
    rotations = random_rotations(50, largest=3.1)
    back = from_gripper_down(torch.from_numpy(relative(rotations))).numpy()
    np.testing.assert_allclose(back, rotations, atol=1e-9)


def test_rotation_is_exact_in_float32_near_gripper_down() -> None:
    tiny = np.array([math.pi, 1e-4, 0.0], dtype=np.float32)
    got = relative(tiny)
    assert np.isfinite(got).all()
    assert abs(got).max() < 2e-4
    assert np.isfinite(relative(np.zeros(3, dtype=np.float32))).all()


def samples() -> tuple[NDArray, NDArray, NDArray]:
    rng = np.random.default_rng(1)
    states = rng.normal(size=(200, 7)) * 0.1
    states[:, 3] += math.pi
    states[:, 6] = 0.02
    return states, rng.normal(size=(200, 16, 7)) * 0.3 + 0.1, rng.normal(size=(200, 8, 3))


@pytest.mark.parametrize("meaning", [LIBERO_STATE, "joints"])
def test_samples_come_out_with_mean_0_and_deviation_1(meaning: str) -> None:
    states, actions, plans = samples()
    normaliser = Normaliser.from_samples(meaning, states, actions, plans)
    for got, constant in (
        (normaliser.state(states), True),
        (normaliser.actions(actions), False),
        (normaliser.plan(plans), False),
    ):
        flat = got.reshape(-1, got.shape[-1])
        np.testing.assert_allclose(flat.mean(axis=0), 0, atol=1e-6)
        varied = flat[:, :6] if constant else flat
        np.testing.assert_allclose(varied.std(axis=0), 1, atol=1e-6)


def test_floors_keep_a_constant_dimension_from_blowing_up() -> None:
    states, actions, plans = samples()
    actions[..., 6], plans[..., 2] = 1.0, 0.3
    normaliser = Normaliser.from_samples("joints", states, actions, plans)
    assert normaliser.state_statistics.std[6] == 0.01
    assert normaliser.action_statistics.std[6] == 0.05
    assert normaliser.plan_statistics.std[2] == 0.01


@pytest.mark.parametrize("kind", ["numpy", "torch"])
def test_inverses(kind: str) -> None:
    states, actions, plans = samples()
    states[:, 3] -= 0.7  # away from π, where the sign is free
    normaliser = Normaliser.from_samples(LIBERO_STATE, states, actions, plans)
    for value, there, back in (
        (states, normaliser.state, normaliser.undo_state),
        (actions, normaliser.actions, normaliser.undo_actions),
        (plans, normaliser.plan, normaliser.undo_plan),
    ):
        given = value.astype(np.float32) if kind == "numpy" else torch.from_numpy(value).float()
        result = back(there(given))
        assert type(result) is type(given)
        assert result.dtype == given.dtype
        np.testing.assert_allclose(np.asarray(result), value, atol=1e-5)


def test_numpy_and_torch_agree_and_inputs_stay() -> None:
    states, actions, plans = samples()
    normaliser = Normaliser.from_samples(LIBERO_STATE, states, actions, plans)
    state = states[0].astype(np.float32)
    state.setflags(write=False)  # as in an Observation
    kept = state.copy()
    torch.testing.assert_close(
        torch.from_numpy(normaliser.state(state)), normaliser.state(torch.from_numpy(kept))
    )
    assert (state == kept).all()


def test_json_round_trip() -> None:
    normaliser = Normaliser.from_samples(LIBERO_STATE, *samples())
    assert Normaliser.from_dict(json.loads(json.dumps(normaliser.to_dict()))) == normaliser


@pytest.mark.parametrize("part", ["state_meaning", "state", "action", "plan"])
def test_missing_statistics_are_an_error(part: str) -> None:
    values = Normaliser.from_samples(LIBERO_STATE, *samples()).to_dict()
    del values[part]
    with pytest.raises(RainError, match="statistics are missing"):
        Normaliser.from_dict(values)


def test_broken_statistics_are_an_error() -> None:
    values = Normaliser.from_samples(LIBERO_STATE, *samples()).to_dict()
    values["action"]["std"][2] = 0.0
    with pytest.raises(RainError, match="statistics"):
        Normaliser.from_dict(values)
    with pytest.raises(RainError, match="NaN"):
        Normaliser.from_samples("joints", np.full((3, 7), np.nan), np.ones((3, 7)), np.ones((3, 3)))
