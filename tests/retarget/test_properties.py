"""Nothing breaks a trajectory: random references and starts of every awkward kind."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.retarget import REJOINED, Reference, References, RetargetOptions, synthesise


def yaw(angle: float) -> np.ndarray:
    """The hand pointing down, turned about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, s, 0.0], [s, -c, 0.0], [0.0, 0.0, -1.0]])


@st.composite
def awkward(draw) -> tuple[Reference, np.ndarray, np.ndarray]:
    """A reference that may wait, double back or be three steps long, and a start that may be on
    it, at any of its points, beside it or far away."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([3, 3, 4, 5, 12, 40]))
    steps = rng.normal(0, 0.01, (count, 3)) * (rng.random((count, 1)) < draw(st.floats(0, 1)))
    path = steps.cumsum(axis=0) + [0.5, 0, 0.2]
    if draw(st.booleans()):
        path = np.concatenate([path, path[::-1]])  # there and back again
    count = len(path)
    angles = rng.uniform(-3, 3) + (rng.normal(0, 0.1, count)).cumsum()
    rotations = np.stack([yaw(a) for a in angles])
    interaction = int(rng.integers(0, count + 1))
    at = min(interaction, count - 1)
    reference = Reference(
        path, rotations, rng.uniform(-1, 1, (count, 7)), interaction, path[at], rotations[at]
    )
    k = int(rng.integers(0, count))
    kind = draw(st.sampled_from(["point", "turned", "between", "near", "any", "far"]))
    # In the reference's own precision: exactly on the point.
    position, turned = reference.positions[k].astype(float), reference.rotations[k].astype(float)
    if kind == "turned":
        turned = yaw(angles[k] + rng.choice([np.pi, 1e-3, rng.uniform(-3, 3)]))
    elif kind == "between":
        position = (position + reference.positions[max(k - 1, 0)]) / 2
    elif kind != "point":
        position = position + rng.normal(size=3) * {"near": 1e-6, "any": 0.1, "far": 1.0}[kind]
        turned = yaw(rng.uniform(-3, 3))
    return reference, position, turned


@settings(max_examples=50, deadline=None)
@given(
    awkward(),
    st.sampled_from(["rrs", "rrs", "linear", "mimicgen"]),
    st.sampled_from(["parameter", "arc"]),
    st.booleans(),
)
def test_nothing_breaks_a_trajectory(case, mode, spacing, rejoin):
    reference, position, rotation = case
    options = RetargetOptions(mode=mode, spacing=spacing, rejoin_distance=1e-3 if rejoin else -1)
    made = synthesise(position[None], rotation[None], References.pack([reference]), None, options)
    for f in fields(made):
        assert np.isfinite(getattr(made, f.name)).all(), f.name
    for answer in (made.plans(), made.chunks(), made.progress(4.0)):
        assert np.isfinite(answer).all()
    n, k = int(made.approach[0]), int(made.junction[0])
    assert len(made.positions[0]) == made.length[0] > n
    np.testing.assert_array_equal(made.actions[0, n:], reference.actions[k:])
    np.testing.assert_array_equal(made.positions[0, n:], reference.positions[k:])
    # No jump: to the first pose none, then steps within the limit up to the junction.
    assert np.linalg.norm(made.positions[0, 0] - position) <= 1e-3 + 1e-6
    step = np.linalg.norm(np.diff(made.positions[0, : n + 1], axis=0), axis=1)
    assert step.max(initial=0) <= options.max_step + 1e-6
    assert (np.abs(made.actions[0, :n, :6]) <= 1).all()
    np.testing.assert_array_equal(made.plans()[0, -1], reference.point)
    if mode != "linear":
        assert k < max(reference.interaction, 1) or made.rule[0] == REJOINED
