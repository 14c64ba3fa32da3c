"""Why episodes fail: each failure gets one kind, from what its record says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rain.bench.episode import EpisodeResult
from rain.bench.records import EpisodeRecord
from rain.types import Subtask

KINDS = {
    "stopped": "an operator ended the episode",
    "whole task done": "a part was asked for, and the whole task got done",
    "region lost": "in more than half of the looks no view showed the target's region",
    "joint limit": "a joint was at its limit in more than a third of the steps",
    "wrong object": "an object was grasped that the script does not name",
    "missed grasp": "the object was never held",
    "dropped": "it was held, and no longer when the steps ran out",
    "not let go": "it was held to the last, and never in its place",
    "wrong place": "the policy took it for put down, and it is not in its place",
    "missed": "a part was never opened, closed, turned or pushed as far as asked",
    "progress too early": "the policy left a subtask that was not done",
    "progress too late": "a subtask was done, and the policy did not leave it",
    "undone": "every subtask was done once, and the goal does not hold at the end",
    "unknown": "the record does not tell: of an older version, or subtasks of the policy's own",
}
"""Kind -> what it means. The first that fits counts, subtask by subtask in the script's order."""

BLIND, AT_LIMIT = 1 / 2, 1 / 3
"""Shares of looks and of steps beyond which these are taken for the reason."""

FRESH = 5
"""Control steps before the end within which what was held counts as still held."""


def failure_of(record: EpisodeRecord) -> str | None:
    """The kind of a failure; None for successes and for crashes, which are none."""
    result = record.result
    if result is None or result.success:
        return None
    return _episode_failure(record, result) or _script_failure(record, result)


def _episode_failure(record: EpisodeRecord, result: EpisodeResult) -> str | None:
    """What was wrong with the episode as a whole, or None."""
    asked = {s.target for s in record.script.subtasks if s.action_type == "grasp"}
    if result.outcome == "stopped":
        return "stopped"
    if result.outcome == "spoiled":
        return "whole task done"
    if None in (result.done, result.limit_steps, result.blind_looks) or result.told is not None:
        return "unknown"
    if (result.blind_looks or 0) > BLIND * max(result.predictions, 1):
        return "region lost"
    if (result.limit_steps or 0) > AT_LIMIT * result.steps:
        return "joint limit"
    return "wrong object" if any(g.object not in asked for g in result.grasps) else None


def _script_failure(record: EpisodeRecord, result: EpisodeResult) -> str:
    """What went wrong in the first subtask in which something did."""
    left, done = {transition.subtask for transition in result.transitions}, result.done or ()
    for i, subtask in enumerate(record.script.subtasks):
        if kind := _subtask_failure(subtask, done[i] is not None, i in left, result):
            return kind
    return "undone"


def _subtask_failure(subtask: Subtask, done: bool, left: bool, result: EpisodeResult) -> str | None:
    """What went wrong in a subtask, or None; left: the policy took it for complete."""
    holds = result.held_until is not None and result.held_until > result.steps - FRESH
    if done and left:
        return None
    if done:
        dropped = subtask.action_type == "grasp" and not holds
        return "dropped" if dropped else "progress too late"
    if left:
        return "wrong place" if subtask.action_type == "release" else "progress too early"
    if subtask.action_type == "grasp":
        return "missed grasp"
    if subtask.action_type == "release":
        return "not let go" if holds else "dropped"
    return "missed"


def count_failures(records: Sequence[EpisodeRecord]) -> dict[str, int]:
    """How many failures are of each kind, in the order of ``KINDS``, without those of none."""
    found = Counter(kind for record in records if (kind := failure_of(record)) is not None)
    return {kind: found[kind] for kind in KINDS if found[kind]}
