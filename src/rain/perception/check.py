"""How well a segmenter follows: its regions against the simulator's, over recorded demonstrations.

At the first frame of every subtask the segmenter is seeded, in each view that shows the target,
from the recorded region; then it sees the subtask's frames in their order.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rain.demos.dataset import Dataset
from rain.demos.episode import Episode
from rain.perception.options import PromptKind
from rain.perception.reasoner.libero import TruthGrounder
from rain.perception.segmenter import Segmenter
from rain.perception.truth import RecordedSegmenter
from rain.types import SubtaskSpan

PARTS = 4
"""Into how many parts a subtask's time is cut in the summary."""


@dataclass(frozen=True)
class Followed:
    """One subtask's target in one view.

    when: (n,), 0 at the subtask's begin to 1 at its end, of the frames after the seed. iou: (n,),
    intersection over union of region and truth; NaN where neither shows anything. visible: (n,),
    the truth shows the target. given: (n,), the segmenter gives a region. seeded: the target was to
    be seen at the subtask's begin; where it was not, no region is ever given.
    """

    episode: int
    subtask: str
    action_type: str
    view: str
    seeded: bool
    when: NDArray[np.float64]
    iou: NDArray[np.float64]
    visible: NDArray[np.bool_]
    given: NDArray[np.bool_]


@dataclass
class Checked:
    """All that was followed, and the milliseconds of each frame, all its views together."""

    followed: list[Followed] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)


def check_dataset(
    dataset: Dataset, segmenter: Segmenter, prompt: PromptKind, episodes: Sequence[int]
) -> Iterator[Checked]:
    """Follow through the ``episodes``; yields one at a time."""
    views, rate_hz = dataset.conventions.views, dataset.conventions.rate_hz
    for index in episodes:
        checked = Checked()
        episode = dataset.episode(index)
        truth = RecordedSegmenter(episode, views, rate_hz)
        for span in episode.spans:
            _follow(checked, index, truth, span, segmenter, prompt)
        yield checked


def _follow(
    checked: Checked,
    index: int,
    truth: RecordedSegmenter,
    span: SubtaskSpan,
    segmenter: Segmenter,
    prompt: PromptKind,
) -> None:
    """Add what becomes of the target of ``span``, a subtask of the episode number ``index``."""
    target, episode, views = span.subtask.target, truth.episode, truth.views
    numbers = [n for n, step in enumerate(episode.frames) if span.start <= step <= span.end]
    if len(numbers) < 2:
        return
    first = truth.frame(numbers[0])
    known = _Recorded(episode, numbers[0], views)
    prompts = TruthGrounder(known, prompt).ground(target, target, first)
    segmenter.forget()
    if prompts:
        segmenter.seed(target, first, prompts)
    shares: dict[str, list[tuple[float, bool, bool]]] = {view: [] for view in views}
    for number in numbers[1:]:
        frame = truth.frame(number)
        began = time.perf_counter()
        found = segmenter.follow(frame).get(target, {})
        if prompts:
            checked.milliseconds.append(1000 * (time.perf_counter() - began))
        for v, view in enumerate(views):
            true = episode.region(number, target)[v]
            region = found[view].region if view in found else np.zeros_like(true)
            shares[view].append((iou(region, true), bool(true.any()), bool(region.any())))
    steps = episode.frames[numbers[1:]]
    when = (steps - span.start) / max(span.end - span.start, 1)
    for view in views:
        values, visible, given = (np.array(column) for column in zip(*shares[view], strict=True))
        checked.followed.append(
            Followed(
                index, str(span.subtask), span.subtask.action_type, view, view in prompts,
                when, values, visible, given,
            )
        )  # fmt: skip


class _Recorded:
    """One frame of a demonstration as a world that knows its regions."""

    def __init__(self, episode: Episode, number: int, views: tuple[str, ...]) -> None:
        self._episode, self._number, self._views = episode, number, views

    def regions(self, targets: list[str], view: str, size: int) -> NDArray[np.bool_]:
        at = self._views.index(view)
        return np.stack([self._episode.region(self._number, t)[at] for t in targets])


def iou(region: NDArray[np.bool_], true: NDArray[np.bool_]) -> float:
    """Intersection over union; NaN where both are empty."""
    union = int((region | true).sum())
    return float((region & true).sum() / union) if union else float("nan")


@dataclass(frozen=True)
class Summary:
    """Of some of what was followed.

    frames: in which the target was to be seen, in views that were seeded. iou: mean over them.
    lost: share of them without a region. parts: mean IoU of the first to the last quarter of the
    subtasks' time. unseeded: share of all frames that show the target in views that were not
    seeded, because the target was not to be seen there at the subtask's begin. false: share of the
    frames that do not show it in which a region is given all the same. None: of no frame at all.
    """

    frames: int
    iou: float | None
    lost: float | None
    parts: tuple[float | None, ...]
    unseeded: float | None
    false: float | None


def summarise(followed: Sequence[Followed]) -> Summary:
    """Sum up; None where there is nothing to take a mean of."""
    seeded = [f for f in followed if f.seeded]
    when, share, visible, given = (
        np.concatenate([np.zeros(0), *(getattr(f, name) for f in seeded)])
        for name in ("when", "iou", "visible", "given")
    )
    seen, given = visible.astype(bool), given.astype(bool)
    part = np.minimum((when * PARTS).astype(int), PARTS - 1)
    others = sum(int(f.visible.sum()) for f in followed if not f.seeded)
    return Summary(
        frames=int(seen.sum()),
        iou=_mean(share[seen]),
        lost=_mean(~given[seen]),
        parts=tuple(_mean(share[seen & (part == k)]) for k in range(PARTS)),
        unseeded=others / (others + int(seen.sum())) if others or seen.any() else None,
        false=_mean(given[~seen]),
    )


def _mean(values: NDArray) -> float | None:
    return float(values.mean()) if len(values) else None
