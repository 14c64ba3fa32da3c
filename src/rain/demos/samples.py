"""Training samples from a demonstration: what the network should answer at each kept frame.

A frame belongs to the subtask it happens in. Frames just past a boundary appear twice: once as the
next subtask's first frames, and once still labelled with the subtask that is now complete, so that
the progress head sees what completion looks like.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.demos.episode import Motion
from rain.demos.supervision import action_chunks, plans, progress_targets
from rain.types import ACTION_TYPES, HORIZON, Array, Conventions, RainError


@dataclass(frozen=True)
class SampleOptions:
    """Which frames become samples.

    tail_frames: kept frames past a subtask's end that still carry its label, as completed; the
        last subtask keeps all that remain.
    drop_stationary: drop near-stationary frames away from an interaction; a policy learns them
        as stalling.
    min_speed, min_turn: m/s and rad/s below which, both, a frame is near-stationary.
    speed_window: control steps over which the speed is taken.
    interaction_margin: control steps before an interaction in which standing still is meant.
    complete_early: control steps before a subtask's end from which it counts as complete, while
        chunks still run to the end. A policy comes to rest where its chunks end; were that just
        where "complete" begins, it would hover at a completion of one half and never move on.
    """

    tail_frames: int = 8
    drop_stationary: bool = True
    min_speed: float = 0.01
    min_turn: float = 0.05
    speed_window: int = 4
    interaction_margin: int = 4
    complete_early: int = 2


@dataclass(frozen=True)
class Samples:
    """n samples as arrays, all in physical units.

    episode: int32 (n,), number in the dataset; frame: int32 (n,), kept frame in the episode.
    step: int32 (n,), control step; target: int16 (n,), index of the episode's targets.
    span: int32 (n,), numbers the subtask within all episodes; its samples are contiguous and
        ordered by time.
    action_type: int64 (n,), index in ACTION_TYPES.
    state: float32 (n, 7); actions: float32 (n, 16, 7); plan: float32 (n, 8, 3) m;
        progress: float32 (n, 3), completion label, S_dist and S_align of eq. 5.
    imitate: bool (n,), False where the chunk would copy an injected disturbance: such a sample
        only trains the progress head.
    """

    episode: NDArray[np.int32]
    frame: NDArray[np.int32]
    step: NDArray[np.int32]
    target: NDArray[np.int16]
    span: NDArray[np.int32]
    action_type: NDArray[np.int64]
    state: Array
    actions: Array
    plan: Array
    progress: Array
    imitate: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.step)

    def take(self, index: NDArray) -> Samples:
        """Select samples by an index or a mask over n."""
        return Samples(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    @property
    def completed(self) -> NDArray[np.bool_]:
        """bool (n,): the subtask is complete."""
        return self.progress[:, 0] > 0.5

    @classmethod
    def concatenate(cls, parts: Sequence[Samples]) -> Samples:
        """Join samples of several episodes and number their spans through."""
        if not parts:
            raise RainError("samples: no episode to take samples from")
        values = {
            f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in fields(cls)
        }
        pair = values["episode"].astype(np.int64) << 32 | values["span"].astype(np.int64)
        values["span"] = np.unique(pair, return_inverse=True)[1].astype(np.int32)
        return cls(**values)


def dataset_samples(
    dataset: Dataset,
    options: SampleOptions,
    advance: Callable[[int, int], None] | None = None,
) -> Samples:
    """Compute the samples of all episodes; ``advance(done, total)`` reports progress.

    Reads no pixels. Raises RainError where the whole dataset gives no sample.
    """
    parts = []
    meaning, alpha = dataset.conventions, dataset.progress_alpha
    for i in range(len(dataset)):
        parts.append(episode_samples(dataset.motion(i), options, meaning, alpha, i))
        if advance is not None:
            advance(i + 1, len(dataset))
    samples = Samples.concatenate(parts)
    if len(samples) == 0:
        raise RainError("samples: the dataset gives none; check its subtasks and SampleOptions")
    return samples


def padding_of(action_meaning: str) -> str:
    """Say how a chunk goes on after its subtask: "zero" motion, or "hold" an absolute command."""
    return "zero" if "delta" in action_meaning else "hold"


def episode_samples(
    motion: Motion,
    options: SampleOptions,
    conventions: Conventions,
    alpha: float,
    episode: int = 0,
) -> Samples:
    """Compute the samples of one episode, subtask by subtask in time order; alpha in 1/m."""
    return Samples.concatenate(
        [
            _span_samples(motion, j, options, conventions, alpha, episode)
            for j in range(len(motion.spans))
        ]
    )


def near_stationary(
    motion: Motion, steps: NDArray, options: SampleOptions, rate_hz: float
) -> NDArray[np.bool_]:
    """Say at which steps the end-effector neither moves nor turns over the speed window."""
    last = len(motion.states) - 1
    later = np.minimum(steps + options.speed_window, last)
    seconds = np.maximum(later - steps, 1) / rate_hz
    speed = np.linalg.norm(motion.positions[later] - motion.positions[steps], axis=-1) / seconds
    trace = np.einsum("nij,nij->n", motion.ee_rotation[later], motion.ee_rotation[steps])
    turn = np.arccos(np.clip((trace - 1) / 2, -1, 1)) / seconds
    return (speed < options.min_speed) & (turn < options.min_turn)


def _span_samples(
    motion: Motion,
    number: int,
    options: SampleOptions,
    conventions: Conventions,
    alpha: float,
    episode: int,
) -> Samples:
    span = motion.spans[number]
    kept = _kept_frames(motion, number, options)
    steps = motion.frames[kept]
    if options.drop_stationary:
        still = near_stationary(motion, steps, options, conventions.rate_hz)
        meant = steps >= span.interaction - options.interaction_margin
        kept, steps = kept[~still | meant], steps[~still | meant]
    n = len(steps)
    window = steps[:, None] + np.arange(HORIZON)
    copied = motion.disturbed[np.minimum(window, len(motion.disturbed) - 1)] & (window < span.end)
    return Samples(
        episode=np.full(n, episode, np.int32),
        frame=kept.astype(np.int32),
        step=steps.astype(np.int32),
        target=np.full(n, motion.targets.index(span.subtask.target), np.int16),
        span=np.full(n, number, np.int32),
        action_type=np.full(n, ACTION_TYPES.index(span.subtask.action_type), np.int64),
        state=motion.states[steps],
        actions=action_chunks(motion.actions, steps, span.end, padding_of(conventions.action)),
        plan=plans(motion.positions, steps, span.interaction, span.position),
        progress=progress_targets(
            motion.positions, motion.ee_rotation, steps, span, alpha, options.complete_early
        ),
        imitate=~copied.any(axis=1),
    )


def _kept_frames(motion: Motion, number: int, options: SampleOptions) -> NDArray[np.int64]:
    span = motion.spans[number]
    during = np.flatnonzero((motion.frames >= span.start) & (motion.frames < span.end))
    after = np.flatnonzero(motion.frames >= span.end)
    if number + 1 < len(motion.spans):
        after = after[: options.tail_frames]
    return np.concatenate([during, after])
