"""The paper's tables for trained policies: LIBERO, LIBERO-EX and region following, by track.

One campaign a table and track, each in a folder of its own, so that what is recorded is not run
again; from their summaries come ``results.json`` and a section of a Markdown page.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rain.bench.campaign import Campaign
from rain.bench.records import Target
from rain.bench.scoring import average
from rain.types import RainError
from rain.worlds.demonstration import TRACKS

BEGIN, END = "<!-- tables: begin -->", "<!-- tables: end -->"


@dataclass(frozen=True)
class Part:
    """One of the tables: which episodes, and the paper's figures for RAIN-L beside it, in %.

    groups: the summary's key of what is averaged: suites or categories.
    """

    name: str
    title: str
    suite: str
    target: Target
    groups: str
    paper: Mapping[str, float]


PARTS = (
    Part(
        "libero",
        "LIBERO",
        "libero_spatial,libero_object,libero_goal,libero_10",
        "own",
        "suites",
        {
            "libero_spatial": 86.8,
            "libero_object": 96.0,
            "libero_goal": 96.0,
            "libero_10": 85.2,
            "average": 91.0,
        },
    ),
    Part(
        "libero_ex",
        "LIBERO-EX",
        "libero-ex",
        "own",
        "categories",
        {"object": 76.0, "layout": 72.0, "task": 53.2, "average": 67.0},
    ),
    Part(
        "region_following",
        "Region following: every object and every place of 20 scenes",
        "libero_object,libero_10",
        "scene",
        "suites",
        {},
    ),
)
"""The paper's figures are RAIN-L's in its Table 1."""


def run_tables(
    policies: Mapping[str, Any],
    campaign: Callable[[Part, Any, Path], Campaign],
    run: Callable[[Campaign], int],
    folder: Path,
    parts: Sequence[Part] = PARTS,
) -> dict[str, Any]:
    """Run every part for every track, and return ``results.json``'s content.

    policies: track -> where its policies come from. campaign: makes a part's campaign for one of
    them in a folder. run: runs a campaign and returns how many episodes crashed. RainError where
    some did: a table without them would be of other episodes.
    """
    found: dict[str, Any] = {}
    for track, source in policies.items():
        if track not in TRACKS:
            raise RainError(f"track {track!r} is unknown; known: {', '.join(TRACKS)}")
        for part in parts:
            place = folder / track / part.name
            if crashed := run(campaign(part, source, place)):
                raise RainError(
                    f"{track}, {part.title}: {crashed} episodes crashed; look into "
                    f"{place / 'episodes.jsonl'} and run the same command again"
                )
            summary = json.loads((place / "summary.json").read_text(encoding="utf-8"))
            found.setdefault(track, {})[part.name] = content(part, summary)
    return found


def content(part: Part, summary: Mapping[str, Any]) -> dict[str, Any]:
    """One table as ``results.json`` has it: rates in %, Wilson's 95 % intervals in %."""
    groups = {name: _rate(score) for name, score in summary[part.groups].items()}
    mean = average(score["rate"] for score in groups.values())
    return {
        "average": None if mean is None else round(mean, 1),
        part.groups: groups,
        "tasks": {
            name: {"instruction": task["instruction"], **_rate(task)}
            for name, task in summary["tasks"].items()
        },
        "episodes": summary["total"]["episodes"],
        "policy": summary["policy"],
        "weights": summary["settings"]["weights"],
    }


def _rate(score: Mapping[str, Any]) -> dict[str, Any]:
    rate = score["rate"]
    return {
        "rate": None if rate is None else round(100 * rate, 1),
        "low": round(100 * score["low"], 1),
        "high": round(100 * score["high"], 1),
        "successes": score["successes"],
        "episodes": score["episodes"],
    }


def page(results: Mapping[str, Any]) -> str:
    """The tables in Markdown."""
    return "\n".join(line for part in PARTS for line in _part_lines(part, results))


def _part_lines(part: Part, results: Mapping[str, Any]) -> Iterator[str]:
    tables = {t: results[t][part.name] for t in TRACKS if part.name in results.get(t, {})}
    if not tables:
        return
    heads = [f"{track} ({found['policy']})" for track, found in tables.items()]
    heads += ["the paper's RAIN-L"] if part.paper else []
    yield from (
        f"### {part.title}",
        "",
        f"| | {' | '.join(heads)} |",
        "|---" * (len(heads) + 1) + "|",
    )
    for name in [*next(iter(tables.values()))[part.groups], "average"]:
        cells = [_cell(found, part, name) for found in tables.values()]
        cells += [f"{part.paper[name]:.1f}"] if part.paper else []
        yield f"| {name} | {' | '.join(cells)} |"
    yield ""
    yield f"| task | instruction | {' | '.join(tables)} |"
    yield "|---" * (len(tables) + 2) + "|"
    for name, task in next(iter(tables.values()))["tasks"].items():
        cells = [_count(found["tasks"].get(name)) for found in tables.values()]
        yield f"| {name} | {task['instruction']} | {' | '.join(cells)} |"
    yield ""


def _cell(found: Mapping[str, Any], part: Part, name: str) -> str:
    if name == "average":
        return "–" if found["average"] is None else f"**{found['average']:.1f}**"
    score = found[part.groups].get(name)
    if score is None or score["rate"] is None:
        return "–"
    return f"{score['rate']:.1f} ({score['low']:.0f}–{score['high']:.0f})"


def _count(score: Mapping[str, Any] | None) -> str:
    return "–" if score is None else f"{score['successes']}/{score['episodes']}"


def put_into(text: str, section: str) -> str:
    """A page with the section between its two marks exchanged; RainError where it has no marks."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise RainError(f"the page needs the lines {BEGIN} and {END}, once each and in this order")
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{section.strip()}\n{END}{rest.split(END)[1]}"
