"""``rain collect``: demonstrations by the scripted expert."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

import tyro
from rich.console import Console
from rich.progress import TextColumn
from rich.table import Table

from rain.bench.sources import CheckpointPolicies
from rain.cli.progress import counting
from rain.demos.collect import CollectConfig, Outcome, collect
from rain.demos.tally import Tally, name_missing, tally


@dataclass(frozen=True)
class Collect(CollectConfig):
    """Collect demonstrations ``first`` to ``first + demos`` of each task's scene.

    Ctrl-C, or a kill, keeps what was made; the same command goes on where it stopped. Exit code 1
    where some could not be made: the last line names them.
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
    total = len(config.scenes) * config.demos
    there = total - sum(len(config.missing(*scene)) for scene in config.scenes)
    console, began = Console(), time.monotonic()
    outcomes: list[Outcome] = []
    every = Tally()
    failed = TextColumn("{task.fields[failed]:.0%} of tries failed")
    with counting(console, failed) as progress:
        bar = progress.add_task("demonstrations", total=total, completed=there, failed=0.0)
        for outcome in collect(config, policies):
            outcomes.append(outcome)
            every.add(outcome)
            progress.update(bar, advance=1, failed=every.failure_rate)
    if outcomes:
        console.print(_table(config, outcomes))
        _print_totals(console, every, time.monotonic() - began)
    missing = name_missing(config)
    here = config.out / config.track if config.suite == "all" else config.folder(config.suite)
    console.print(
        f"{there} demonstrations were there, {every.made} made: {here}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if missing:
        console.print(f"missing: {missing}", style="red", highlight=False, soft_wrap=True)
    return 1 if missing else 0


def _table(config: Collect, outcomes: list[Outcome]) -> Table:
    table = Table()
    for name in ("suite", "task", "made", "kept\nof tried", "mean\nsteps", "s each"):
        table.add_column(name, no_wrap=True)
    table.add_column("most frequent failures")
    scenes: dict[tuple[str, int], list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        scenes[outcome.suite, outcome.task].append(outcome)
    for suite, task in config.scenes:
        if some := scenes.get((suite, task)):
            table.add_row(suite, str(task), *_cells(tally(some), 2))
    table.add_section()
    table.add_row("all", "", *_cells(tally(outcomes), 3))
    return table


def _cells(one: Tally, reasons: int) -> tuple[str, ...]:
    of_wanted = f"{one.made}" if not one.missing else f"{one.made}, {one.missing} missing"
    return (
        of_wanted,
        f"{one.made}/{one.tried}",
        f"{one.steps / one.made:.0f}" if one.made else "-",
        f"{one.seconds / one.made:.1f}" if one.made else "-",
        "\n".join(f"{count}× {reason}" for reason, count in one.failures.most_common(reasons)),
    )


def _print_totals(console: Console, every: Tally, seconds: float) -> None:
    types = ", ".join(f"{name} {count}" for name, count in every.action_types.most_common())
    console.print(
        f"{every.made * 3600 / seconds:.0f} demonstrations an hour; subtasks: {types or 'none'}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
