"""From starts and references to trajectories (eq. 10)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.retarget.controller import Approach, Controller, DeltaController
from rain.retarget.hermite import arc_length, chain, even_points, hermite, speeds, top_speed
from rain.retarget.junction import PAPER, REJOINED, Junctions, find_junctions
from rain.retarget.options import RetargetOptions
from rain.retarget.reference import References
from rain.retarget.rotations import Floats, between, turn
from rain.retarget.trajectories import Trajectories
from rain.types import RainError

SLOWEST = 1e-3
"""m per step: an approach is never slower, however slow its reference."""


def synthesise(
    positions: ArrayLike,
    rotations: ArrayLike,
    references: References,
    which: ArrayLike | None = None,
    options: RetargetOptions | None = None,
    controller: Controller | None = None,
    velocity: ArrayLike | None = None,
    states: ArrayLike | None = None,
) -> Trajectories:
    """Join B starts to references: an approach to the junction, then the recorded interaction.

    positions: (B, 3) m and rotations: (B, 3, 3), the hand at each start, robot base frame.
    which: int (B,), the reference of each start; by default start i goes with reference i, or
        every start with the only one.
    controller: makes the approach's actions; by default LIBERO's ``DeltaController()``.
    velocity: (B, 3) m per control step, the hand's at each start; by default it stands still.
    states: (B, S), what the robot measured at each start, for controllers that ask for it.

    The approach's gripper command is the one recorded at the junction, or just before the
    interaction where that is the junction: the hand does not act on its way.
    """
    options = options or RetargetOptions()
    controller = controller or DeltaController()
    starts, turned, which, moved = _checked(positions, rotations, references, which, velocity)
    found = choose(starts, turned, references, which, options)
    approach = make_approach(starts, turned, moved, references, which, found, options)
    width = references.actions.shape[-1]
    if states is not None:
        approach = replace(approach, states=np.asarray(states, dtype=np.float64))
    made = controller.actions(approach)
    if made.shape[-1] != width - 1:
        raise RainError(
            f"retarget: the controller makes {made.shape[-1]} numbers and the gripper's, "
            f"the recorded actions have {width}; give the controller of that robot"
        )
    followed = np.isfinite(made).all(axis=(1, 2))
    joined = _concatenate(approach, np.nan_to_num(made), references, which, found, options)
    return replace(joined, valid=joined.valid & followed)


def choose(
    starts: Floats, rotations: Floats, references: References, which: NDArray,
    options: RetargetOptions,
) -> Junctions:  # fmt: skip
    """Say where each start joins its reference, by ``options.mode``."""
    count = len(which)
    if options.mode == "rrs":
        found = find_junctions(starts, references, which, options)
        return _rejoin(found, starts, rotations, references, which, options)
    if options.mode == "linear":
        index = np.minimum(references.interaction, references.length - 1)[which]
    else:
        index = np.zeros(count, np.int64)
    return Junctions(index, np.zeros(count), np.full(count, PAPER, np.int8))


def _rejoin(
    found: Junctions, starts: Floats, rotations: Floats, references: References, which: NDArray,
    options: RetargetOptions,
) -> Junctions:  # fmt: skip
    """Let starts that lie on their reference, up to its interaction, go on from there."""
    if options.rejoin_distance < 0:
        return found
    offset = references.positions[which] - starts[:, None]
    distance = np.einsum("bmd,bmd->bm", offset, offset)
    last = np.minimum(references.interaction, references.length - 1)[which, None]
    distance[np.arange(distance.shape[1]) > last] = np.inf
    rows = np.arange(len(which))
    # The first of equals: a reference that waited there keeps its wait.
    nearest = distance.argmin(axis=1)
    near = np.flatnonzero(distance[rows, nearest] <= options.rejoin_distance**2)
    if len(near):
        _, angle = between(rotations[near], references.rotations[which[near], nearest[near]])
        near = near[angle <= options.rejoin_angle]
        found.index[near], found.rule[near] = nearest[near], REJOINED
    return found


def make_approach(
    starts: Floats, rotations: Floats, velocity: Floats, references: References, which: NDArray,
    found: Junctions, options: RetargetOptions,
) -> Approach:  # fmt: skip
    """Discretise the approaches at the reference's own speed (eq. 8, and eq. 10's first part)."""
    end = references.positions[which, found.index]
    end_rotation = references.rotations[which, found.index]
    if options.mode == "rrs":
        tangent = references.tangents[which, found.index]
    else:
        # With D_1 = D_0 the spline is the straight line at constant speed.
        chord = end - starts
        away = np.sqrt((chord**2).sum(axis=1, keepdims=True))
        tangent = chord / np.where(away > 0, away, 1.0)
    axis, angle = between(rotations, end_rotation)
    if options.spacing == "arc":
        points, behind = chain(starts, end, tangent)
        length, longest = behind[:, -1], behind[:, -1]
    else:
        speed = speeds(starts, end, tangent)
        length, longest = arc_length(speed), top_speed(speed)
    steps = _step_count(length, longest, angle, references.speed[which], options)
    steps[(found.rule == REJOINED) | (options.mode == "none")] = 0
    count = np.arange(int(steps.max(initial=0)) + 1)
    fraction = np.minimum(count / np.maximum(steps, 1)[:, None], 1.0)
    if options.spacing == "arc":
        path = even_points(points, behind, fraction)
    else:
        path = hermite(starts, end, tangent, fraction)
    angles = fraction * angle[:, None]
    arrived = count >= steps[:, None]
    return Approach(
        steps=steps,
        positions=np.where(arrived[..., None], end[:, None], path),
        rotations=np.where(
            arrived[..., None, None], end_rotation[:, None], turn(rotations, axis, angles)
        ),
        axis=axis,
        angles=angles,
        velocity=velocity,
    )


def _step_count(
    length: Floats, longest: Floats, angle: Floats, own: Floats, options: RetargetOptions
) -> NDArray[np.int64]:
    """N (B,): at the wanted speed, but with no step beyond ``max_step`` or ``max_turn``.

    length: (B,) m; longest: (B,), N times the longest step; angle: (B,) rad.
    """
    wanted = own if options.speed is None else np.full_like(own, options.speed)
    wanted = np.clip(np.where(wanted > 0, wanted, np.inf), SLOWEST, options.max_step)
    steps = np.maximum(length / wanted, longest / options.max_step)
    if options.max_turn > 0:
        steps = np.maximum(steps, angle / options.max_turn)
    # What is a whole number but for rounding takes no further step.
    return np.ceil(steps - 1e-6).astype(np.int64)


def _concatenate(
    approach: Approach, made: Floats, references: References, which: NDArray, found: Junctions,
    options: RetargetOptions,
) -> Trajectories:  # fmt: skip
    """P of eq. 10 with its actions: the approach, then the reference from the junction on."""
    steps = approach.steps
    length = steps + references.length[which] - found.index
    count = np.arange(int(length.max(initial=0)))
    recorded = np.minimum(
        found.index[:, None] + np.maximum(count - steps[:, None], 0),
        references.length[which, None] - 1,
    )
    rows = (which[:, None] * references.positions.shape[1] + recorded).ravel()

    def joined(first: Floats | None, recording: NDArray) -> NDArray[np.float32]:
        flat = recording.reshape(-1, *recording.shape[2:])
        result = np.take(flat, rows, axis=0).astype(np.float32, copy=False)
        result = result.reshape(*recorded.shape, *recording.shape[2:])
        if first is not None:
            width = min(first.shape[1], len(count))
            own = count[:width] < steps[:, None]
            own = own.reshape(*own.shape, *(1,) * (first.ndim - 2))
            np.copyto(result[:, :width], first[:, :width], where=own, casting="same_kind")
        return result

    before = np.maximum(np.minimum(found.index, references.interaction[which] - 1), 0)
    gripper = references.actions[which, before, -1]
    gripper = np.broadcast_to(gripper[:, None, None], (*made.shape[:2], 1))
    return Trajectories(
        length=length,
        approach=steps,
        junction=found.index,
        rule=found.rule,
        valid=_valid(found, options),
        interaction=np.maximum(steps + references.interaction[which] - found.index, 0),
        positions=joined(approach.positions, references.positions),
        rotations=joined(approach.rotations, references.rotations),
        actions=joined(np.concatenate([made, gripper], axis=2), references.actions),
        point=references.point[which],
        rotation=references.rotation[which],
    )


def _valid(found: Junctions, options: RetargetOptions) -> NDArray[np.bool_]:
    limits_met = (found.rule == PAPER) | (found.rule == REJOINED)
    return limits_met | options.fallback


def _checked(
    positions: ArrayLike, rotations: ArrayLike, references: References, which: ArrayLike | None,
    velocity: ArrayLike | None,
) -> tuple[Floats, Floats, NDArray, Floats]:  # fmt: skip
    starts = np.asarray(positions, dtype=np.float64)
    turned = np.asarray(rotations, dtype=np.float64)
    count = len(starts) if starts.ndim else 0
    if which is None:
        which = np.zeros(count, int) if len(references) == 1 else np.arange(len(references))
    chosen = np.asarray(which)
    moved = np.zeros((count, 3)) if velocity is None else np.asarray(velocity, np.float64)
    for name, array, shape in (
        ("positions", starts, (count, 3)),
        ("rotations", turned, (count, 3, 3)),
        ("which", chosen, (count,)),
        ("velocity", moved, (count, 3)),
    ):
        if array.shape != shape:
            raise RainError(f"retarget {name}: expected shape {shape}, got {array.shape}")
        if not np.isfinite(array).all():
            raise RainError(f"retarget {name}: holds NaN or infinity")
    if count and not (chosen.min() >= 0 and chosen.max() < len(references)):
        raise RainError(f"retarget which: expected numbers from 0 to {len(references) - 1}")
    return starts, turned, chosen.astype(np.int64), moved
