"""The report as one HTML page: no scripts, nothing loaded from elsewhere, light and dark."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import quote

from rain.bench.comparison import Difference
from rain.bench.failures import KINDS, count_failures, failure_of
from rain.bench.protocols import TaskFacts
from rain.bench.records import EpisodeRecord
from rain.bench.report import RunResults, all_facts, difference, differing_settings, total
from rain.bench.scoring import Score, TaskKey, average, score

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --paper: #fbfbf9; --line: #d5d8dd;
  --faint: #667080; --bar: #bfe3cb; --warn: #fff1cf; }
@media (prefers-color-scheme: dark) { :root { --ink: #e4e7ec; --paper: #15181d; --line: #363c46;
  --faint: #98a2b3; --bar: #1f5136; --warn: #4a3a10; } }
body { font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 76rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--faint); padding-bottom: .3rem; }
th, td { padding: .22rem .6rem; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: top; }
th { font-weight: 600; } th.t, td.t { text-align: left; }
tr.sum td, tr.sum th { font-weight: 600; border-top: 2px solid var(--line); }
td.rate { background: linear-gradient(90deg, var(--bar) calc(var(--r) * 1%), transparent 0); }
small, .faint { color: var(--faint); font-weight: 400; }
.warn { background: var(--warn); padding: .5rem .8rem; border-radius: .3rem; }
.videos { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; width: 20rem; } video { width: 100%; }
pre { white-space: pre-wrap; }
"""

OURS = (
    "The scenes of LIBERO-EX 008–050 are not the paper's but designed for this benchmark, after "
    "its scores were known. Absolute scores on the object and layout categories do not compare "
    "with the paper's tables; comparisons between runs on this page hold."
)


def page(runs: Sequence[RunResults], title: str, folder: Path) -> str:
    """The page's text. folder: where it will lie, which videos are linked from."""
    facts = all_facts(runs)
    body = [
        f"<h1>{escape(title)}</h1>",
        *_warnings(runs, facts),
        _about(runs),
        _main_table(runs, facts),
        *_type_table(runs, facts),
        *_comparisons(runs, facts),
        _measures(runs),
        *(_task_table(runs, facts, suite, category) for suite, category in _splits(facts)),
        *_failures(runs),
        *_crashes(runs),
        *_videos(runs, folder),
        f"<p class=faint>{_NOTES}</p>",
    ]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(body)
        + "\n</body>\n</html>\n"
    )


_NOTES = (
    "Success in %, with Wilson's 95 % interval over episodes in brackets. Averages are of tasks, "
    "of several splits of the splits, as in the paper. Crashed episodes are left out, never "
    "counted as failures. Done: share of the script's subtasks that the simulator showed done. "
    "Contact: episodes in which a finger touched an object that the script does not name."
)


def _splits(facts: dict[TaskKey, TaskFacts]) -> list[tuple[str, str]]:
    """Suites with their categories, in order."""
    return list(dict.fromkeys((suite, fact.category) for (suite, _), fact in facts.items()))


def _keys(facts: dict[TaskKey, TaskFacts], suite: str, category: str) -> list[TaskKey]:
    return [key for key, fact in facts.items() if (key[0], fact.category) == (suite, category)]


def _table(caption: str, head: Sequence[str], rows: Iterable[str], text_columns: int = 1) -> str:
    """head: cells that are escaped here; rows: finished ``<tr>``."""
    cells = "".join(
        f"<th scope=col{' class=t' if i < text_columns else ''}>{escape(name)}</th>"
        for i, name in enumerate(head)
    )
    said = f"<caption>{escape(caption)}</caption>" if caption else ""
    return (
        f"<div class=wide><table>{said}<thead><tr>{cells}</tr></thead>\n<tbody>\n"
        + "\n".join(rows)
        + "\n</tbody></table></div>"
    )


def _row(texts: Sequence[str], cells: Iterable[str], kind: str = "") -> str:
    """texts: cells that are escaped here; cells: finished ``<td>``."""
    first = "".join(f"<td class=t>{escape(text)}</td>" for text in texts)
    return f"<tr{f' class={kind}' if kind else ''}>{first}{''.join(cells)}</tr>"


def _rate(part: Score | None, interval: bool = True, rate: float | None = None) -> str:
    """A success rate as a cell; rate: shown in place of the share of episodes."""
    if part is None or part.episodes == 0:
        return "<td>–</td>"
    shown = part.rate if rate is None else rate
    assert shown is not None
    text = f"{100 * shown:.1f}"
    if interval:
        text += f" <small>({100 * part.low:.0f}–{100 * part.high:.0f})</small>"
    else:
        text = f"{100 * shown:.0f} <small>{part.successes}/{part.episodes}</small>"
    return f'<td class=rate style="--r:{100 * shown:.1f}">{text}</td>'


def _mean_rate(scores: Iterable[Score]) -> float | None:
    return average(part.rate for part in scores if part.episodes)


def _warnings(runs: Sequence[RunResults], facts: dict[TaskKey, TaskFacts]) -> list[str]:
    said = []
    if any(suite == "libero_ex" and 8 <= task <= 50 for suite, task in facts):
        said.append(OURS)
    if differ := differing_settings(runs):
        said.append(f"The runs differ in more than the policy: {', '.join(differ)}.")
    for run in runs:
        missing = run.about["planned"] - len(run.records)
        if missing > 0:
            said.append(f"{run.name}: {missing} of {run.about['planned']} episodes are missing.")
        left_out = run.about.get("left_out", {})
        if left_out:
            said.append(f"{run.name}: left out: {'; '.join(left_out.values())}.")
    return [f"<p class=warn>{escape(text)}</p>" for text in said]


def _about(runs: Sequence[RunResults]) -> str:
    rows = []
    for run in runs:
        about = run.about
        part = total(run)
        agreed = about.get("conventions") or {}
        words = [str(run.folder), about["suite"], about["target"],
                 str(about["settings"].get("starts", "")),
                 str(about["settings"].get("weights", "")), _agreed(agreed)]  # fmt: skip
        cells = [f"<td>{part.episodes}</td>", f"<td>{part.crashed}</td>"]
        rows.append(_row([run.name, *words], cells))
    head = ["run", "folder", "suite", "target", "starts", "policy's fingerprint",
            "policy and world agree on", "episodes", "crashed"]  # fmt: skip
    return "<h2>Runs</h2>" + _table("", head, rows, text_columns=7)


def _agreed(conventions: dict[str, Any]) -> str:
    if not conventions:
        return "–"
    return (
        f"{', '.join(conventions['views'])}, {conventions['image_size']} px, "
        f"{conventions['state']}, {conventions['action']}, {conventions['rate_hz']:g} Hz"
    )


def _main_table(runs: Sequence[RunResults], facts: dict[TaskKey, TaskFacts]) -> str:
    """A row a run, a column a split and the average: the paper's Table 1."""
    splits = _splits(facts)
    suites = {suite for suite, _ in splits}
    rows = []
    for run in runs:
        parts = [_part(run, _keys(facts, *split)) for split in splits]
        rates = [_mean_rate(_scores(run, _keys(facts, *split))) for split in splits]
        mean = average(rates)
        cells = [_rate(part, rate=rate) for part, rate in zip(parts, rates, strict=True)]
        cells.append(_rate(total(run), rate=mean) if mean is not None else "<td>–</td>")
        rows.append(_row([run.name], cells))
    heads = [c if len(suites) == 1 or c == s else f"{s} {c}" for s, c in splits]
    return "<h2>Success</h2>" + _table("", ["run", *heads, "average"], rows)


def _scores(run: RunResults, keys: Sequence[TaskKey]) -> list[Score]:
    wanted = set(keys)
    return [part for key, part in run.tasks().items() if key in wanted]


def _part(run: RunResults, keys: Sequence[TaskKey]) -> Score:
    wanted = set(keys)
    return score([r for r in run.records if (r.trial.suite, r.trial.task) in wanted])


def _type_table(runs: Sequence[RunResults], facts: dict[TaskKey, TaskFacts]) -> list[str]:
    types = list(dict.fromkeys(fact.type for fact in facts.values()))
    if types == list(dict.fromkeys(fact.category for fact in facts.values())):
        return []
    rows = []
    for run in runs:
        keys = [[key for key, fact in facts.items() if fact.type == kind] for kind in types]
        cells = (_rate(_part(run, k), rate=_mean_rate(_scores(run, k))) for k in keys)
        rows.append(_row([run.name], cells))
    heads = [kind.replace("_", " ") for kind in types]
    return ["<h2>Success by type</h2>" + _table("", ["run", *heads], rows)]


def _comparisons(runs: Sequence[RunResults], facts: dict[TaskKey, TaskFacts]) -> list[str]:
    """Every run less the first one, on the episodes that both have."""
    if len(runs) < 2:
        return []
    first, splits = runs[0], _splits(facts)
    rows = []
    for run in runs[1:]:
        found = [difference(run, first, _keys(facts, *split)) for split in splits]
        cells = [_difference(part) for part in [*found, difference(run, first, facts)]]
        rows.append(_row([run.name], cells))
    heads = [c if c == s else f"{s} {c}" for s, c in splits]
    caption = (
        f"Difference in success to {first.name}, in percentage points, on the episodes that both "
        "have, paired by task and start; 95 % interval (Bonett and Price). Bold: it leaves 0 out."
    )
    return ["<h2>Comparison</h2>" + _table(caption, ["run", *heads, "all"], rows)]


def _difference(found: Difference | None) -> str:
    if found is None or found.low is None or found.high is None:
        return "<td>–</td>"
    text = f"{100 * found.mean:+.1f}"
    text = f"<b>{text}</b>" if found.clear else text
    ends = f"{100 * found.low:+.0f} to {100 * found.high:+.0f}, n = {found.episodes}"
    return f"<td>{text} <small>({ends})</small></td>"


def _measures(runs: Sequence[RunResults]) -> str:
    rows = []
    for run in runs:
        for name, part in {**run.groups("type"), "all": total(run)}.items():
            known = part.contacts_known
            cells = [
                _number(part.time_s, "{:.1f} s"),
                _number(part.steps, "{:.0f}"),
                _number(part.done, "{:.0%}"),
                _number(part.script_progress, "{:.0%}"),
                f"<td>{part.wrong_grasps}/{part.episodes}</td>",
                f"<td>{part.wrong_contacts}/{known}</td>" if known else "<td>–</td>",
                f"<td>{part.spoiled}</td>",
                f"<td>{part.crashed}</td>",
            ]
            kind = "sum" if name == "all" else ""
            rows.append(_row([run.name, name.replace("_", " ")], cells, kind))
    head = ["run", "type", "time to success", "steps", "done", "policy says done", "wrong grasp",
            "wrong contact", "whole task done", "crashed"]  # fmt: skip
    return "<h2>Beside success</h2>" + _table("", head, rows, text_columns=2)


def _number(value: float | None, form: str) -> str:
    return f"<td>{'–' if value is None else form.format(value)}</td>"


def _task_table(
    runs: Sequence[RunResults], facts: dict[TaskKey, TaskFacts], suite: str, category: str
) -> str:
    """A row a task, a column a run: the paper's Tables 5 to 7, turned."""
    keys = _keys(facts, suite, category)
    scores = [run.tasks() for run in runs]
    rows = []
    for key in keys:
        number = f"{key[1]:03d}" if suite == "libero_ex" else str(key[1])
        words = [number, facts[key].type.replace("_", " "), facts[key].instruction]
        cells = (_rate(found.get(key), interval=False) for found in scores)
        rows.append(_row(words, cells))
    means = (_rate(_part(run, keys), rate=_mean_rate(_scores(run, keys))) for run in runs)
    rows.append(_row(["", "", "average"], means, "sum"))
    heading = suite if suite == category else f"{suite}: {category}"
    head = ["task", "type", "instruction", *(run.name for run in runs)]
    return f"<h2>{escape(heading)}</h2>" + _table("", head, rows, text_columns=3)


def _crashes(runs: Sequence[RunResults]) -> list[str]:
    crashed = [(run, r) for run in runs for r in run.records if r.result is None]
    rows = []
    for run, record in crashed:
        trial, reason = record.trial, (record.error or "").strip().rpartition("\n")[2]
        words = [run.name, trial.suite, str(trial.task), str(trial.episode), reason]
        rows.append(_row(words, []))
    if not rows:
        return []
    head = ["run", "suite", "task", "episode", "what happened"]
    return ["<h2>Crashed episodes</h2>" + _table("", head, rows, text_columns=5)]


def _failures(runs: Sequence[RunResults]) -> list[str]:
    """How many failures are of each kind, by run and type of task; nothing without a failure."""
    counts = {
        (run.name, name): count_failures(records)
        for run in runs
        for name, records in {**run.records_by_type(), "all": run.records}.items()
    }
    kinds = [kind for kind in KINDS if any(kind in found for found in counts.values())]
    if not kinds:
        return []
    rows = [
        _row(
            [name, type_.replace("_", " ")],
            [f"<td>{found.get(kind, 0)}</td>" for kind in kinds],
            "sum" if type_ == "all" else "",
        )
        for (name, type_), found in counts.items()
    ]
    terms = "".join(f"<dt>{escape(k)}</dt><dd>{escape(KINDS[k])}</dd>" for k in kinds)
    table = _table("", ["run", "type", *kinds], rows, text_columns=2)
    return [f"<h2>Failures</h2>{table}<dl class=faint>{terms}</dl>"]


def _videos(runs: Sequence[RunResults], folder: Path) -> list[str]:
    """Every film, those of one kind of failure beside each other."""
    films = [
        (failure_of(record) or record.outcome, run, record)
        for run in runs
        for record in run.records
        if record.video and (run.folder / record.video).is_file()
    ]
    films.sort(key=lambda film: film[0])
    figures = [_figure(kind, run, record, folder) for kind, run, record in films]
    return ["<h2>Videos</h2>", "<div class=videos>", *figures, "</div>"] if figures else []


def _figure(kind: str, run: RunResults, record: EpisodeRecord, folder: Path) -> str:
    path = os.path.relpath((run.folder / str(record.video)).resolve(), folder.resolve())
    words = f"{run.name}, task {record.trial.task}, episode {record.trial.episode}: {kind}"
    return (
        f'<figure><video controls preload="none" src="{escape(quote(path))}"></video>'
        f"<figcaption>{escape(words)}</figcaption></figure>"
    )
