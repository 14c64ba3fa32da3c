"""What a proof shows: success by task and by category, as a table in Markdown and as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rain.bench.proof import ProofEpisode
from rain.bench.scoring import wilson
from rain.worlds.libero.ex.tasks import ExTask


@dataclass(frozen=True)
class ProofScore:
    """The score of some episodes. steps: mean control steps of successes, None without one.

    low, high: Wilson's 95 % interval of the success rate; failures: reason -> how many.
    """

    episodes: int
    successes: int
    low: float
    high: float
    steps: float | None
    failures: dict[str, int]

    @property
    def rate(self) -> float:
        """Share of successes; 0 without episodes."""
        return self.successes / self.episodes if self.episodes else 0.0

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return {**vars(self), "rate": self.rate}


def score(episodes: Sequence[ProofEpisode]) -> ProofScore:
    """Score some episodes."""
    done = [episode.steps for episode in episodes if episode.success]
    low, high = wilson(len(done), len(episodes))
    steps = round(sum(done) / len(done), 1) if done else None
    failures = Counter(episode.failure for episode in episodes if not episode.success)
    return ProofScore(len(episodes), len(done), low, high, steps, dict(failures.most_common()))


def score_tasks(tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode]) -> dict[str, ProofScore]:
    """Task id -> score, of every task, also where it has no episode."""
    return {task.id: score([e for e in episodes if e.task == task.id]) for task in tasks}


def score_categories(
    tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode]
) -> dict[str, ProofScore]:
    """Category -> score, in the tasks' order, and ``all``."""
    category = {task.id: task.category for task in tasks}
    names = dict.fromkeys(category.values())
    scores = {n: score([e for e in episodes if category[e.task] == n]) for n in names}
    return {**scores, "all": score(episodes)}


def summary(
    tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode], **about: Any
) -> dict[str, Any]:
    """The scores as JSON: ``about``, by category and by task."""
    return {
        "format": 1,
        **about,
        "categories": {n: s.to_json() for n, s in score_categories(tasks, episodes).items()},
        "tasks": {n: s.to_json() for n, s in score_tasks(tasks, episodes).items()},
    }


def markdown(tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode]) -> str:
    """Two tables: by category, and by task with the reasons of failures."""
    return "\n".join([*_categories(tasks, episodes), "", *_tasks(tasks, episodes)]) + "\n"


def _categories(tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode]) -> Iterator[str]:
    yield "| category | success | rate | 95 % |"
    yield "|---|---|---|---|"
    for name, found in score_categories(tasks, episodes).items():
        counts = f"{found.successes}/{found.episodes}"
        low, high = 100 * found.low, 100 * found.high
        yield f"| {name} | {counts} | {100 * found.rate:.1f} % | {low:.1f}–{high:.1f} % |"


def _tasks(tasks: Sequence[ExTask], episodes: Sequence[ProofEpisode]) -> Iterator[str]:
    scores = score_tasks(tasks, episodes)
    yield "| id | type | instruction | success | mean steps | failures |"
    yield "|---|---|---|---|---|---|"
    for task in tasks:
        found = scores[task.id]
        reasons = "; ".join(f"{count}× {reason}" for reason, count in found.failures.items())
        steps = "–" if found.steps is None else f"{found.steps:.0f}"
        yield (
            f"| {task.id} | {task.type.replace('_', ' ')} | {task.instruction} "
            f"| {found.successes}/{found.episodes} | {steps} | {reasons} |"
        )
