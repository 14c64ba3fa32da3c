"""The figures of a run: how even the ticks were, how many starved, how long answers took."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from rain.robot.events import EventLog
from rain.robot.timing import Beat, Spread


class Figures:
    """Counts and durations, gathered while the loop runs.

    late: of a tick after its time. period: from tick to tick. work: of a tick. answers: from
    question to answer. Counts: ``ticks``; ``played``, with an action of a chunk; ``starved``, whose
    chunk had ended before the next came; ``waited``, in which the first chunk was awaited;
    ``held``, in which there was a reason to hold; ``skipped``, whose time had passed.
    """

    def __init__(self) -> None:
        self.late, self.period = Spread(), Spread()
        self.work, self.answers = Spread(), Spread()
        self.counts = dict.fromkeys(("ticks", "played", "starved", "waited", "skipped"), 0)
        self._before: float | None = None

    def begin(self, beat: Beat) -> None:
        """A tick begins."""
        self.counts["ticks"] += 1
        self.counts["skipped"] += beat.skipped
        if beat.jumped is None:
            self.late.add(beat.late)
            if self._before is not None:
                self.period.add(beat.now - self._before)
        self._before = beat.now

    def moved(self, action: bool, playing: bool) -> None:
        """The arm was free to move: whether there was an action, and whether a chunk at all."""
        self.counts["played" if action else "starved" if playing else "waited"] += 1

    def end(self, seconds: float) -> None:
        """A tick ends."""
        self.work.add(seconds)

    def told(self, log: EventLog) -> dict[str, Any]:
        """Everything, for JSON."""
        free = self.counts["played"] + self.counts["starved"] + self.counts["waited"]
        return {
            **self.counts,
            "held": self.counts["ticks"] - free,
            "late": self.late.told(),
            "period": self.period.told(),
            "work": self.work.told(),
            "answers": self.answers.told(),
            "events": dict(log.counts),
            "events_lost": log.lost,
        }


def write_figures(figures: Figures, log: EventLog, folder: Path) -> list[Path]:
    """Write ``figures.json``, and ``figures.png`` where matplotlib is installed; what was written.

    Never raises: a run that ended well must not fail for its plot.
    """
    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "figures.json"
        path.write_text(json.dumps(figures.told(log), indent=2) + "\n", encoding="utf-8")
        written.append(path)
        if (plot := _plot(figures, folder / "figures.png")) is not None:
            written.append(plot)
    except OSError:
        pass
    return written


def _plot(figures: Figures, path: Path) -> Path | None:
    """Delays as histograms over powers of ten; None where matplotlib is missing."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return None
    kinds = {"late": figures.late, "work": figures.work, "answers": figures.answers}
    drawn = Figure(figsize=(9, 3), layout="constrained")
    for axes, (name, spread) in zip(drawn.subplots(1, 3), kinds.items(), strict=True):
        logs = [math.log10(max(value * 1000, 1e-3)) for value in spread.values]
        axes.hist(logs, bins=60)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter("{x:g}")  # as powers it would ask for fonts of mathematics
        axes.yaxis.set_minor_formatter("")
        ticks = range(-3, 5)
        axes.set_xticks(list(ticks), [f"{10.0**t:g}" for t in ticks], fontsize=7)
        axes.set_xlabel("ms")
        told = spread.told()
        axes.set_title(f"{name}: p50 {told['p50_ms']}, p99 {told['p99_ms']}, max {told['max_ms']}",
                       fontsize=8)  # fmt: skip
    drawn.savefig(path, dpi=110)
    return path
