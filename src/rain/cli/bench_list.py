"""``rain bench list``: the tasks of a benchmark or suite."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass

from rich import box
from rich.console import Console
from rich.table import Table

from rain.bench.catalogue import list_tasks


@dataclass(frozen=True)
class List:
    """The tasks of a suite: id, category, type, instruction, how certain the definition is."""

    suite: str = "libero-ex"
    """libero-ex, or one of LIBERO's own suites."""
    json: bool = False
    """Print JSON instead of a table."""


def run_list(command: List) -> int:
    """Print the list."""
    entries = list_tasks(command.suite)
    if command.json:
        print(json.dumps([asdict(entry) for entry in entries], indent=2))
        return 0
    table = Table("id", "type", "instruction", "evidence", box=box.SIMPLE_HEAD, pad_edge=False)
    for entry in entries:
        table.add_row(entry.id, entry.type, entry.instruction, entry.evidence)
    console = Console()
    console.print(table)
    counts = Counter(entry.evidence for entry in entries)
    told = ", ".join(f"{count} {level}" for level, count in counts.items())
    console.print(f"{len(entries)} tasks: {told}", highlight=False)
    return 0
