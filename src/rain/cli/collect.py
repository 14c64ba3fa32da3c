"""``rain collect``: demonstrations by the scripted expert."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from rain.bench.sources import CheckpointPolicies
from rain.demos.collect import CollectConfig, TaskSummary, collect
from rain.worlds.libero.suites import suite_tasks


@dataclass(frozen=True)
class Collect(CollectConfig):
    """Collect demonstrations ``first`` to ``first + demos`` of each task's scene.

    Ctrl-C keeps what was made; the same command goes on where it stopped.
    """

    policy: str | None = None
    """A checkpoint that begins the subtasks before the expert takes over: the demonstrations then
    correct what it does. Number them after the others with --first."""


def main(args: list[str]) -> int:
    """Collect demonstrations; files that are there already are kept."""
    config = tyro.cli(Collect, args=args, prog="rain collect")
    config.check()
    policies = CheckpointPolicies(config.policy) if config.policy is not None else None
    if policies is not None:
        policies.fingerprint()  # an unknown checkpoint is one line here, not one in each worker
    tasks = config.tasks or tuple(range(len(suite_tasks(config.suite))))
    there = sum(config.file(t, n).exists() for t in tasks for n in config.numbers)
    columns = (
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    console = Console()
    parts: dict[int, list[TaskSummary]] = defaultdict(list)
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("demonstrations", total=len(tasks) * config.demos, completed=there)
        for summary in collect(config, policies):
            parts[summary.task].append(summary)
            progress.advance(bar, summary.made)
    console.print(_table(config, parts))
    console.print(f"{len(tasks) * config.demos} demonstrations in {config.folder}")
    return 0


def _table(config: CollectConfig, parts: dict[int, list[TaskSummary]]) -> Table:
    table = Table("task", "made", "kept of tried", "mean steps", "s each", "most frequent failures")
    for task, summaries in sorted(parts.items()):
        made = sum(s.made for s in summaries)
        failures: Counter[str] = sum((s.failures for s in summaries), Counter())
        lost = sum(failures.values())
        table.add_row(
            str(task),
            str(made),
            f"{made}/{made + lost}",
            f"{sum(s.steps for s in summaries) / made:.0f}",
            f"{sum(s.seconds for s in summaries) / made:.2f}",
            "\n".join(f"{count}× {reason}" for reason, count in failures.most_common(2)),
        )
    return table
