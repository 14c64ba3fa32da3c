"""Where to merge: the junction of a start with a reference (eq. 7)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.retarget.options import RetargetOptions
from rain.retarget.reference import References
from rain.retarget.rotations import Floats

PAPER, RELAXED, FIRST_POSE, REJOINED = 0, 1, 2, 3
"""How a junction was found: by eq. 7 under its limits; by the relaxed score; the reference's first
pose, for want of any other; the start itself lies on the reference."""


@dataclass(frozen=True)
class Junctions:
    """index: int64 (B,), k*; score: (B,), that of the rule that found it; rule: int8 (B,)."""

    index: NDArray[np.int64]
    score: NDArray[np.float64]
    rule: NDArray[np.int8]


@dataclass(frozen=True)
class Terms:
    """What eq. 7 is made of, each (B, M); meaningless in the padding.

    alignment: v_k . t_k, in [-1, 1]; distance: d_k, m; preserved: 1 - k / M.
    """

    alignment: NDArray[np.float64]
    distance: NDArray[np.float64]
    preserved: NDArray[np.float64]


def score_terms(starts: Floats, references: References, which: NDArray) -> Terms:
    """Terms of eq. 7 of B starts (B, 3) m, each against the reference ``which`` (B,)."""
    tangents = references.tangents[which]
    offset = references.positions[which] - np.asarray(starts, np.float64)[:, None]
    distance = np.sqrt(np.einsum("bmd,bmd->bm", offset, offset))
    along = np.einsum("bmd,bmd->bm", offset, tangents)
    # A start on the reference point has no approach direction: any merges as well as the tangent's.
    away = distance > 0
    alignment = np.where(away, along / np.where(away, distance, 1.0), 1.0)
    steps = np.arange(offset.shape[1])
    preserved = 1 - steps / references.length[which, None]
    return Terms(np.clip(alignment, -1.0, 1.0), distance, preserved)


def paper_score(terms: Terms, d_max: float) -> NDArray[np.float64]:
    """S_k of eq. 7: (B, M)."""
    return terms.alignment * (1 - terms.distance / d_max) * terms.preserved


def relaxed_score(terms: Terms, d_max: float) -> NDArray[np.float64]:
    """Ours: like eq. 7 rising with alignment and falling with d and k, but positive: (B, M)."""
    return (1 + terms.alignment) / 2 / (1 + terms.distance / d_max) * terms.preserved


def find_junctions(
    starts: Floats, references: References, which: NDArray, options: RetargetOptions
) -> Junctions:
    """Find k* of each start (B, 3) on its reference: arg max of eq. 7 under its limits.

    Candidates are 1 <= k <= M - 2 with a tangent, as in the paper, and by ``options.margin`` and
    ``keep_distance`` (ours) before the interaction. Where none meets the proximity and direction
    limits the relaxed score decides, and where there is no candidate at all, k* is 0.
    """
    terms = score_terms(starts, references, which)
    steps = np.arange(terms.distance.shape[1])
    last = references.length[which] - 2
    if options.margin:
        last = np.minimum(last, references.interaction[which] - options.margin)
    allowed = (steps >= 1) & (steps <= last[:, None])
    if options.keep_distance > 0:
        allowed = _outside(allowed, references, which, options.keep_distance)
    within = (
        allowed
        & (terms.distance <= min(options.max_distance, options.d_max))
        & (terms.alignment >= options.min_alignment)
        & moving(references)[which]
    )
    index, score, found = _best(paper_score(terms, options.d_max), within)
    rule = np.where(found, PAPER, RELAXED).astype(np.int8)
    if not found.all():
        lost = np.flatnonzero(~found)
        part = Terms(terms.alignment[lost], terms.distance[lost], terms.preserved[lost])
        again = _best(relaxed_score(part, options.d_max), allowed[lost])
        index[lost], score[lost] = again[0], again[1]
        rule[lost] = np.where(again[2], RELAXED, FIRST_POSE)
    return Junctions(index, score, rule)


def moving(references: References) -> NDArray[np.bool_]:
    """Say where a reference has a tangent: bool (R, M)."""
    return (references.tangents != 0).any(axis=2)


def _best(score: Floats, allowed: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """Index (B,) and value of the best allowed score, and whether any was: 0 and 0 if not."""
    score = np.where(allowed, score, -np.inf)
    index = score.argmax(axis=1)
    best = score[np.arange(len(score)), index]
    found = best > -np.inf
    return np.where(found, index, 0), np.where(found, best, 0.0), found


def _outside(
    allowed: NDArray, references: References, which: NDArray, distance: float
) -> NDArray[np.bool_]:
    """Allow only what comes before the path first enters the ball around the interaction point.

    A reference that never lies outside of it is left as it is.
    """
    offset = references.positions - references.point[:, None]
    inside = np.einsum("rmd,rmd->rm", offset, offset) < distance**2
    before = (np.cumsum(inside, axis=1) == 0)[which]
    outside = allowed & before
    return np.where(outside.any(axis=1, keepdims=True), outside, allowed)
