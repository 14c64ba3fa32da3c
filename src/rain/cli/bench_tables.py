"""``rain bench tables``: LIBERO, LIBERO-EX and region following of trained policies, by track."""

from __future__ import annotations

import json
import os
import platform
import shlex
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.scoring import write_summary
from rain.bench.sources import CheckpointPolicies, LiberoWorlds
from rain.bench.tables import PARTS, Part, page, put_into, run_tables
from rain.types import RainError


@dataclass(frozen=True)
class Tables:
    """Run the checkpoints of both tracks on every table's episodes, and write the tables.

    A kill loses at most the episodes at work; the same command goes on.
    """

    protocol: str | None = None
    """Checkpoint trained on the protocol track; without one its columns stay out."""
    open: str | None = None
    """Checkpoint trained on the open track."""
    parts: tuple[str, ...] = tuple(part.name for part in PARTS)
    """Which tables: libero, libero_ex, region_following."""
    episodes: int = 10
    """Episodes of each task."""
    workers: int = 2
    """Processes with one simulator each."""
    runs: Path = Path("runs/tables")
    """Folder of the records."""
    json: Path = Path("docs/results.json")
    """The figures, machine-readable; tracks and tables that are not run now stay."""
    page: Path | None = None
    """A Markdown page with marks between which the tables are put."""


def run_tables_command(options: Tables) -> int:
    """Run what is not recorded yet and write both files."""
    tracks = {"protocol": options.protocol, "open": options.open}
    policies = {t: CheckpointPolicies(c, 1) for t, c in tracks.items() if c is not None}
    if not policies:
        raise RainError("give --protocol CHECKPOINT, --open CHECKPOINT or both")
    chosen = _parts(options.parts)
    results = _results(options.json)
    text = None if options.page is None else _read(options.page)
    if text is not None:
        put_into(text, "")  # before hours of episodes, not after them

    def campaign(part: Part, policy: CheckpointPolicies, folder: Path) -> Campaign:
        return Campaign(
            policies=policy, worlds=LiberoWorlds("fast", 1), suite=part.suite, tasks="all",
            episodes=options.episodes, folder=folder.resolve(), target=part.target,
            workers=options.workers, own_horizons=True,
        )  # fmt: skip

    console = Console()
    found = run_tables(policies, campaign, lambda c: run_campaign(c, console), options.runs, chosen)
    about = {"date": date.today().isoformat(), "command": _command(options), "machine": _machine()}
    for track, tables in found.items():
        for name, table in tables.items():
            results.setdefault(track, {})[name] = {**table, **about}
    write_summary(options.json, results)
    if options.page is not None and text is not None:
        options.page.write_text(put_into(text, page(results)), encoding="utf-8")
    return 0


def _machine() -> str:
    return f"{os.cpu_count()} cores, {platform.platform()}, Python {platform.python_version()}"


def _command(options: Tables) -> str:
    said = ["rain", "bench", "tables", "--episodes", str(options.episodes)]
    for track, checkpoint in (("protocol", options.protocol), ("open", options.open)):
        said += [f"--{track}", checkpoint] if checkpoint is not None else []
    return shlex.join([*said, "--parts", *options.parts])


def _parts(names: tuple[str, ...]) -> list[Part]:
    known = {part.name: part for part in PARTS}
    for name in names:
        if name not in known:
            raise RainError(f"parts: {name!r} is unknown; known: {', '.join(known)}")
    return [known[name] for name in names]


def _results(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_read(path))) if path.exists() else {}
    except ValueError as error:
        raise RainError(f"{path} cannot be read: {error}") from error


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise RainError(f"{path} cannot be read: {error}") from error
