"""``rain demos import``: people's demonstrations from LIBERO's published files."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.table import Table

from rain.cli.progress import counting
from rain.demos.hdf5 import FAILURES
from rain.demos.importing import ImportConfig, Outcome, Tally, import_files
from rain.demos.published import PublishedFile, open_published
from rain.types import RainError


@dataclass(frozen=True)
class Import:
    """Replay published HDF5 files and write the demonstrations that reproduce, one file each.

    Goes on where it stopped; give the result to rain demos process.
    """

    files: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """LIBERO's HDF5 files, or folders that hold some."""
    out: Path
    keep_all: bool = False
    """Also write demonstrations whose states do not reach the task's goal."""
    actions: bool = True
    """Also replay the actions open loop, which takes most of the time."""
    workers: int = 2


def run_import(command: Import) -> int:
    """Import all files, print what came of them; 2 where one of them is damaged."""
    if command.workers < 1:
        raise RainError("--workers must be at least 1")
    console, problems = Console(), []
    files: list[PublishedFile] = []
    for path in find_hdf5(command.files):
        try:
            files.append(open_published(path))
        except RainError as error:
            problems.append(str(error))
    problems += [file.problem for file in files if file.problem]
    config = ImportConfig(command.out, command.keep_all, command.actions, command.workers)
    tallies = {file.path: Tally() for file in files}
    with counting(console) as progress:
        bar = progress.add_task("demonstrations", total=sum(len(file.names) for file in files))
        for file, outcomes in import_files(files, config):
            for outcome in outcomes:
                tallies[file.path] = tallies[file.path].plus(outcome)
                problems += _problem(outcome)
            progress.advance(bar, len(outcomes))
    console.print(_table(files, tallies))
    written = sum(tally.written for tally in tallies.values())
    console.print(f"{written} demonstrations in {config.out / 'protocol'}", highlight=False)
    for problem in problems:
        console.print(f"error: {problem}", style="red", highlight=False, soft_wrap=True)
    if problems:
        raise RainError(f"{len(problems)} of the files and demonstrations above are damaged")
    return 0


def find_hdf5(sources: tuple[Path, ...]) -> list[Path]:
    """The HDF5 files named, and those in the folders named; RainError where there is none.

    Below a folder, failed attempts (``failures/``) are passed over: they must be named.
    """
    files: list[Path] = []
    for source in sources:
        if not source.exists():
            raise RainError(f"{source}: no such file or folder")
        below = sorted(source.rglob("*.hdf5")) if source.is_dir() else [source]
        files += [f for f in below if FAILURES not in f.relative_to(source).parts[:-1]]
    files = [file for file in dict.fromkeys(files) if not file.name.startswith(".")]
    if not files:
        raise RainError("no .hdf5 file was named or found")
    return files


def _problem(outcome: Outcome) -> list[str]:
    return [outcome.error] if outcome.error else []


def _table(files: list[PublishedFile], tallies: dict[Path, Tally]) -> Table:
    table = Table(title="demonstrations that reproduce their success")
    for name in ("suite", "task", "by states", "by actions", "written"):
        table.add_column(name, no_wrap=True)
    table.add_column("remarks")
    for file in sorted(files, key=lambda file: (file.suite, file.task)):
        tally = tallies[file.path]
        remarks = [f"{n}× {reason}" for reason, n in Counter(tally.reasons).most_common(3)]
        if tally.damaged:
            remarks.append(f"{tally.damaged}× damaged, see below")
        if tally.assumed:
            remarks.append(f"{tally.assumed}× no model_file: fixtures' poses assumed")
        actions = f"{tally.by_actions}/{tally.tried_actions}" if tally.tried_actions else "-"
        table.add_row(
            file.suite, str(file.task), f"{tally.by_states}/{tally.demos}", actions,
            str(tally.written), "\n".join(remarks),
        )  # fmt: skip
    return table
