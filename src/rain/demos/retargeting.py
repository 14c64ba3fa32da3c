"""Retargeted samples: the image of now, the region of a later target, and the way there by RRS.

For the paper's "Retarget augmentation" (section 3.2, Appendix A). A retargeted sample is a row of
``Samples`` like any other, so that nothing that reads samples has to know of it.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rain.demos.cache import Advance
from rain.demos.candidates import CandidateCounts, Joins, Task, find_joins
from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels
from rain.demos.samples import Samples, padding_of
from rain.retarget import (
    CandidateOptions,
    Controller,
    DeltaController,
    JointController,
    Reference,
    References,
    RetargetOptions,
    Trajectories,
    joint_jumps,
    synthesise,
)
from rain.types import ACTION_TYPES, HORIZON, Array, Conventions, RainError
from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import nearest
from rain.worlds.omy.scene import RATE_HZ

log = logging.getLogger(__name__)


def omy_controller() -> JointController:
    """The simulated arm's: its servos trail behind by 0.85 of a step."""
    return JointController(nearest, lead=0.85, max_turn=arm.SPEED / RATE_HZ)


CONTROLLERS: Mapping[str, Callable[[], Controller]] = {
    "libero_osc_pose_delta": DeltaController,
    "omy_joint_absolute": omy_controller,
}
"""What turns approaches into actions, by ``Conventions.action``."""
BATCH = 2048
"""Trajectories made at a time; more are not faster and take more memory."""
SHORTEST = 3
"""Steps of a subtask that eq. 7 needs."""


@dataclass(frozen=True)
class Retargeted:
    """samples: the retargeted ones, possibly none, in physical units. Those of one (current, later)
    pair of subtasks have one ``span``, stand side by side and are ordered by time.

    counts: candidates and rejections by task. dropped: candidates that gave no sample: ``short``
    (the later subtask has too few steps for eq. 7), ``junction`` (found by no rule that is
    permitted, or the arm cannot follow the approach), ``disturbed`` (the chunk would copy an
    injected disturbance), ``branch`` (the arm would have to turn over to go on as recorded).
    """

    samples: Samples
    counts: Mapping[Task, CandidateCounts]
    dropped: Counter[str]


def controller_of(conventions: Conventions) -> Controller:
    """Return what makes actions of this meaning; RainError where retargeting knows none."""
    if conventions.action not in CONTROLLERS:
        raise RainError(
            f"retargeting makes no actions of the meaning {conventions.action!r}, only "
            f"{', '.join(CONTROLLERS)}; switch it off with --retarget.share 0"
        )
    return CONTROLLERS[conventions.action]()


def retarget_samples(
    dataset: Dataset,
    samples: Samples,
    pixels: PackedPixels,
    synthesis: RetargetOptions | None = None,
    candidates: CandidateOptions | None = None,
    advance: Advance | None = None,
) -> Retargeted:
    """Retarget every frame of ``samples`` to every later subtask that the rules permit.

    samples: recorded ones of ``dataset``, of training episodes only. advance: called with
    (done, total) episodes. A function of its arguments alone: every process makes the same.
    Raises RainError where there is no controller for the dataset's actions.
    """
    synthesis = synthesis or RetargetOptions()
    maker = _Maker(samples, dataset, synthesis, controller_of(dataset.conventions))
    counts: dict[Task, CandidateCounts] = {}
    # An empty first part: a dataset without any candidate gives no samples, and no error.
    parts = [samples.take(np.zeros(0, np.int64))]
    if synthesis.mode != "none":
        options = candidates or CandidateOptions()
        found = find_joins(dataset, samples, pixels, options, counts, advance)
        parts += [maker.make(some) for some in _batches(found)]
    made = Samples.concatenate(parts)
    if len(made) == 0 and synthesis.mode != "none":
        log.warning("retargeting: no frame of these episodes gives a sample")
    return Retargeted(made, counts, maker.dropped)


def _batches(joins: Iterator[Joins]) -> Iterator[list[Joins]]:
    """Gather whole episodes until a batch is full."""
    waiting: list[Joins] = []
    for one in joins:
        if len(one.start):
            waiting.append(one)
        if sum(len(some.start) for some in waiting) >= BATCH:
            yield waiting
            waiting = []
    if waiting:
        yield waiting


class _Maker:
    """Turns candidates into samples and counts those that give none."""

    def __init__(
        self, samples: Samples, dataset: Dataset, options: RetargetOptions, controller: Controller
    ) -> None:
        self._samples, self._options, self._controller = samples, options, controller
        self._padding = padding_of(dataset.conventions.action)
        self._alpha = dataset.progress_alpha
        self.dropped: Counter[str] = Counter()

    def make(self, joins: Sequence[Joins]) -> Samples:
        """Synthesise some episodes' trajectories together and cut one sample from each."""
        joins = [self._long_enough(some) for some in joins]
        if not sum(len(some.start) for some in joins):
            return self._samples.take(np.zeros(0, np.int64))
        references, which, disturbed = _references(joins)
        positions, rotations, velocity = self._starts(joins)
        rows = Samples.concatenate([self._rows(some) for some in joins])
        made = synthesise(
            positions, rotations, references, which, self._options, self._controller, velocity,
            rows.state,
        )  # fmt: skip
        rows = replace(
            rows,
            actions=made.chunks(self._padding),
            plan=made.plans(),
            progress=made.progress(self._alpha),
            imitate=np.ones(len(rows), bool),
        )
        copied = _copied(made, references, which, disturbed)
        self._drop("junction", ~made.valid)
        turned = self._turns_over(made, rows.state)
        self._drop("branch", made.valid & turned)
        self._drop("disturbed", made.valid & ~turned & copied)
        return rows.take(made.valid & ~turned & ~copied)

    def _turns_over(self, made: Trajectories, states: Array) -> NDArray[np.bool_]:
        """Say where joint targets leave the recording's branch: (B,); never of pose deltas."""
        controller = self._controller
        if not isinstance(controller, JointController):
            return np.zeros(len(made), bool)
        jumps = joint_jumps(made.actions, made.approach, states[:, : controller.count])
        # The first command is ahead of the arm by the lead too.
        return jumps > (1 + controller.lead) * controller.max_turn

    def _long_enough(self, joins: Joins) -> Joins:
        steps = np.array([span.end - span.start for span in joins.motion.spans])
        enough = steps[joins.later] >= SHORTEST
        self._drop("short", ~enough)
        return joins.take(enough)

    def _drop(self, why: str, which: NDArray[np.bool_]) -> None:
        if which.any():
            self.dropped[why] += int(which.sum())

    def _starts(self, joins: Sequence[Joins]) -> tuple[Array, Array, Array]:
        """Positions (B, 3) m, rotations (B, 3, 3) and velocities (B, 3) m per step."""
        steps = [self._samples.step[some.start] for some in joins]
        here = [(some.motion, at) for some, at in zip(joins, steps, strict=True)]
        positions = np.concatenate([motion.positions[at] for motion, at in here])
        # The hand is on its way: what it did in its last step it goes on to do.
        before = [motion.positions[np.maximum(at - 1, 0)] for motion, at in here]
        rotations = np.concatenate([motion.ee_rotation[at] for motion, at in here])
        return positions, rotations, positions - np.concatenate(before)

    def _rows(self, joins: Joins) -> Samples:
        """The recorded samples at the starts, with what is asked of the network exchanged."""
        motion = joins.motion
        subtasks = [span.subtask for span in motion.spans]
        targets = np.array([motion.targets.index(s.target) for s in subtasks], np.int16)
        kinds = np.array([ACTION_TYPES.index(s.action_type) for s in subtasks], np.int64)
        rows = self._samples.take(joins.start)
        return replace(
            rows,
            target=targets[joins.later],
            action_type=kinds[joins.later],
            span=(joins.current * len(subtasks) + joins.later).astype(np.int32),
        )


def _references(joins: Sequence[Joins]) -> tuple[References, NDArray[np.int64], NDArray[np.bool_]]:
    """The later subtasks as R references, which of them each start has, and where disturbed.

    Returns also int64 (B,) and bool (R, M).
    """
    references: list[Reference] = []
    which: list[NDArray[np.int64]] = []
    disturbed: list[NDArray[np.bool_]] = []
    for some in joins:
        motion = some.motion
        numbers, index = np.unique(some.later, return_inverse=True)
        which.append(len(references) + index)
        for span in (motion.spans[j] for j in numbers):
            recorded = motion.positions, motion.ee_rotation, motion.actions
            references.append(Reference.from_span(*recorded, span))
            disturbed.append(motion.disturbed[span.start : span.end])
    packed = References.pack(references)
    flags = np.zeros(packed.positions.shape[:2], bool)
    for row, own in zip(flags, disturbed, strict=True):
        row[: len(own)] = own
    return packed, np.concatenate(which), flags


def _copied(
    made: Trajectories, references: References, which: NDArray, disturbed: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Say which chunks copy a disturbance from their reference, as in recorded samples: (B,)."""
    at = made.junction[:, None] + np.arange(HORIZON) - made.approach[:, None]
    recorded = (at >= made.junction[:, None]) & (at < references.length[which, None])
    inside = np.clip(at, 0, disturbed.shape[1] - 1)
    return (disturbed[which[:, None], inside] & recorded).any(axis=1)
