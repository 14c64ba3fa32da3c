"""The same episodes for several checkpoints: what an ablation's success is measured on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.protocols import PolicySource, WorldSource
from rain.bench.records import Target, latest, read_records
from rain.bench.sources import LiberoWorlds
from rain.bench.trials import Starts
from rain.types import Policy

Episodes = dict[tuple[str, int, int], bool]
"""(suite, task, episode) → success; crashed and missing episodes are not in it."""


@dataclass(frozen=True)
class Evaluation:
    """Which episodes every checkpoint runs, from the same starts and with the same seeds."""

    suites: tuple[str, ...]
    """libero_spatial, libero_object, libero_goal, libero_10 …"""
    tasks: str = "all"
    """Task number, several (0,2,5) or all."""
    episodes: int = 10
    """Episodes of each task."""
    targets: tuple[Target, ...] = ("own",)
    """own: the task. another: region following."""
    starts: Starts = "fresh"
    """official init states, or fresh resets of the same regions."""
    workers: int = 1
    """Processes with one simulator each."""
    worlds: WorldSource = field(default_factory=LiberoWorlds)
    """Where the worlds come from."""

    def check(self) -> None:
        """Raise RainError for a suite or a task that does not exist."""
        for _, campaign in self._campaigns(_NoPolicies(), Path()):
            campaign.trials()

    def run(self, policies: PolicySource, folder: Path, console: Console) -> int:
        """Run what is not recorded yet; returns the number of crashed episodes."""
        campaigns = self._campaigns(policies, folder)
        return sum(run_campaign(campaign, console) for _, campaign in campaigns)

    def recorded(self, policies: PolicySource, folder: Path) -> dict[Target, Episodes]:
        """What is recorded of these episodes with the policies' present weights, by target."""
        found: dict[Target, Episodes] = {target: {} for target in self.targets}
        for target, campaign in self._campaigns(policies, folder):
            asked = set(campaign.trials())
            settings_of = campaign.setup().settings_of
            records = latest(read_records(campaign.folder / "episodes.jsonl"), settings_of)
            found[target] |= {
                (trial.suite, trial.task, trial.episode): record.result.success
                for trial, record in records.items()
                if trial in asked and record.result is not None
            }
        return found

    def _campaigns(self, policies: PolicySource, folder: Path) -> Iterator[tuple[Target, Campaign]]:
        for suite in self.suites:
            for target in self.targets:
                yield (
                    target,
                    Campaign(
                        policies=policies,
                        worlds=self.worlds,
                        suite=suite,
                        tasks=self.tasks,
                        episodes=self.episodes,
                        folder=folder / f"{suite}-{target}-{self.starts}",
                        target=target,
                        starts=self.starts,
                        workers=self.workers,
                        own_horizons=True,
                    ),
                )


class _NoPolicies:
    """Stands in where only the tasks of a campaign are looked at."""

    name = ""

    def fingerprint(self) -> str:
        """Nothing to tell."""
        return ""

    def __call__(self, seed: int) -> Policy:
        """There is none."""
        raise NotImplementedError
