"""How ``rain demos info`` prints a summary."""

from __future__ import annotations

import json

from rich.console import Console
from rich.table import Table

from rain.demos.info import Info


def show(info: Info, as_json: bool) -> None:
    """Print tables, or JSON."""
    if as_json:
        print(json.dumps(info.to_json(), indent=2))
        return
    console = Console(highlight=False)
    console.print(f"{', '.join(info.folders)}", style="bold")
    console.print(
        f"track {', '.join(info.tracks)} · {', '.join(info.suites)} · {len(info.tasks)} tasks · "
        f"{info.instructions} instructions"
    )
    console.print(
        f"{info.episodes} episodes · {info.frames} frames kept of {info.steps} control steps at "
        f"{info.rate_hz:g} Hz · {', '.join(info.views)} at {info.image_size} px"
    )
    if info.waiting:
        console.print(f"{info.waiting} finished episodes wait to be packed", style="yellow")
    per_frame = info.bytes_per_frame
    parts = ", ".join(f"{name} {per_frame[name]:.0f}" for name in info.bytes)
    console.print(
        f"{info.total_bytes / 1e6:.1f} MB, images as {', '.join(info.images)} · "
        f"{per_frame['total']:.0f} bytes a frame ({parts})"
    )
    console.print(_action_types(info), _tasks(info))


def _action_types(info: Info) -> Table:
    table = Table("action type")
    for name in ("subtasks", "targets", "frames", "share"):
        table.add_column(name, justify="right")
    for name, count in info.action_types.items():
        share = f"{100 * count.frames / max(1, info.frames):.1f} %"
        table.add_row(name, str(count.subtasks), str(count.targets), str(count.frames), share)
    return table


def _tasks(info: Info) -> Table:
    table = Table("suite")
    for name in ("task", "instructions", "episodes", "frames"):
        table.add_column(name, justify="right")
    for task in info.tasks:
        number = "" if task.task is None else str(task.task)
        table.add_row(
            task.suite, number, str(task.instructions), str(task.episodes), str(task.frames)
        )
    return table
