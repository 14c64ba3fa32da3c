"""A whole run: trials over workers, progress on the terminal, the table and the summary."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from rain.bench.episode import RolloutConfig
from rain.bench.failures import count_failures
from rain.bench.operator import Operator
from rain.bench.policy_process import PolicyProcess
from rain.bench.protocols import PolicySource, TaskFacts, WorldSource
from rain.bench.records import EpisodeRecord, RecordFile, Target, Trial, latest
from rain.bench.runner import Launch, Runner, launch_process
from rain.bench.score_table import table
from rain.bench.scoring import TaskKey, summary, write_summary
from rain.bench.trials import Starts, horizon_of, parse_tasks, plan_trials
from rain.bench.worker import Film, Setup
from rain.types import RainError


@dataclass(frozen=True)
class Campaign:
    """What is run: ``episodes`` of each of ``tasks`` (``all``, ``3`` or ``0,2,5``) of the suites.

    suite: one, several with commas, or a group's name. own_horizons: each task gets the horizon
    that it declares, or its suite's usual one, in place of ``rollout.horizon``. policy_process: 0,
    a policy in each worker; n, one process with the policy and batches of n rows. launch: where
    workers run. operator: who steers the episodes, in this process; their records say so.
    """

    policies: PolicySource
    worlds: WorldSource
    suite: str
    tasks: str
    episodes: int
    folder: Path
    target: Target = "own"
    starts: Starts = "official"
    seed: int = 0
    film: Film = "none"
    workers: int = 1
    rollout: RolloutConfig = field(default_factory=RolloutConfig)
    own_horizons: bool = False
    policy_process: int = 0
    launch: Launch = launch_process
    operator: Operator | None = None

    @cached_property
    def suites(self) -> tuple[str, ...]:
        """The suites by name."""
        return self.worlds.suites(self.suite)

    @cached_property
    def facts(self) -> dict[TaskKey, TaskFacts]:
        """The tasks that were asked for; RainError where one is unknown."""
        asked = [
            (suite, task)
            for suite in self.suites
            for task in parse_tasks(self.tasks, self.worlds.tasks(suite), suite)
        ]
        return {key: self.worlds.facts(*key) for key in asked}

    @cached_property
    def left_out(self) -> dict[TaskKey, str]:
        """Tasks that cannot be run, and why; RainError where they were asked for one by one."""
        found = {key: facts.missing for key, facts in self.facts.items() if facts.missing}
        if found and (self.tasks != "all" or len(found) == len(self.facts)):
            raise RainError(next(iter(found.values())))
        return found

    def trials(self) -> list[Trial]:
        """All episodes, suite by suite and task by task."""
        keys = [key for key in self.facts if key not in self.left_out]
        return [
            trial
            for suite, task in keys
            for trial in plan_trials(suite, [task], self.episodes, self.target)
        ]

    def setup(self) -> Setup:
        """What a worker needs."""
        horizons = {
            (suite, task): facts.horizon or horizon_of(suite)
            for (suite, task), facts in self.facts.items()
        }
        return Setup(
            make_policy=self.policies,
            make_world=self.worlds,
            rollout=self.rollout,
            settings=self.settings(),
            task_settings={key: facts.settings for key, facts in self.facts.items()},
            horizons=horizons if self.own_horizons else {},
            starts=self.starts,
            seed=self.seed,
            film=self.film,
            folder=self.folder,
            operator=self.operator,
        )

    def settings(self) -> dict[str, Any]:
        """What a result depends on beside its trial; records with other settings are not reused."""
        settings = {
            "weights": self.policies.fingerprint(),
            **self.worlds.settings(),
            "starts": self.starts,
            "seed": self.seed,
            "rollout": asdict(self.rollout),
        }
        if self.policy_process > 1:
            settings["batch"] = self.policy_process
        return settings if self.operator is None else {**settings, "operator": True}


def run_campaign(campaign: Campaign, console: Console) -> int:
    """Run what is not recorded yet, print the table, write summary.json; return crashed episodes.

    Ctrl-C scores what is recorded and then raises KeyboardInterrupt.
    """
    trials, setup = campaign.trials(), campaign.setup()
    for (suite, _), reason in campaign.left_out.items():
        console.print(f"left out of {suite}: {reason}", markup=False, soft_wrap=True)
    with RecordFile(campaign.folder / "episodes.jsonl") as records:
        try:
            done = records.done(setup.settings_of) & set(trials)
            with _Reporter(console, len(trials), done) as told:
                if len(done) < len(trials):
                    with _asking(campaign, setup) as asked:
                        runner = Runner(asked, records, campaign.workers, told, campaign.launch)
                        runner.run(trials)
        finally:
            found = latest(records.records, setup.settings_of)
            scored = [found[trial] for trial in trials if trial in found]
            if scored:
                _report(campaign, setup, scored, console)
    return sum(record.result is None for record in scored)


@contextmanager
def _asking(campaign: Campaign, setup: Setup) -> Iterator[Setup]:
    """The setup, with workers that ask a policy process where the campaign wants one."""
    if not campaign.policy_process:
        yield setup
        return
    with PolicyProcess(campaign.policies, campaign.policy_process) as remote:
        yield replace(setup, make_policy=remote)


def _report(
    campaign: Campaign, setup: Setup, scored: Sequence[EpisodeRecord], console: Console
) -> None:
    suites = ", ".join(campaign.suites)
    title = f"{campaign.policies.name} on {suites}, target {campaign.target}"
    console.print(table(scored, campaign.facts, title, campaign.target))
    if failures := count_failures(scored):
        told = ", ".join(f"{kind} {count}" for kind, count in failures.items())
        console.print(f"failures: {told}", markup=False)
    conventions = next((r.conventions for r in reversed(scored) if r.conventions), None)
    if conventions is not None:
        console.print(_said(conventions), markup=False, highlight=False)
    about = {
        "policy": campaign.policies.name,
        "suite": suites,
        "target": campaign.target,
        "episodes_per_task": campaign.episodes,
        "planned": len(campaign.trials()),
        "conventions": conventions,
        "left_out": {f"{s}/{task}": why for (s, task), why in campaign.left_out.items()},
        "settings": setup.settings,
        "task_settings": {
            f"{suite}/{task}": setup.settings_of(Trial(suite, task, 0))
            for suite, task in campaign.facts
        },
    }
    write_summary(campaign.folder / "summary.json", summary(scored, campaign.facts, **about))
    console.print(f"episodes.jsonl and summary.json are in {campaign.folder}", markup=False)


def _said(conventions: dict[str, Any]) -> str:
    return (
        f"policy and world agree: views {', '.join(conventions['views'])}, "
        f"{conventions['image_size']} px, state {conventions['state']}, "
        f"action {conventions['action']}, {conventions['rate_hz']:g} Hz"
    )


class _Reporter:
    """A progress bar with successes and crashes so far; prints each crash."""

    def __init__(self, console: Console, total: int, done: set) -> None:
        self._counts = {"success": 0, "crashed": 0}
        self._bar = Progress(
            TextColumn("episodes"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[told]}"),
            console=console,
        )
        if done:
            console.print(f"{len(done)} of {total} episodes are recorded already")
        self._task = self._bar.add_task("", total=total, completed=len(done), told="")

    def __call__(self, record: EpisodeRecord) -> None:
        self._counts[record.outcome] = self._counts.get(record.outcome, 0) + 1
        if record.error:
            trial = record.trial
            reason = record.error.strip().splitlines()[-1]
            self._bar.console.print(
                f"{trial.suite} task {trial.task} episode {trial.episode} crashed: {reason}",
                markup=False,
            )
        told = "  ".join(f"{name} {count}" for name, count in self._counts.items() if count)
        self._bar.update(self._task, advance=1, told=told)

    def __enter__(self) -> _Reporter:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()
