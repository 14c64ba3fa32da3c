"""Packing staged episodes into the dataset, so that a kill leaves the old dataset or the new one.

New files are written beside the dataset; then a journal that lists them is renamed into place, and
that decides: from there on the commit is finished, by whoever comes next if need be. Moving the
files and forgetting the staged episodes can be repeated without harm. Before the journal, nothing
has happened.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from rain.demos.lerobot import schema
from rain.demos.lerobot.files import locked, read_json, write_json
from rain.demos.lerobot.pack import info_of, write_commit
from rain.demos.lerobot.reader import LeRobotStore
from rain.demos.lerobot.stage import Staged, clear_unfinished, staged, staged_folders
from rain.demos.store import Header
from rain.types import RainError

WORK = "rain/commit"
JOURNAL = "rain/commit.json"

log = logging.getLogger(__name__)


def open_store(folder: Path) -> LeRobotStore:
    """Open a dataset; finishes the commit of a writer that was killed.

    Says so where finished episodes wait to be packed.
    """
    while True:
        with locked(folder / schema.LOCK, shared=True):
            if not (folder / JOURNAL).exists():
                store = LeRobotStore(folder)
                break
        try:
            with locked(folder / schema.LOCK):
                finish(folder)
        except OSError as error:
            raise RainError(
                f"{folder}: its last packing was interrupted and cannot be finished ({error}); "
                "open it once where it can be written"
            ) from error
    waiting = len(staged_folders(folder))
    if waiting:
        log.warning(
            "%s: %d finished episodes are not packed yet; a writer is at work, or was killed: "
            "then run its command again",
            folder, waiting,
        )  # fmt: skip
    return store


def create(folder: Path, header: Header) -> None:
    """Begin an empty dataset, or mend what a killed writer left in one."""
    with locked(folder / schema.LOCK):
        finish(folder)
        removed = clear_unfinished(folder)
        if removed:
            log.warning("%s: removed %d half-written episodes", folder, removed)
        if (folder / schema.INFO).exists():
            found = LeRobotStore(folder).header
            header.conventions.check(found.conventions, "this run", str(folder))
            if found != header:
                raise RainError(
                    f"{folder}: holds track {found.track}, alpha {found.progress_alpha}, images "
                    f"{found.images}; choose another folder"
                )
        else:
            write_json(folder / schema.INFO, info_of(header, {}, 0, 0, 0, 0))


def commit(folder: Path) -> int:
    """Pack all staged episodes; returns how many. One that is there already is dropped."""
    packed = 0
    with locked(folder / schema.LOCK):
        finish(folder)
        store = LeRobotStore(folder)
        there = {e.details.get("source") or e.key for e in store.entries}
        for group in _groups(_without_doubles(folder, there)):
            files = write_commit(folder / WORK, LeRobotStore(folder), group)
            forgotten = [str(one.folder.relative_to(folder)) for one in group]
            write_json(folder / JOURNAL, {"files": files, "staged": forgotten})
            finish(folder, said=False)
            packed += len(group)
    return packed


def finish(folder: Path, said: bool = True) -> None:
    """Carry out a commit that was decided, drop one that was not. Needs the lock."""
    journal = folder / JOURNAL
    if journal.exists():
        decided = read_json(journal)
        for file in decided["files"]:
            source, target = folder / WORK / file, folder / file
            if source.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                os.replace(source, target)
            elif not target.exists():
                raise RainError(f"{target}: lost in an interrupted commit; make the dataset again")
        for name in decided["staged"]:
            shutil.rmtree(folder / name, ignore_errors=True)
        journal.unlink()
        if said:
            log.warning(
                "%s: finished the interrupted packing of %d episodes",
                folder, len(decided["staged"]),
            )  # fmt: skip
    elif (folder / WORK).exists() and said:
        log.warning("%s: dropped an interrupted packing; its episodes are still staged", folder)
    shutil.rmtree(folder / WORK, ignore_errors=True)


def _without_doubles(folder: Path, there: set[str]) -> Iterator[Staged]:
    for one in staged(folder):
        if one.identity in there:
            log.warning("%s: %s is there already; its copy was dropped", folder, one.identity)
            shutil.rmtree(one.folder)
        else:
            there.add(one.identity)
            yield one


def _groups(episodes: Iterator[Staged]) -> Iterator[list[Staged]]:
    """Cut into groups of about one file's size."""
    group: list[Staged] = []
    size = 0
    for one in episodes:
        group.append(one)
        size += one.bytes
        if size >= schema.FILE_MB * 1024**2:
            yield group
            group, size = [], 0
    if group:
        yield group
