"""Which later subtasks the frames of a dataset may be retargeted to, and what forbids the others.

The rules are those of ``rain.retarget.candidates``; here they are given what a dataset holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from rain.demos.cache import Advance
from rain.demos.dataset import Dataset
from rain.demos.episode import Motion
from rain.demos.packed import PackedPixels
from rain.demos.samples import Samples
from rain.demos.supervision import spans_of
from rain.retarget import CandidateOptions, Frame, find_candidates

HAND_VIEW = "wrist"
"""The view that moves with the hand; all others stand still."""
VIEW_WIDTH = 1.0
"""m that a view that stands still shows across, where the targets are. LIBERO's agentview shows
about 0.8 m at the middle of the table; rounded up, so that what is in doubt counts as moved."""
PLAINLY_SEEN = 0.9
"""Of the most pixels that a region has in a subtask; frames with fewer tell little of its place."""
LOOKS = 8
"""Frames of a subtask, at most, in which its target's place is looked up."""
MOVES = frozenset({"grasp", "open", "close", "push"})
"""Action types that move their target."""

K = TypeVar("K")
V = TypeVar("V")
Task = tuple[str, int | None]
"""Suite and number of the task; None where an episode belongs to none."""


@dataclass
class CandidateCounts:
    """What the rules found in some frames.

    frames: how many were asked; with_candidate: how many of them have one at least. candidates:
    pairs of a frame and a later subtask. rejected: pairs that a rule rejected, by its name.
    ``candidates`` and ``rejected`` together are ``pairs``, all subtasks of every frame's episode.
    """

    frames: int = 0
    with_candidate: int = 0
    candidates: int = 0
    pairs: int = 0
    rejected: Counter[str] = field(default_factory=Counter)

    @property
    def share(self) -> float:
        """Share of frames with a candidate; 0 where there is no frame."""
        return self.with_candidate / max(self.frames, 1)

    def add(self, other: CandidateCounts) -> None:
        """Count what ``other`` counted as well."""
        self.frames += other.frames
        self.with_candidate += other.with_candidate
        self.candidates += other.candidates
        self.pairs += other.pairs
        self.rejected.update(other.rejected)


def by_suite(counts: Mapping[Task, CandidateCounts]) -> dict[str, CandidateCounts]:
    """Sum counts by suite, in the order of their names."""
    found: dict[str, CandidateCounts] = {}
    for (suite, _), some in sorted(counts.items(), key=lambda item: item[0][0]):
        found.setdefault(suite, CandidateCounts()).add(some)
    return found


@dataclass(frozen=True)
class Joins:
    """The candidates of an episode, ordered by ``current``, ``later`` and time.

    start: int64 (m,), the samples at whose frames a retargeted one begins. current, later:
    int64 (m,), numbers of the span that the frame belongs to and of the one it is joined to.
    """

    motion: Motion
    start: NDArray[np.int64]
    current: NDArray[np.int64]
    later: NDArray[np.int64]

    def take(self, index: NDArray) -> Joins:
        """Select some by an index or a mask over m."""
        return Joins(self.motion, self.start[index], self.current[index], self.later[index])


def possible_starts(samples: Samples) -> NDArray[np.int64]:
    """Numbers of the samples whose frame may begin a retargeted one: int64 (m,).

    Those that are imitated and not completed. A completed one shows the same frame as the first
    ones of the next subtask, which are asked already.
    """
    return np.flatnonzero(samples.imitate & ~samples.completed)


def find_joins(
    dataset: Dataset,
    samples: Samples,
    pixels: PackedPixels,
    options: CandidateOptions,
    counts: dict[Task, CandidateCounts],
    advance: Advance | None = None,
) -> Iterator[Joins]:
    """Find the candidates of all samples (Appendix A), episode by episode; counts them by task.

    samples: recorded ones of ``dataset``. counts: what was found is added to it.
    advance: called with (done, total) episodes.
    """
    starts = possible_starts(samples)
    episodes, first = np.unique(samples.episode[starts], return_index=True)
    for done, (episode, some) in enumerate(
        zip(episodes.tolist(), np.split(starts, first[1:]), strict=True)
    ):
        motion = dataset.motion(episode)
        seen = EpisodeRegions(motion, pixels, episode, dataset.conventions.views)
        joins, found = _episode_joins(motion, samples, some, seen, options)
        details = dataset.entries[episode].details
        task = (str(details.get("suite", "")), details.get("task"))
        counts.setdefault(task, CandidateCounts()).add(found)
        yield joins
        if advance is not None:
            advance(done + 1, len(episodes))


def count_candidates(
    dataset: Dataset,
    samples: Samples,
    pixels: PackedPixels,
    options: CandidateOptions | None = None,
    advance: Advance | None = None,
) -> dict[Task, CandidateCounts]:
    """Count candidates and rejections by task, without making anything of them."""
    counts: dict[Task, CandidateCounts] = {}
    for _ in find_joins(dataset, samples, pixels, options or CandidateOptions(), counts, advance):
        pass
    return counts


def _episode_joins(
    motion: Motion, samples: Samples, starts: NDArray[np.int64], seen: EpisodeRegions,
    options: CandidateOptions,
) -> tuple[Joins, CandidateCounts]:  # fmt: skip
    counts = CandidateCounts(frames=len(starts), pairs=len(starts) * len(motion.spans))
    steps = samples.step[starts]
    current = spans_of(steps, motion.spans)
    pairs: list[tuple[int, int]] = []
    for i, (frame, step) in enumerate(
        zip(samples.frame[starts].tolist(), steps.tolist(), strict=True)
    ):
        regions = seen.regions(frame)
        asked = Frame.annotated(
            motion.spans, int(current[i]), step, motion.positions[step], regions,
            seen.moved(step, regions),
        )  # fmt: skip
        found, rejected = find_candidates(asked, options)
        pairs += [(i, candidate.span) for candidate in found]
        counts.with_candidate += bool(found)
        counts.rejected.update(rejected)
    counts.candidates = len(pairs)
    which, later = np.array(pairs, np.int64).reshape(-1, 2).T
    # Starts are in time order, which a stable sort keeps.
    order = np.lexsort((later, current[which]))
    which, later = which[order], later[order]
    return Joins(motion, starts[which], current[which], later), counts


class Lazy(Mapping[K, V]):
    """A mapping that makes a value when it is first asked for: most rules need no region."""

    def __init__(self, keys: Iterable[K], make: Callable[[K], V]) -> None:
        self._keys, self._make = tuple(keys), make
        self._made: dict[K, V] = {}

    def __getitem__(self, key: K) -> V:
        if key not in self._made:
            if key not in self._keys:
                raise KeyError(key)
            self._made[key] = self._make(key)
        return self._made[key]

    def __iter__(self) -> Iterator[K]:
        return iter(self._keys)

    def __len__(self) -> int:
        return len(self._keys)


@dataclass(frozen=True)
class Extents:
    """Where regions lie: size int64 (...), pixels; low, high int64 (..., 2), rows and columns
    from the first that holds a pixel up to the one after the last."""

    size: NDArray[np.int64]
    low: NDArray[np.int64]
    high: NDArray[np.int64]

    @classmethod
    def of(cls, regions: NDArray[np.bool_]) -> Extents:
        """Measure regions, bool (..., S, S)."""
        lines = np.stack([regions.any(axis=-1), regions.any(axis=-2)], axis=-2)
        return cls(
            size=regions.sum(axis=(-2, -1)),
            low=lines.argmax(axis=-1),
            high=lines.shape[-1] - lines[..., ::-1].argmax(axis=-1),
        )

    def shift(self, other: Extents) -> NDArray[np.int64]:
        """By how many pixels the smaller region reaches beyond the larger one's box: (...).

        A target that stands still and is hidden in part lies within what was seen of it in whole;
        one that has moved reaches out by as much as it has moved.
        """
        sign = np.where(self.size <= other.size, 1, -1)[..., None]
        out = np.maximum(sign * (other.low - self.low), sign * (self.high - other.high))
        return np.maximum(out.max(axis=-1), 0)


class EpisodeRegions:
    """The regions of an episode's targets, and how far they yet move before their subtask.

    A dataset holds no poses of objects. Whether a target is now where its own subtask will find it
    is known twice over. By the annotation: what a subtask in between grasps, opens, closes or
    pushes moves. And in the views that stand still: the target's region now is compared with its
    regions from the start of that subtask to the interaction, at which it begins to move itself.
    The regions also find what is moved along or by accident, but take what comes into view, such
    as the inside of a drawer, for something that was hidden; hence the annotation.
    """

    def __init__(
        self, motion: Motion, pixels: PackedPixels, episode: int, views: tuple[str, ...]
    ) -> None:
        self._motion = motion
        self._labels = pixels.labels(episode)
        self._lookup = dict(zip(motion.targets, pixels.lookup(episode), strict=True))
        self._still = [v for v, name in enumerate(views) if name != HAND_VIEW]
        self._places = Lazy(range(len(motion.spans)), self._place)

    def regions(self, frame: int) -> Mapping[str, NDArray[np.bool_]]:
        """Target -> bool (V, S, S) at kept frame number ``frame``."""
        labels = self._labels[frame]
        return Lazy(self._lookup, lambda target: np.take(self._lookup[target], labels))

    def moved(self, step: int, regions: Mapping[str, NDArray[np.bool_]]) -> Mapping[int, float]:
        """Number of a span -> m by which its target is yet moved before it, as far as is known.

        Infinite where the annotation says so, and where no view that stands still shows the target
        both now and then: a wrong target costs more than a lost frame. 0 where the target is not
        to be seen at all, which is for the rule about regions to say.
        """

        def measure(number: int) -> float:
            now = regions[self._motion.spans[number].subtask.target]
            if self._in_between(step, number):
                return float("inf")
            if not now.any():
                return 0.0
            here, there = Extents.of(now[self._still]), self._places[number]
            tells = (here.size > 0) & (there.size > 0)
            if not tells.any():
                return float("inf")
            return float(here.shift(there)[tells].max()) / now.shape[-1] * VIEW_WIDTH

        return Lazy(range(len(self._motion.spans)), measure)

    def _in_between(self, step: int, number: int) -> bool:
        """Whether a subtask not over at ``step`` moves the target before span ``number``."""
        spans = self._motion.spans
        target = _moving_part(spans[number].subtask.target)
        return any(
            span.end > step
            and span.subtask.action_type in MOVES
            and _moving_part(span.subtask.target) == target
            for span in spans[:number]
        )

    def _place(self, number: int) -> Extents:
        """Where a span's target lies from its start to its interaction, frame by frame (F, V')."""
        span, frames = self._motion.spans[number], self._motion.frames
        first, last = np.searchsorted(frames, (span.start, span.interaction))
        first = min(int(first), len(frames) - 1)
        last = max(int(last), first + 1)
        looks = np.unique(np.linspace(first, last - 1, LOOKS).astype(int))
        region = self._lookup[span.subtask.target][self._labels[looks][:, self._still]]
        found = Extents.of(region)
        # Seen only in part, as behind the arm, it would seem to be elsewhere.
        plain = found.size >= PLAINLY_SEEN * found.size.max(axis=0)
        return Extents(np.where(plain, found.size, 0), found.low, found.high)


def _moving_part(target: str) -> str:
    """What of a target moves: of ``plate_1->PLACE`` the plate."""
    return target.partition("->")[0]
