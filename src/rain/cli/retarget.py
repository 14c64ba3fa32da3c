"""``rain retarget``: what reference-based retargeting (RRS) does, and whether it works."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tyro
from rich.console import Console
from rich.table import Table

from rain.bench.displaced import KINDS
from rain.bench.retargeting import (
    PER_REFERENCE,
    RetargetResult,
    RetargetTrials,
    plan_scenes,
    run_retarget_trials,
)
from rain.bench.scoring import wilson
from rain.cli.progress import counting
from rain.cli.retarget_candidates import Candidates, run_candidates
from rain.cli.retarget_show import Show, run_show


@dataclass(frozen=True)
class Check(RetargetTrials):
    """Execute retargeted interactions in the simulator and count how often they work."""

    out: Path | None = None
    """JSON lines, one for each execution."""


def main(args: list[str]) -> int:
    """Run ``rain retarget SUBCOMMAND``."""
    runs: dict[str, tuple[Any, Callable[[Any], int]]] = {
        "check": (Check, _check),
        "show": (Show, run_show),
        "candidates": (Candidates, run_candidates),
    }
    command = tyro.extras.subcommand_cli_from_dict(
        {name: kind for name, (kind, _) in runs.items()}, args=args, prog="rain retarget"
    )
    return next(run for kind, run in runs.values() if isinstance(command, kind))(command)


def _check(command: Check) -> int:
    console, results = Console(), list[RetargetResult]()
    references = sum(sum(counts.values()) for *_, counts in plan_scenes(command))
    with ExitStack() as stack:
        lines = stack.enter_context(command.out.open("w")) if command.out else None
        bar = stack.enter_context(counting(console))
        at = bar.add_task("executions", total=references * PER_REFERENCE * len(command.modes))
        for result in run_retarget_trials(command):
            results.append(result)
            bar.advance(at)
            if lines is not None:
                lines.write(json.dumps(asdict(result)) + "\n")
                lines.flush()
    for kind in KINDS:
        console.print(_table(command, [r for r in results if r.kind == kind], kind))
    console.print(_table(command, results, "both"))
    return 0


def _table(command: RetargetTrials, results: Sequence[RetargetResult], kind: str) -> Table:
    """Success by action type and mode, with Wilson's 95 % intervals."""
    table = Table("action type", *command.modes, title=f"starts: {kind}")
    for name in (*command.types, "all"):
        some = [r for r in results if name in (r.action_type, "all")]
        cells = [_rate([r.success for r in some if r.mode == mode]) for mode in command.modes]
        if name == "all":
            table.add_section()
        table.add_row(name, *cells)
    return table


def _rate(successes: Sequence[bool]) -> str:
    low, high = wilson(sum(successes), len(successes))
    return f"{sum(successes)}/{len(successes)} ({100 * low:.0f}–{100 * high:.0f})"
