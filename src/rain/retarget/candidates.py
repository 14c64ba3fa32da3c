"""Which later subtasks a frame may be retargeted to (the paper's Appendix A), rule by rule."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import SubtaskSpan

EMPTY_PAPER = frozenset({"grasp", "close"})
EMPTY_OURS = frozenset({"open", "turn_on", "push"})
HOLDING = frozenset({"release", "close"})


@dataclass(frozen=True)
class CandidateOptions:
    """Limits of the rules. Where the paper names a limit without a value, the value is ours."""

    more_types: bool = True
    """Ours: an empty hand also permits open, turn_on and push, by the same reason as close."""
    min_pixels: int = 8
    """A region is valid in a view where it has this many pixels."""
    min_views: int = 1
    """and valid in a frame where it is so in this many views."""
    max_overlap: float = 0.5
    """Largest share of the smaller of both regions that may be common, in any view."""
    min_distance: float = 0.03
    """m between end-effector and interaction point; the paper's value."""
    max_moved: float | None = 0.02
    """Ours, m: how far a target may yet move before its own subtask; None: as far as it likes. The
    recorded interaction point is only true of where the target then was."""


@dataclass(frozen=True)
class Frame:
    """One observed moment of an episode.

    spans: the episode's subtasks in order; current: number of the one this frame belongs to.
    step: the control step. position: (3,) m, the end-effector.
    regions: target -> bool (V, H, W) in this frame; a target may be absent.
    holding: whether the hand holds something; None while it is closing or opening. By default
        taken from the annotation (``hand_state``).
    moved: number of a span -> m its target is still moved before it, where that is known. By span
        and not by target: a drawer may be opened, filled and closed, each at another place.
    """

    spans: Sequence[SubtaskSpan]
    current: int
    step: int
    position: ArrayLike
    regions: Mapping[str, NDArray[np.bool_]]
    holding: bool | None = field(default=None)
    moved: Mapping[int, float] = field(default_factory=dict)

    @classmethod
    def annotated(
        cls, spans: Sequence[SubtaskSpan], current: int, step: int, position: ArrayLike,
        regions: Mapping[str, NDArray[np.bool_]], moved: Mapping[int, float] | None = None,
    ) -> Frame:  # fmt: skip
        """Build a frame whose hand state comes from the annotation."""
        holding = hand_state(spans, step)
        return cls(spans, current, step, position, regions, holding, moved or {})

    @property
    def held(self) -> int | None:
        """Number of the grasp whose object is in the hand."""
        if not self.holding:
            return None
        grasps = [
            j for j, s in enumerate(self.spans)
            if s.subtask.action_type == "grasp" and s.interaction <= self.step
        ]  # fmt: skip
        return grasps[-1] if grasps else None


@dataclass(frozen=True)
class Candidate:
    """A later subtask to retarget to.

    span: its number in the episode; its path is the reference, its target's region the input.
    source: for a release the object in the hand now, which takes the place of the one that the
        later subtask released; None for other action types.
    """

    span: int
    action_type: str
    target: str
    source: str | None = None


def hand_state(spans: Sequence[SubtaskSpan], step: int) -> bool | None:
    """Say by the annotation whether the hand holds something at a step; None in between."""
    holding: bool | None = False
    for span in spans:
        if step < span.interaction:
            break
        if span.subtask.action_type in ("grasp", "release"):
            settled = step >= span.end
            holding = (span.subtask.action_type == "grasp") if settled else None
    return holding


def estimate_holding(
    opening: float, before: float, closing: bool, closed: float = 0.003, still: float = 1e-3
) -> bool | None:
    """Estimate the hand state where nothing is annotated.

    opening, before: m, the gripper's now and a few steps ago; closing: it is commanded to close.
    Told to close, at rest and not ``closed``: something is between the fingers.
    """
    if abs(opening - before) > still:
        return None
    return bool(closing and opening > closed)


Rule = Callable[[Frame, int, CandidateOptions], bool]


def later(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """Only subtasks after the current one: past ones would be acted on in reverse, the current
    one is the original task."""
    return number > frame.current


def hand_settled(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """Ours: a hand that is just closing or opening permits nothing; it must finish first."""
    return frame.holding is not None


def hand_permits(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """An empty hand cannot release and a full one cannot grasp."""
    if frame.holding:
        permitted = HOLDING
    else:
        permitted = EMPTY_PAPER | EMPTY_OURS if options.more_types else EMPTY_PAPER
    return frame.spans[number].subtask.action_type in permitted


def not_completion_edge(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """No trivial continuation of the original task: once the current subtask has reached its
    interaction, the next one is what the demonstration does anyway. (Our reading of the paper's
    "original task-completion edge".)"""
    follows = number == frame.current + 1
    return not (follows and frame.step >= frame.spans[frame.current].interaction)


def not_current_target(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """Ours: what is done to the same target as now, in the same way, is not a new target."""
    return frame.spans[number].subtask != frame.spans[frame.current].subtask


def not_own_place(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """A release pairs the held object with a later place, never with the place that it is taken to
    in the demonstration: that is the original task."""
    subtask = frame.spans[number].subtask
    if subtask.action_type != "release" or frame.held is None:
        return True
    releases = (s.subtask for s in frame.spans[frame.held + 1 :])
    own = next((s.target for s in releases if s.action_type == "release"), None)
    return subtask.target != own


def not_held(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """Ours: nothing is done to the object in the hand itself."""
    held = frame.held
    return held is None or frame.spans[number].subtask.target != frame.spans[held].subtask.target


def region_valid(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """The network is told the target by its region: it must be visible in this frame."""
    region = frame.regions.get(frame.spans[number].subtask.target)
    if region is None:
        return False
    seen = region.reshape(len(region), -1).sum(axis=1) >= options.min_pixels
    return int(seen.sum()) >= options.min_views


def little_overlap(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """Two targets under much the same region cannot be told apart by it."""
    held = frame.held
    now = frame.spans[frame.current if held is None else held].subtask.target
    later_target = frame.spans[number].subtask.target
    if later_target == now:
        # Another action type on the same target: told apart by the action type.
        return True
    return overlap(frame.regions.get(now), frame.regions.get(later_target)) <= options.max_overlap


def far_enough(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """A hand already at the interaction point would only be a copy of a recorded state."""
    offset = frame.spans[number].position - np.asarray(frame.position, dtype=np.float64)
    return bool(np.linalg.norm(offset) >= options.min_distance)


def target_unmoved(frame: Frame, number: int, options: CandidateOptions) -> bool:
    """Ours: the later subtask must be possible now, so its target must already be where it will
    be (not, for one, in a drawer that is yet to be opened)."""
    if options.max_moved is None:
        return True
    return frame.moved.get(number, 0.0) <= options.max_moved


RULES: tuple[Rule, ...] = (
    later, hand_settled, hand_permits, not_completion_edge, not_current_target, not_own_place,
    not_held, target_unmoved, region_valid, little_overlap, far_enough,
)  # fmt: skip
"""In the order they are asked; cheap ones first. Leave out of this tuple what you do not want."""


def overlap(one: NDArray[np.bool_] | None, other: NDArray[np.bool_] | None) -> float:
    """Largest share, over the views, of the smaller region that both have in common: [0, 1]."""
    if one is None or other is None:
        return 0.0
    both = (one & other).reshape(len(one), -1).sum(axis=1)
    sizes = np.stack([x.reshape(len(x), -1).sum(axis=1) for x in (one, other)])
    return float((both / np.maximum(sizes.min(axis=0), 1)).max(initial=0.0))


def find_candidates(
    frame: Frame, options: CandidateOptions | None = None, rules: Sequence[Rule] = RULES
) -> tuple[list[Candidate], Counter[str]]:
    """Candidates of a frame, and how many spans each rule rejected (the first that did, by name).

    Candidates and rejections together are the episode's spans.
    """
    options = options or CandidateOptions()
    found, rejected = [], Counter[str]()
    for number, span in enumerate(frame.spans):
        failed = next((r for r in rules if not r(frame, number, options)), None)
        if failed is not None:
            rejected[failed.__name__] += 1
            continue
        releases = span.subtask.action_type == "release" and frame.held is not None
        source = frame.spans[frame.held].subtask.target if releases else None  # type: ignore[index]
        found.append(Candidate(number, span.subtask.action_type, span.subtask.target, source))
    return found, rejected
