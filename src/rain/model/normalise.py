"""Units of the world to units of the network and back, with statistics frozen at training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from rain.types import ACTION_DIM, STATE_DIM, RainError

ArrayOrTensor = TypeVar("ArrayOrTensor", np.ndarray, Tensor)

LIBERO_STATE = "libero_ee_axis_angle_gripper"
"""The state meaning whose axis-angle, state[3:6], is expressed relative to gripper-down."""

STATE_FLOOR = 0.01
ACTION_FLOOR = 0.05
PLAN_FLOOR = 0.01


def relative_to_gripper_down(rotation: Tensor) -> Tensor:
    """Axis-angle (…, 3) in the base frame -> axis-angle from gripper-down, diag(1, -1, -1).

    A gripper that points down is half a turn about x, where an axis-angle may carry either sign;
    both become the same small rotation here. The result's angle is at most π.
    """
    w, x, y, z = _quaternion(rotation).unbind(-1)
    # conj(i) * q, with i = (0, 1, 0, 0) the half turn about x.
    return _axis_angle(torch.stack([x, -w, z, -y], dim=-1))


def from_gripper_down(rotation: Tensor) -> Tensor:
    """Undo ``relative_to_gripper_down``, up to the sign an axis-angle may have near π."""
    w, x, y, z = _quaternion(rotation).unbind(-1)
    return _axis_angle(torch.stack([-x, w, -z, y], dim=-1))


def _quaternion(rotation: Tensor) -> Tensor:
    angle = rotation.norm(dim=-1, keepdim=True)
    # sin(a / 2) / a, without the hole at 0; torch.sinc(t) is sin(πt) / (πt).
    scale = 0.5 * torch.sinc(angle / (2 * torch.pi))
    return torch.cat([torch.cos(angle / 2), rotation * scale], dim=-1)


def _axis_angle(quaternion: Tensor) -> Tensor:
    positive = torch.where(quaternion[..., :1] < 0, -quaternion, quaternion)
    w, vector = positive[..., :1], positive[..., 1:]
    length = vector.norm(dim=-1, keepdim=True)
    angle = 2 * torch.atan2(length, w)
    return vector * torch.where(length > 1e-8, angle / length.clamp_min(1e-8), 2.0)


@dataclass(frozen=True)
class Statistics:
    """Mean and standard deviation of each dimension, in the world's units."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, samples: ArrayLike, floor: float) -> Statistics:
        """Take them over all but the last axis; a dimension that hardly varies gets ``floor``."""
        values = np.asarray(samples, dtype=np.float64)
        values = values.reshape(-1, values.shape[-1])
        if not len(values) or not np.isfinite(values).all():
            raise RainError("normalisation: the samples are empty or hold NaN or infinity")
        std = np.maximum(values.std(axis=0), floor)
        return cls(tuple(values.mean(axis=0).tolist()), tuple(std.tolist()))

    def apply(self, value: Tensor) -> Tensor:
        """(…, D) -> mean 0, standard deviation 1."""
        return (value - value.new_tensor(self.mean)) / value.new_tensor(self.std)

    def undo(self, value: Tensor) -> Tensor:
        """(…, D) -> the world's units."""
        return value * value.new_tensor(self.std) + value.new_tensor(self.mean)


@dataclass(frozen=True)
class Normaliser:
    """Normalise state (…, 7), actions (…, 7) and plan (…, 3), and undo it.

    Every method takes and returns a NumPy array or a tensor of any leading shape, float32 or
    float64. state_meaning: the conventions' name of the state; for LIBERO's the rotation is first
    expressed relative to gripper-down (raw axis-angle flips its sign near π).
    """

    state_meaning: str
    state_statistics: Statistics
    action_statistics: Statistics
    plan_statistics: Statistics

    @classmethod
    def from_samples(
        cls, state_meaning: str, states: ArrayLike, actions: ArrayLike, plans: ArrayLike
    ) -> Normaliser:
        """Take statistics from training samples: states (…, 7), actions (…, 7), plans (…, 3)."""
        raw = torch.as_tensor(np.asarray(states, dtype=np.float64))
        return cls(
            state_meaning,
            Statistics.of(_express(raw, state_meaning).numpy(), STATE_FLOOR),
            Statistics.of(actions, ACTION_FLOOR),
            Statistics.of(plans, PLAN_FLOOR),
        )

    def state(self, value: ArrayOrTensor) -> ArrayOrTensor:
        """World state -> network."""
        tensor = _express(_tensor(value), self.state_meaning)
        return _like(self.state_statistics.apply(tensor), value)

    def actions(self, value: ArrayOrTensor) -> ArrayOrTensor:
        """World actions -> network."""
        return _like(self.action_statistics.apply(_tensor(value)), value)

    def plan(self, value: ArrayOrTensor) -> ArrayOrTensor:
        """Waypoints in metres -> network."""
        return _like(self.plan_statistics.apply(_tensor(value)), value)

    def undo_state(self, value: ArrayOrTensor) -> ArrayOrTensor:
        """Network -> world state; an axis-angle near π may come back with its other sign."""
        tensor = self.state_statistics.undo(_tensor(value))
        return _like(_express(tensor, self.state_meaning, back=True), value)

    def undo_actions(self, value: ArrayOrTensor) -> ArrayOrTensor:
        """Network -> world actions."""
        return _like(self.action_statistics.undo(_tensor(value)), value)

    def undo_plan(self, value: ArrayOrTensor) -> ArrayOrTensor:
        """Network -> waypoints in metres."""
        return _like(self.plan_statistics.undo(_tensor(value)), value)

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            "state_meaning": self.state_meaning,
            **{
                part: {"mean": list(statistics.mean), "std": list(statistics.std)}
                for part, statistics in (
                    ("state", self.state_statistics),
                    ("action", self.action_statistics),
                    ("plan", self.plan_statistics),
                )
            },
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Normaliser:
        """Build from ``to_dict``'s values; anything missing is a RainError, never a default."""
        sizes = {"state": STATE_DIM, "action": ACTION_DIM, "plan": 3}
        try:
            meaning = values["state_meaning"]
            parts = {
                name: Statistics(
                    _numbers(values[name]["mean"], size, False),
                    _numbers(values[name]["std"], size, True),
                )
                for name, size in sizes.items()
            }
        except (KeyError, TypeError, ValueError) as error:
            raise RainError(f"normalisation statistics are missing or broken: {error}") from error
        return cls(meaning, parts["state"], parts["action"], parts["plan"])


def _numbers(values: Sequence[float], size: int, positive: bool) -> tuple[float, ...]:
    array = np.array(values, dtype=np.float64)
    if array.shape != (size,) or not np.isfinite(array).all() or (positive and (array <= 0).any()):
        raise ValueError(f"expected {size} finite numbers, got {values}")
    return tuple(array.tolist())


def _express(state: Tensor, meaning: str, back: bool = False) -> Tensor:
    if meaning != LIBERO_STATE:
        return state
    turn = from_gripper_down if back else relative_to_gripper_down
    return torch.cat([state[..., :3], turn(state[..., 3:6]), state[..., 6:]], dim=-1)


def _tensor(value: np.ndarray | Tensor) -> Tensor:
    # A copy, because a read-only array (an Observation's state) cannot become a tensor.
    return value if isinstance(value, Tensor) else torch.from_numpy(np.array(value))


def _like(result: Tensor, value: ArrayOrTensor) -> Any:
    return result if isinstance(value, Tensor) else result.numpy()
