"""``rain expert``: how often the scripted expert solves the tasks."""

from __future__ import annotations

import tyro
from rich.console import Console
from rich.table import Table

from rain.bench.experts import ExpertTrials, run_expert
from rain.bench.scoring import wilson


def main(args: list[str]) -> int:
    """Run the expert from official init states and print a table."""
    trials = tyro.cli(ExpertTrials, args=args, prog="rain expert")
    console = Console()
    table = Table("task", "success", "95 %", "mean steps", "s an episode", "failures")
    with console.status("the expert is at work"):
        scores = sorted(run_expert(trials), key=lambda score: score.task)
    total = successes = 0
    for score in scores:
        total, successes = total + score.episodes, successes + score.successes
        low, high = wilson(score.successes, score.episodes)
        table.add_row(
            str(score.task),
            f"{score.successes}/{score.episodes}",
            f"{100 * low:.0f}–{100 * high:.0f}",
            f"{score.steps:.0f}",
            f"{score.seconds:.2f}",
            "\n".join(score.failures),
        )
    low, high = wilson(successes, total)
    table.add_section()
    table.add_row("all", f"{successes}/{total}", f"{100 * low:.0f}–{100 * high:.0f}", "", "", "")
    console.print(table)
    return 0
