"""The progress bar of commands that count what they make."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def counting(console: Console, *further: ProgressColumn) -> Progress:
    """A bar with done of how many, ``further`` columns, and the time gone and left."""
    return Progress(
        *Progress.get_default_columns()[:2],
        MofNCompleteColumn(),
        *further,
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
