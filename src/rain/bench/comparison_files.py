"""A comparison as files: one table to read, the same as JSON, and a picture."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from rain.bench.comparison import MEASURES, Arm, Difference, Measure, compare
from rain.bench.scoring import wilson
from rain.drawing import replacing

NAME = "ablation"

_NOTES = """\
Values are means over seeds, ± their standard deviation, on the episodes held out of training;
success has Wilson's 95 % interval over all episodes of all seeds. Differences are to the full
model, paired by seed and by episode, with 95 % intervals: Student's over seeds, for success the
wider of that and the paired interval over episodes. *Inside the noise*: the interval holds 0, or
one seed alone says nothing about noise. *Of one seed*: the interval is of episodes alone; another
seed may differ by more. Of twenty intervals one misses by chance. The paper's figures are RAIN-L's
success on LIBERO, in panel d on LIBERO-EX.
"""


def write_comparison(folder: Path, arms: Sequence[Arm], about: Mapping[str, Any]) -> Path:
    """Write ablation.md, .json and .png, the full model first; returns the table's path.

    about: what to say of the whole (set, data, preset …), name → value.
    """
    shown = measures_of(arms)
    table = folder / f"{NAME}.md"
    with replacing(folder / f"{NAME}.json") as path:
        path.write_text(json.dumps(as_json(arms, about), indent=1, allow_nan=False) + "\n")
    if any(compare(arm, arms[0], measure) for arm in arms[1:] for measure in shown):
        with replacing(folder / f"{NAME}.png") as path:
            draw_comparison(path, arms)
    with replacing(table) as path:
        path.write_text(markdown(arms, about))
    return table


def measures_of(arms: Sequence[Arm]) -> list[Measure]:
    """The measures that any arm has."""
    return [m for m in MEASURES if any(arm.by_seed(m) for arm in arms)]


def markdown(arms: Sequence[Arm], about: Mapping[str, Any]) -> str:
    """The table as text: values, then differences, then what failed."""
    shown = measures_of(arms)
    lines = [f"# Ablation {about.get('set', '')}".rstrip(), ""]
    lines += [f"- {name}: {value}" for name, value in about.items() if name != "set"]
    head = ["variant", "", "changes", "seeds", *map(_heading, shown), "paper, %"]
    rows = [
        [
            arm.title,
            f"({arm.panel})" if arm.panel else "",
            "; ".join(arm.changes) or "nothing",
            _seeds(arm),
            *(value_text(arm, measure) for measure in shown),
            "–" if arm.paper is None else f"{arm.paper:.1f}",
        ]
        for arm in arms
    ]
    lines += ["", *_table(head, rows)]
    rows = [
        [arm.title, *(difference_text(arm, arms[0], measure) for measure in shown)]
        for arm in arms[1:]
    ]
    if shown and rows:
        lines += ["", "## Difference to the full model", ""]
        lines += _table(["variant", *map(_heading, shown)], rows)
    failed = [
        f"- {arm.title}, seed {seed}: {why}"
        for arm in arms
        if arm.same_as is None
        for seed, why in arm.failed.items()
    ]
    if failed:
        lines += ["", "## Failed", "", *failed]
    return "\n".join([*lines, "", _NOTES])


def value_text(arm: Arm, measure: Measure) -> str:
    """A measure of an arm: mean ± standard deviation, or successes of episodes and interval."""
    values = arm.by_seed(measure)
    if not values:
        return "–"
    if measure.episodes:
        won, tried = _totals(arm, measure)
        low, high = wilson(won, tried)
        return f"{won}/{tried} ({100 * low:.0f}–{100 * high:.0f})"
    text = _number(mean(values.values()), measure)
    if len(values) > 1:
        text += f" ± {_number(stdev(values.values()), measure)}"
    return text


def difference_text(arm: Arm, full: Arm, measure: Measure) -> str:
    """A difference with its interval and what it says."""
    if arm.same_as == full.name:
        return "the full model itself"
    found = compare(arm, full, measure)
    if found is None:
        return "–"
    verdict = found.verdict(measure)
    if verdict == "equal":
        return verdict
    text = _number(found.mean, measure, "+")
    if found.low is not None and found.high is not None:
        ends = (_number(end, measure, "+") for end in (found.low, found.high))
        text += f" ({' to '.join(ends)})"
    return f"{text}, **{verdict}**" if found.clear else f"{text}, {verdict}"


def as_json(arms: Sequence[Arm], about: Mapping[str, Any]) -> dict[str, Any]:
    """The comparison as JSON values, seed by seed."""
    shown = measures_of(arms)
    return {
        "format": 1,
        **about,
        "measures": {m.name: {"unit": m.unit, "better": m.better} for m in shown},
        "variants": [
            {
                "name": arm.name,
                "title": arm.title,
                "panel": arm.panel,
                "changes": list(arm.changes),
                "paper": arm.paper,
                "same_as": arm.same_as,
                "seeds": list(arm.seeds),
                "finished": list(arm.finished),
                "failed": {str(seed): why for seed, why in arm.failed.items()},
                "values": {
                    name: {str(seed): value for seed, value in of_seed.items()}
                    for name, of_seed in arm.values.items()
                },
                "success": {m.name: _success(arm, m) for m in shown if m.episodes},
                "differences": {m.name: _difference(compare(arm, arms[0], m), m) for m in shown},
            }
            for arm in arms
        ],
    }


def draw_comparison(path: Path, arms: Sequence[Arm]) -> None:
    """Draw the differences to the full model: one plot a measure, one row a variant.

    A dot is the mean, hollow inside the noise, with its interval; small marks are single seeds.
    """
    # Only here: matplotlib takes a second to import. Figure needs no display.
    from matplotlib.figure import Figure

    full, others = arms[0], arms[1:]
    shown = [m for m in measures_of(arms) if any(compare(arm, full, m) for arm in others)]
    size = (2.2 + 2.9 * len(shown), 1.3 + 0.34 * len(others))
    figure = Figure(figsize=size, layout="constrained")
    plots = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axes, measure in zip(plots, shown, strict=True):
        _draw_measure(axes, measure, full, others)
    plots[0].set_yticks(range(len(others)), [_row_name(arm) for arm in others], fontsize=8)
    plots[0].set_ylim(len(others) - 0.5, -0.5)
    figure.suptitle(
        "difference to the full model, 95 % intervals; hollow: inside the noise", size=9
    )
    figure.savefig(path, dpi=120, format="png")


def _draw_measure(axes: Any, measure: Measure, full: Arm, others: Sequence[Arm]) -> None:
    reach = 0.0
    axes.axvline(0, color="0.3", linewidth=1)
    for row, arm in enumerate(others):
        found = compare(arm, full, measure)
        if found is None or arm.same_as == full.name:
            text = "–" if found is None else "the full model"
            axes.text(
                0.03, row, text, transform=axes.get_yaxis_transform(), va="center", fontsize=7
            )
            continue
        verdict = found.verdict(measure).partition(",")[0]
        colour = {"better": "tab:green", "worse": "tab:red"}.get(verdict, "0.45")
        singles = [measure.scale * value for value in found.by_seed.values()]
        middle = measure.scale * found.mean
        reach = max(reach, *map(abs, singles))
        if found.low is not None and found.high is not None:
            ends = [measure.scale * found.low, measure.scale * found.high]
            axes.plot(ends, [row, row], color=colour, linewidth=1.6)
            if measure.episodes:
                reach = max(reach, *map(abs, ends))
        axes.plot(singles, [row] * len(singles), "|", color=colour, markersize=7)
        fill = colour if found.clear else "white"
        axes.plot([middle], [row], "o", color=colour, markerfacecolor=fill, markersize=6)
    # Student's interval of two seeds is so wide that it would hide all else; it may leave the plot.
    limit = 1.15 * reach if measure.episodes else 2 * reach
    axes.set_xlim(-limit or -1, limit or 1)
    arrow = "←" if measure.better == "less" else "→"
    axes.set_title(f"{measure.title}, {measure.unit}   (better {arrow})", fontsize=9)
    axes.set_xlabel(f"full model: {value_text(full, measure)}", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.3)


def _row_name(arm: Arm) -> str:
    return f"{arm.title}  ({arm.panel})" if arm.panel else arm.title


def _seeds(arm: Arm) -> str:
    """The seeds that are trained, and what became of the others."""
    text = ", ".join(map(str, arm.finished)) or "none"
    if arm.failed:
        text += f"; {len(arm.failed)} failed"
    missing = len(arm.seeds) - len(arm.finished) - len(arm.failed)
    return f"{text}; {missing} not finished" if missing > 0 else text


def _totals(arm: Arm, measure: Measure) -> tuple[int, int]:
    outcomes = [
        success
        for episodes in arm.episodes.get(measure.name, {}).values()
        for success in episodes.values()
    ]
    return sum(outcomes), len(outcomes)


def _success(arm: Arm, measure: Measure) -> dict[str, Any]:
    won, tried = _totals(arm, measure)
    low, high = wilson(won, tried)
    of_seed = {str(seed): rate for seed, rate in arm.by_seed(measure).items()}
    return {"successes": won, "episodes": tried, "low": low, "high": high, "by_seed": of_seed}


def _difference(found: Difference | None, measure: Measure) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "mean": found.mean,
        "low": found.low,
        "high": found.high,
        "by_seed": {str(seed): value for seed, value in found.by_seed.items()},
        "episodes": found.episodes,
        "verdict": found.verdict(measure),
    }


def _heading(measure: Measure) -> str:
    return f"{measure.title}, {measure.unit}"


def _number(value: float, measure: Measure, sign: str = "") -> str:
    return f"{measure.scale * value:{sign}.{measure.digits}f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [
        f"| {' | '.join(head)} |",
        f"|{'|'.join('---' for _ in head)}|",
        *(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in rows),
    ]
