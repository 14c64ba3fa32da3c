"""What a collection came to: sums of its outcomes by scene and over all."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from rain.demos.collect import CollectConfig, Outcome


@dataclass
class Tally:
    """Sums over outcomes; steps: control steps of what was made; seconds: of workers' time."""

    made: int = 0
    missing: int = 0
    steps: int = 0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    action_types: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome) -> None:
        """Count one more."""
        self.made += outcome.made
        self.missing += not outcome.made
        self.steps += outcome.steps
        self.seconds += outcome.seconds
        self.failures.update(_short(reason) for reason in outcome.failures)
        self.action_types.update(outcome.action_types)

    @property
    def tried(self) -> int:
        """Attempts, good and failed."""
        return self.made + self.failures.total()

    @property
    def failure_rate(self) -> float:
        """Failed attempts of all; 0 before the first."""
        return self.failures.total() / max(self.tried, 1)


def tally(outcomes: Iterable[Outcome]) -> Tally:
    """Sum up outcomes."""
    found = Tally()
    for outcome in outcomes:
        found.add(outcome)
    return found


def name_missing(config: CollectConfig) -> str:
    """Name in one line what a finished collection lacks; empty where it is complete."""
    lacking = []
    for suite, task in config.scenes:
        if numbers := config.missing(suite, task):
            lacking.append(f"{suite} task {task}: {_spans(numbers)}")
    return "; ".join(lacking)


def _spans(numbers: list[int]) -> str:
    """Say [1, 2, 3, 7] as 1-3, 7."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    return ", ".join(f"{a}" if a == b else f"{a}-{b}" for a, b in spans)


def _short(reason: str) -> str:
    """The kind of failure: without its particulars, of which there are as many as layouts."""
    return re.sub(r"\b\d+\b", "…", reason.partition(": ")[0])
