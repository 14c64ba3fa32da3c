"""Scores as a table for the terminal, at most 80 columns wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table

from rain.bench.protocols import TaskFacts
from rain.bench.records import EpisodeRecord, Target
from rain.bench.scoring import Score, TaskKey, score, score_groups, score_tasks


def table(
    records: Sequence[EpisodeRecord],
    facts: Mapping[TaskKey, TaskFacts],
    title: str,
    target: Target,
) -> Table:
    """A row a task, then the types, categories and suites where there are several, and all."""
    first = "marked\nfirst" if target == "another" else "own\nfirst"
    # Narrow enough for 80 columns: the task's name gives way, the numbers do not.
    out = Table(title=title, box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
    out.add_column("task", no_wrap=True, overflow="ellipsis", max_width=20)
    for header in ("success", "95 %", first, "wrong\nobject", "crashed", "done", "steps"):
        out.add_column(header, justify="right", no_wrap=True)
    for (suite, task), part in score_tasks(records).items():
        name = facts[suite, task].name.replace("_", " ")
        out.add_row(*_cells(f"{task} {name}".strip(), part))
    shown: list[tuple[str, ...]] = []
    for by in ("type", "category", "suite"):
        groups = score_groups(records, facts, by)
        if len(groups) > 1 and tuple(groups) not in shown:
            shown.append(tuple(groups))
            out.add_section()
            for name, part in groups.items():
                out.add_row(*_cells(name.replace("_", " "), part))
    out.add_section()
    out.add_row(*_cells("all", score(records)), style="bold")
    return out


def _cells(name: str, part: Score) -> tuple[str, ...]:
    count = f"{part.successes}/{part.episodes}"
    interval = f"{100 * part.low:.0f}–{100 * part.high:.0f}" if part.episodes else "–"
    done = "–" if part.done is None else f"{100 * part.done:.0f}%"
    steps = "–" if part.steps is None else f"{part.steps:.0f}"
    first = f"{part.marked_first}/{part.episodes}"
    return name, count, interval, first, str(part.wrong_grasps), str(part.crashed), done, steps
