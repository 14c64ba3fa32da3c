"""``rain retarget candidates``: how many frames can be retargeted, and why the others cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro
from rich.console import Console
from rich.progress import Progress
from rich.table import Column, Table

from rain.cli.progress import counting
from rain.demos.cache import Advance
from rain.demos.candidates import CandidateCounts, Task, by_suite, count_candidates
from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels, pack
from rain.demos.samples import SampleOptions, dataset_samples
from rain.retarget import RULES, CandidateOptions
from rain.types import RainError


@dataclass(frozen=True)
class Candidates:
    """Count the later subtasks that the frames of datasets may be retargeted to, rule by rule.

    Of the frames that training would take; unpacks the datasets as training does.
    """

    datasets: Annotated[tuple[Path, ...], tyro.conf.Positional]
    """Dataset folders of equal conventions."""
    tasks: bool = False
    """A line for every task, not only for every suite."""
    candidates: CandidateOptions = field(default_factory=CandidateOptions)
    """Limits of the rules."""
    samples: SampleOptions = field(default_factory=SampleOptions)
    """Which frames become samples."""
    cache: Path | None = None
    """Folder for unpacked images; by default $RAIN_CACHE or ~/.cache/rain."""


def run_candidates(command: Candidates) -> int:
    """Print frames with a candidate by suite, and what each rule rejected."""
    if not command.datasets:
        raise RainError("name a dataset folder")
    dataset, console = Dataset.open(command.datasets), Console()
    with counting(console) as progress:
        report = _reporter(progress)
        samples = dataset_samples(dataset, command.samples, report("samples"))
        pack(dataset, command.cache, advance=report("unpacking images"))
        pixels = PackedPixels.open(dataset, command.cache)
        counts = count_candidates(
            dataset, samples, pixels, command.candidates, report("candidates")
        )
    console.print(_frames(counts, command.tasks), _rejections(by_suite(counts)))
    return 0


def _reporter(progress: Progress) -> Callable[[str], Advance]:
    def report(name: str) -> Advance:
        bar = progress.add_task(name, total=None)
        return lambda done, total: progress.update(bar, completed=done, total=total)

    return report


def _frames(counts: Mapping[Task, CandidateCounts], tasks: bool) -> Table:
    table = Table("suite")
    for name in ("task", "frames", "with a candidate", "share", "candidates"):
        table.add_column(name, justify="right")

    def line(suite: str, task: str, some: CandidateCounts) -> None:
        table.add_row(
            suite, task, str(some.frames), str(some.with_candidate), f"{some.share:.1%}",
            str(some.candidates),
        )  # fmt: skip

    if tasks:
        order = sorted(counts, key=lambda key: (key[0], -1 if key[1] is None else key[1]))
        for suite, task in order:
            line(suite, "" if task is None else str(task), counts[suite, task])
        table.add_section()
    suites = by_suite(counts)
    for suite, some in suites.items():
        line(suite, "all", some)
    if len(suites) > 1:
        line("all", "", _sum(suites))
    return table


def _rejections(suites: Mapping[str, CandidateCounts]) -> Table:
    """A line for each rule, in the order they are asked: the first that rejects is counted."""
    table = Table(
        Column("rejected by", no_wrap=True),
        caption="pairs of a frame and a subtask of its episode; the first rule that rejects counts",
    )
    columns = {**suites, "all": _sum(suites)} if len(suites) != 1 else suites
    for suite in columns:
        table.add_column(suite, justify="right")
    for name in (rule.__name__ for rule in RULES):
        table.add_row(name, *(str(some.rejected[name]) for some in columns.values()))
    table.add_section()
    table.add_row("candidates", *(str(some.candidates) for some in columns.values()))
    table.add_row("pairs", *(str(some.pairs) for some in columns.values()))
    return table


def _sum(suites: Mapping[str, CandidateCounts]) -> CandidateCounts:
    total = CandidateCounts()
    for some in suites.values():
        total.add(some)
    return total
