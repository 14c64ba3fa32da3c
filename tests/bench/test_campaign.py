"""Whole runs, and what the command line says about bad input."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from bench_fakes import FakePolicies, FakeWorlds
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.records import read_records
from rain.bench.rollouts import RolloutConfig
from rain.bench.runner import Runner
from rain.cli.main import main
from rain.types import RainError


@pytest.fixture
def campaign(tmp_path):
    return Campaign(
        policies=FakePolicies(),
        worlds=FakeWorlds(),
        suite="kitchen",
        tasks="all",
        episodes=2,
        folder=tmp_path / "run",
        rollout=RolloutConfig(horizon=20),
    )


def run(campaign):
    console = Console(file=io.StringIO(), width=80)
    crashed = run_campaign(campaign, console)
    return crashed, console.file.getvalue()


def summary(campaign):
    return json.loads((campaign.folder / "summary.json").read_text())


def test_a_run_leaves_records_and_a_summary(campaign):
    crashed, said = run(campaign)
    assert crashed == 0
    assert len(read_records(campaign.folder / "episodes.jsonl")) == 4
    total = summary(campaign)["total"]
    assert (total["episodes"], total["successes"]) == (4, 4)
    assert summary(campaign)["settings"]["rendering"] == "none"
    assert "4/4" in said
    assert max(map(len, said.splitlines())) <= 80


def test_more_episodes_add_to_what_is_there(campaign):
    run(dataclasses.replace(campaign, episodes=1))
    _, said = run(campaign)
    assert "2 of 4 episodes are recorded already" in said
    assert summary(campaign)["total"]["episodes"] == 4


def test_region_following_is_scored_apart_in_one_folder(campaign):
    run(dataclasses.replace(campaign, tasks="0"))
    run(dataclasses.replace(campaign, tasks="0", target="another", episodes=3))
    assert summary(campaign)["target"] == "another"
    assert summary(campaign)["total"]["episodes"] == 3
    assert summary(campaign)["total"]["marked_first"] == 3


def test_an_interrupted_run_is_scored(campaign, monkeypatch):
    append = Runner._note

    def note(self, *args):
        append(self, *args)
        raise KeyboardInterrupt

    monkeypatch.setattr(Runner, "_note", note)
    with pytest.raises(KeyboardInterrupt):
        run(campaign)
    assert summary(campaign)["total"]["episodes"] == 1


@pytest.mark.parametrize("changes", [{"suite": "garage"}, {"tasks": "2"}, {"episodes": 0}])
def test_bad_input_leaves_nothing(campaign, changes):
    with pytest.raises(RainError):
        run(dataclasses.replace(campaign, **changes))
    assert not campaign.folder.exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--execute", "0"], "execute"),
        (["--threshold", "2"], "threshold"),
        (["--threads", "0"], "threads"),
        (["--suite", "libero_nothing"], "libero_nothing"),
        (["--task", "99"], "99"),
        (["--checkpoint", "no_such_checkpoint"], "no_such_checkpoint"),
    ],
)
def test_one_line_and_exit_code_2(arguments, message, capsys, tmp_path, monkeypatch):
    if arguments[0] in ("--suite", "--task", "--checkpoint"):
        pytest.importorskip("libero")
    monkeypatch.chdir(tmp_path)
    assert main(["rollout", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("rain: error:")
    assert message in said
    assert "\n" not in said
    assert list(tmp_path.iterdir()) == []


def test_demo_with_an_unknown_checkpoint(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--checkpoint", "no_such_checkpoint"]) == 2
    assert "no_such_checkpoint" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
