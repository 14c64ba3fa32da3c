"""Is a variant better than the full model, or is the difference inside the noise?

Everything is paired. Runs of one seed have the same data, batches and held-out episodes; episodes
of one number have the same start. Two kinds of noise are kept apart: that of **training**, seen in
the spread of the differences over seeds (Student's interval), and that of **episodes**, seen in the
pairs that disagree (the adjusted Wald interval of Bonett and Price, 2012). Where both can be had,
the wider one counts. One seed without episodes has no interval, and no difference is claimed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import mean, stdev
from typing import Literal

from rain.bench.evaluation import Episodes
from rain.bench.scoring import Z95

_STUDENT = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)
"""97.5 % points of Student's t for 1 to 10 degrees of freedom."""


@dataclass(frozen=True)
class Measure:
    """One thing that is compared. scale, unit, digits: how it is shown. episodes: whether it is a
    success rate over episodes, and not a number a run."""

    name: str
    title: str
    better: Literal["less", "more"]
    unit: str = ""
    scale: float = 1.0
    digits: int = 1
    episodes: bool = False


MEASURES = (
    Measure("final_mm", "final waypoint", "less", "mm"),
    Measure("plan_mm", "plan", "less", "mm"),
    Measure("action_error", "actions", "less", "σ", digits=3),
    Measure("progress_accuracy", "progress", "more", "%", scale=100),
    Measure("own", "success", "more", "%", scale=100, episodes=True),
    Measure("another", "region following", "more", "%", scale=100, episodes=True),
)
"""What a comparison shows, in this order, of what it finds: columns of validation.csv, and success
by the target of the rollouts."""


@dataclass(frozen=True)
class Arm:
    """What is known of a variant.

    same_as: name of the earlier arm that it shares its runs with. seeds: those asked for. finished:
    those that are trained. values: measure → seed → value. episodes: measure → seed → outcomes.
    failed: why, by seed.
    """

    name: str
    title: str
    panel: str
    changes: tuple[str, ...]
    paper: float | None
    same_as: str | None
    seeds: tuple[int, ...]
    finished: tuple[int, ...] = ()
    values: Mapping[str, Mapping[int, float]] = field(default_factory=dict)
    episodes: Mapping[str, Mapping[int, Episodes]] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)

    def by_seed(self, measure: Measure) -> dict[int, float]:
        """The measure of each seed that has it; a success rate from its episodes."""
        if not measure.episodes:
            return dict(self.values.get(measure.name, {}))
        runs = self.episodes.get(measure.name, {})
        return {seed: mean(outcomes.values()) for seed, outcomes in runs.items() if outcomes}


@dataclass(frozen=True)
class Difference:
    """A variant less the full model. by_seed: of the seeds that both have.

    low, high: 95 % interval of the mean; None where nothing says how large the noise is. episodes:
    pairs of episodes that were compared.
    """

    mean: float
    low: float | None
    high: float | None
    by_seed: Mapping[int, float]
    episodes: int = 0

    @property
    def clear(self) -> bool:
        """Whether the interval leaves 0 out."""
        return self.low is not None and self.high is not None and not self.low <= 0 <= self.high

    def verdict(self, measure: Measure) -> str:
        """``better``, ``worse``, ``inside the noise`` or ``equal``; says where it is one seed's."""
        # As of rows that share their stage 1. Episodes are only a sample: they have noise even so.
        if not self.episodes and not any(self.by_seed.values()):
            return "equal"
        if not self.clear:
            return "inside the noise" if self.low is not None else "one seed: inside the noise"
        better = (self.mean > 0) == (measure.better == "more")
        word = "better" if better else "worse"
        return word if len(self.by_seed) > 1 else f"{word}, of one seed"


def compare(arm: Arm, full: Arm, measure: Measure) -> Difference | None:
    """The paired difference of a measure; None where no seed has it in both."""
    if measure.episodes:
        return compare_episodes(
            arm.episodes.get(measure.name, {}), full.episodes.get(measure.name, {})
        )
    return compare_seeds(arm.by_seed(measure), full.by_seed(measure))


def compare_seeds(mine: Mapping[int, float], theirs: Mapping[int, float]) -> Difference | None:
    """Mean difference of the seeds both have, with Student's interval from two seeds on."""
    found = {seed: mine[seed] - theirs[seed] for seed in mine if seed in theirs}
    if not found:
        return None
    low, high = student(list(found.values()))
    return Difference(mean(found.values()), low, high, found)


def compare_episodes(
    mine: Mapping[int, Episodes], theirs: Mapping[int, Episodes]
) -> Difference | None:
    """Difference of success rates on the episodes that both have, seed by seed.

    The interval is the wider of Student's over seeds, from two on, and the paired one over all
    episodes.
    """
    found: dict[int, float] = {}
    won = lost = pairs = 0
    for seed in sorted({*mine} & {*theirs}):
        both = {*mine[seed]} & {*theirs[seed]}
        if not both:
            continue
        gains = [int(mine[seed][trial]) - int(theirs[seed][trial]) for trial in both]
        found[seed] = mean(gains)
        won, lost, pairs = won + gains.count(1), lost + gains.count(-1), pairs + len(both)
    if not found:
        return None
    intervals = [paired_interval(won, lost, pairs)]
    low, high = student(list(found.values()))
    if low is not None and high is not None:
        intervals.append((low, high))
    wide = max(intervals, key=lambda ends: ends[1] - ends[0])
    return Difference(mean(found.values()), *wide, found, pairs)


def student(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Student's 95 % interval of a mean; (None, None) for fewer than two values.

    Beyond ten degrees of freedom the interval for ten is given, which is a little too wide.
    """
    if len(values) < 2:
        return None, None
    point = _STUDENT[min(len(values) - 1, len(_STUDENT)) - 1]
    half = point * stdev(values) / math.sqrt(len(values))
    return mean(values) - half, mean(values) + half


def paired_interval(won: int, lost: int, pairs: int, z: float = Z95) -> tuple[float, float]:
    """Interval of a difference of paired proportions (Bonett and Price, 2012, eq. 4).

    won, lost: pairs in which only the first, or only the second, succeeded. One is added to each of
    the two counts, so that a few pairs that all agree do not look certain.
    """
    if min(won, lost) < 0 or won + lost > pairs or pairs < 1:
        raise ValueError(f"expected won + lost <= pairs, got {won} + {lost} of {pairs}")
    first, second = (won + 1) / (pairs + 2), (lost + 1) / (pairs + 2)
    centre = first - second
    half = z * math.sqrt((first + second - centre**2) / (pairs + 2))
    return max(-1.0, centre - half), min(1.0, centre + half)
