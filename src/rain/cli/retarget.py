"""``rain retarget``: what reference-based retargeting (RRS) does, and whether it works."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from rain.bench.displaced import KINDS
from rain.bench.retargeting import (
    PER_REFERENCE,
    RetargetResult,
    RetargetTrials,
    SceneDone,
    plan_scenes,
    run_retarget_trials,
)
from rain.bench.scoring import wilson
from rain.cli.progress import counting
from rain.cli.retarget_candidates import Candidates, run_candidates
from rain.cli.retarget_show import Show, run_show
from rain.cli.subcommands import run_subcommand
from rain.types import RainError


@dataclass(frozen=True)
class Check(RetargetTrials):
    """Execute retargeted interactions in the simulator and count how often they work."""

    out: Path | None = None
    """JSON lines, one for each execution; the same command goes on after an interruption."""


def main(args: list[str]) -> int:
    """Run ``rain retarget SUBCOMMAND``."""
    return run_subcommand(
        args,
        "rain retarget",
        {
            "check": (Check, _check),
            "show": (Show, run_show),
            "candidates": (Candidates, run_candidates),
        },
    )


def _check(command: Check) -> int:
    console, results, done = Console(), list[RetargetResult](), set[SceneDone]()
    settings = json.loads(json.dumps(asdict(command) | {"out": None, "workers": None}))
    if command.out is not None and command.out.exists():
        results, done = _read(command.out, settings)
    references = sum(sum(counts.values()) for *_, counts in plan_scenes(command))
    with ExitStack() as stack:
        lines = stack.enter_context(command.out.open("w")) if command.out else None

        def keep(line: dict[str, Any]) -> None:
            if lines is not None:
                lines.write(json.dumps(line) + "\n")
                lines.flush()

        for line in (settings, *map(asdict, results), *map(asdict, done)):
            keep(line)
        bar = stack.enter_context(counting(console))
        total = references * PER_REFERENCE * len(command.modes)
        at = bar.add_task("executions", total=total, completed=len(results))
        for item in run_retarget_trials(command, done):
            keep(asdict(item))
            if isinstance(item, RetargetResult):
                results.append(item)
                bar.advance(at)
    for kind in KINDS:
        console.print(_table(command, [r for r in results if r.kind == kind], kind))
    console.print(_table(command, results, "both"))
    return 0


def _read(path: Path, settings: dict[str, Any]) -> tuple[list[RetargetResult], set[SceneDone]]:
    """Results of the scenes that an interrupted check with the same settings had done."""
    try:
        first, *lines = map(json.loads, path.read_text().split("\n")[:-1])  # a cut line is left out
        done = {SceneDone(**line) for line in lines if "mode" not in line}
        results = [RetargetResult(**line) for line in lines if "mode" in line]
    except (ValueError, TypeError) as error:
        raise RainError(f"{path}: not results of rain retarget check: {error}") from error
    if first != settings:
        raise RainError(f"{path}: results of other settings; choose another --out, or remove it")
    return [r for r in results if SceneDone(r.suite, r.task) in done], done


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
