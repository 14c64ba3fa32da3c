"""What pictures of retargeting show: what each mode makes of a subtask from starts all around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rain.demos.episode import Motion
from rain.retarget import (
    CandidateOptions,
    Reference,
    References,
    RetargetOptions,
    Trajectories,
    synthesise,
)
from rain.types import RainError, SubtaskSpan

DrawnMode = Literal["rrs", "linear", "mimicgen"]
CAPTIONS: dict[DrawnMode, str] = {
    "rrs": "rrs: Hermite approach to a junction",
    "linear": "linear: straight to the interaction point",
    "mimicgen": "mimicgen: straight to the first pose",
}
"""The modes that can be drawn (``none`` has no approach), and what each does."""

AROUND_START = (0.05, 0.25)
"""m from where the recorded hand started."""
AROUND_POINT = (CandidateOptions().min_distance, 0.20)
"""m from the interaction point."""
ROOM = 0.15
"""m: the workspace reaches this far beyond the recorded path, but not below it."""


@dataclass(frozen=True)
class Panel:
    """One subtask in one mode, from B starts.

    number: the subtask's in the episode. starts: (B, 3) m, base frame; near: bool (B,), it was
    drawn around the interaction point and not around the recorded start. made: what the mode makes
    of them.
    """

    number: int
    span: SubtaskSpan
    mode: DrawnMode
    reference: Reference
    starts: NDArray[np.float64]
    near: NDArray[np.bool_]
    made: Trajectories

    @property
    def junctions(self) -> NDArray[np.float32]:
        """Where each approach ends: (B, 3) m, points of the reference."""
        return self.reference.positions[self.made.junction]

    @property
    def approaches(self) -> list[NDArray[np.float32]]:
        """The B approaches, from the start to the junction: (N + 1, 3) m each."""
        ends = zip(self.made.positions, self.made.approach, strict=True)
        return [path[: int(steps) + 1] for path, steps in ends]


def make_panels(
    motion: Motion, subtask: int | None, modes: Sequence[str], starts: int, seed: int
) -> list[Panel]:
    """Retarget ``starts`` starts to a subtask, or to each (None), in every mode.

    A subtask's starts are the same in all modes. Panels are ordered by mode, then by subtask.
    RainError names the field that is wrong.
    """
    count = len(motion.spans)
    if subtask is not None and not 0 <= subtask < count:
        raise RainError(f"subtask: the episode has 0 to {count - 1}, not {subtask}")
    if starts < 1:
        raise RainError(f"starts: expected at least 1, got {starts}")
    chosen = [mode for mode in CAPTIONS if mode in modes]
    unknown = set(modes) - set(CAPTIONS)
    if unknown or not chosen:
        named = f", not {', '.join(sorted(unknown))}" if unknown else ""
        raise RainError(f"modes: expected some of {', '.join(CAPTIONS)}{named}")
    numbers = range(count) if subtask is None else [subtask]
    drawn = {number: sample_starts(motion, number, starts, seed) for number in numbers}
    return [_panel(motion, n, mode, *drawn[n]) for mode in chosen for n in numbers]


def sample_starts(
    motion: Motion, number: int, count: int, seed: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Draw starts within the workspace: (B, 3) m, and which are around the interaction point.

    Every third of them is, the others are around where the recorded hand started.
    """
    span = motion.spans[number]
    rng = np.random.default_rng((seed, number))
    low = np.minimum(motion.positions.min(axis=0), span.position) - [ROOM, ROOM, 0.0]
    high = np.maximum(motion.positions.max(axis=0), span.position) + ROOM
    near = np.arange(count) % 3 == 2
    starts = np.empty((count, 3))
    for some, centre, distances in (
        (~near, motion.positions[span.start], AROUND_START),
        (near, span.position, AROUND_POINT),
    ):
        for i in np.flatnonzero(some):
            starts[i] = _beside(rng, centre, distances, low, high)
    return starts, near


def _beside(
    rng: np.random.Generator, centre: NDArray, distances: tuple[float, float],
    low: NDArray, high: NDArray,
) -> NDArray[np.float64]:  # fmt: skip
    """A point in a random direction and distance, within the box."""
    # Ends: the centre is in the box, with ROOM above it and to both sides.
    while True:
        direction = rng.normal(size=3)
        point = centre + direction / np.linalg.norm(direction) * rng.uniform(*distances)
        if (point >= low).all() and (point <= high).all():
            return point


def _panel(motion: Motion, number: int, mode: DrawnMode, starts: NDArray, near: NDArray) -> Panel:
    span = motion.spans[number]
    reference = Reference.from_span(motion.positions, motion.ee_rotation, motion.actions, span)
    # The hand starts turned as the recorded one did: the picture shows positions only.
    turned = np.repeat(reference.rotations[:1], len(starts), axis=0)
    made = synthesise(
        starts, turned, References.pack([reference]), options=RetargetOptions(mode=mode)
    )
    return Panel(number, span, mode, reference, starts, near, made)
