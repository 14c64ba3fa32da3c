"""The report, read back by an HTML parser."""

from __future__ import annotations

import dataclasses
import io
import json
from html.parser import HTMLParser

import pytest
from bench_fakes import FakePolicies, FakeWorlds, record
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.episode import RolloutConfig
from rain.bench.protocols import TaskFacts
from rain.bench.records import Trial
from rain.bench.report import (
    RunResults,
    difference,
    differing_settings,
    named_apart,
    read_run,
    write_report,
)
from rain.bench.report_page import page
from rain.types import RainError

VOID = {"meta", "br", "img"}


class Reader(HTMLParser):
    """Checks that elements are closed in order; collects tables, texts and attributes."""

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.tables, self.text = [], [], [], []
        self.attributes = []

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.attributes += [(tag, *pair) for pair in attributes]
        if tag in VOID:
            return
        self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if self.open and {"td", "th"} & set(self.open):
            self.tables[-1][-1][-1] += data


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert reader.open == []
    return reader


SETTINGS = {"weights": "abc", "starts": "official", "rollout": {"execute": 8}}
FACTS = {
    ("libero_ex", 1): TaskFacts("one", "unseen_object", "object", "Pick <b>it</b> & go"),
    ("libero_ex", 8): TaskFacts("eight", "object_switching", "object", "Pick that"),
    ("libero_ex", 61): TaskFacts("part", "decomposition", "task", "Do a part"),
}


def episode(task, number, success):
    made = record(number, trial=Trial("libero_ex", task, number))
    return dataclasses.replace(
        made,
        result=dataclasses.replace(
            made.result, success=success, outcome="success" if success else "horizon"
        ),
    )


def results(name, outcomes, folder, **about):
    """outcomes: task -> successes of its episodes."""
    records = [episode(t, i, won) for t, row in outcomes.items() for i, won in enumerate(row)]
    whole = {
        "policy": name, "suite": "libero_ex", "target": "own", "episodes_per_task": 4,
        "planned": len(records), "conventions": None, "settings": SETTINGS,
        "task_settings": {f"libero_ex/{task}": SETTINGS for _, task in FACTS},
    }  # fmt: skip
    return RunResults(name, folder, whole | about, FACTS, records)


@pytest.fixture
def runs(tmp_path):
    mine = results("<script>x</script>", {1: [1, 1, 1, 1], 8: [1, 1, 1, 1], 61: [1, 0, 0, 0]},
                   tmp_path)  # fmt: skip
    theirs = results("other", {1: [0, 0, 0, 0], 8: [0, 0, 0, 0], 61: [1, 0, 0, 0]}, tmp_path)
    return [mine, theirs]


def test_everything_is_escaped_and_nothing_is_loaded(runs, tmp_path):
    text = page(runs, "A <i>title</i>", tmp_path)
    reader = read(text)
    assert "script" not in reader.tags
    assert "i" not in reader.tags
    assert "<script>x</script>" in "".join(reader.text)
    assert not any("//" in (value or "") for _, _, value in reader.attributes)
    assert "Pick <b>it</b> & go" in [row[2] for table in reader.tables for row in table if row[2:]]


def test_the_tables_hold_the_scores(runs, tmp_path):
    tables = read(page(runs, "t", tmp_path)).tables
    success = next(table for table in tables if table[0][-1] == "average")
    # Object: both tasks at 100 %, Wilson of 8/8 is 68 to 100. Average of 100 and 25.
    assert success[0] == ["run", "object", "task", "average"]
    assert success[1][1] == "100.0 (68–100)"
    assert success[1][2].startswith("25.0")
    assert success[1][3].startswith("62.5")
    tasks = next(table for table in tables if table[0][0] == "task")
    assert tasks[1][:3] == ["001", "unseen object", "Pick <b>it</b> & go"]
    assert tasks[1][3:] == ["100 4/4", "0 0/4"]
    assert tasks[-1][3].startswith("100.0")


def test_failures_are_sorted_by_kind(runs, tmp_path):
    runs[0].records[-1] = dataclasses.replace(
        runs[0].records[-1],
        result=dataclasses.replace(runs[0].records[-1].result, outcome="spoiled"),
    )
    reader = read(page(runs, "t", tmp_path))
    found = next(t for t in reader.tables if t[0][:3] == ["run", "type", "whole task done"])
    total = {row[0]: [int(cell) for cell in row[2:]] for row in found if row[1] == "all"}
    assert total["<script>x</script>"][0] == 1
    assert {name: sum(counts) for name, counts in total.items()} == {
        "<script>x</script>": 3,
        "other": 11,
    }
    assert "dd" in reader.tags, "each kind is explained"


def test_comparison_is_paired_with_the_first(runs, tmp_path):
    (table,) = [t for t in read(page(runs, "t", tmp_path)).tables if t[0][-1] == "all"]
    assert table[1][0] == "other"
    assert table[1][1].startswith("-100.0 (")
    assert "n = 8" in table[1][1]
    assert table[1][2].startswith("+0.0")
    found = difference(runs[1], runs[0], FACTS)
    assert (found.mean, found.episodes, found.clear) == (pytest.approx(-8 / 12), 12, True)
    less = dataclasses.replace(runs[1], records=runs[1].records[:2])
    assert difference(less, runs[0], FACTS).episodes == 2
    assert difference(less, runs[0], [("libero_ex", 61)]) is None


def test_what_must_be_known_is_said(runs, tmp_path):
    other = {**SETTINGS, "starts": "fresh"}
    runs[1] = dataclasses.replace(
        runs[1], about={**runs[1].about, "settings": other, "planned": 20, "left_out": {"a": "why"}}
    )
    assert differing_settings(runs) == ["starts"]
    said = "".join(read(page(runs, "t", tmp_path)).text)
    assert "differ in more than the policy: starts" in said
    assert "other: 8 of 20 episodes are missing" in said
    assert "left out: why" in said
    assert "not the paper's" in said


def test_runs_of_one_policy_are_told_apart(tmp_path):
    made = [results("nano", {1: [1]}, tmp_path / name) for name in ("a", "b", "b")]
    assert [run.name for run in named_apart(made)] == ["nano (a)", "nano (b) 2", "nano (b) 3"]


def test_from_a_run_to_a_page(tmp_path, monkeypatch):
    folder = tmp_path / "a b" / "run"
    campaign = Campaign(FakePolicies(), FakeWorlds(), "parts,kitchen", "all", 1, folder,
                        rollout=RolloutConfig(horizon=20), film="first")  # fmt: skip
    run_campaign(campaign, Console(file=io.StringIO()))
    out = tmp_path / "pages" / "report.html"
    write_report(out, [read_run(folder)], "Report")
    reader = read(out.read_text())
    assert len(read_run(folder).records) == 3
    sources = [value for tag, name, value in reader.attributes if (tag, name) == ("video", "src")]
    assert len(sources) == 3
    assert sources[0].startswith("../a%20b/run/videos/")
    assert "no script: (Turnoff stove_1)" in "".join(reader.text)
    assert [p.name for p in out.parent.iterdir()] == ["report.html"]


def test_records_of_other_settings_and_plans_are_left_out(tmp_path):
    folder = tmp_path / "run"
    campaign = Campaign(FakePolicies(), FakeWorlds(), "kitchen", "0", 2, folder,
                        rollout=RolloutConfig(horizon=20))  # fmt: skip
    console = Console(file=io.StringIO())
    run_campaign(campaign, console)
    run_campaign(dataclasses.replace(campaign, seed=1, episodes=1), console)
    (only,) = read_run(folder).records
    assert (only.settings["seed"], only.trial.episode) == (1, 0)


def test_what_is_no_run(tmp_path):
    with pytest.raises(RainError, match="no run"):
        read_run(tmp_path)
    path = tmp_path / "summary.json"
    path.write_text("{")
    with pytest.raises(RainError, match="cannot be read"):
        read_run(tmp_path)
    path.write_text(json.dumps({"format": 1}))
    with pytest.raises(RainError, match="another version"):
        read_run(tmp_path)
    with pytest.raises(RainError, match="at least one"):
        write_report(tmp_path / "report.html", [], "t")
    with pytest.raises(RainError, match=r"\.html"):
        write_report(tmp_path / "report.pdf", [results("a", {1: [1]}, tmp_path)], "t")


def test_crashed_episodes_are_listed(tmp_path):
    crash = record(3, crashed=True, trial=Trial("libero_ex", 1, 3))
    run = results("a", {1: [1]}, tmp_path)
    run = dataclasses.replace(run, records=[*run.records, crash])
    (table,) = [t for t in read(page([run], "t", tmp_path)).tables if t[0][-1] == "what happened"]
    assert table[1] == ["a", "libero_ex", "1", "3", "boom"]
