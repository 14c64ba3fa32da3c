"""Whole runs, and what the command line says about bad input."""

from __future__ import annotations

import dataclasses
import io
import json

import pytest
from bench_fakes import FakePolicies, FakeWorlds, NoisyPolicies
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.episode import RolloutConfig
from rain.bench.records import read_records
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


def test_several_suites_with_their_own_horizons(campaign):
    both = dataclasses.replace(campaign, suite="kitchen,parts", own_horizons=True)
    crashed, said = run(both)
    assert crashed == 0
    found = summary(both)
    assert list(found["suites"]) == ["kitchen", "parts"]
    assert set(found["tasks"]) == {"kitchen/0", "kitchen/1", "parts/1"}
    # The broken task is left out, and the run says so.
    assert found["left_out"] == {"parts/2": "no script: (Turnoff stove_1)"}
    assert "left out of parts: no script: (Turnoff stove_1)" in said
    steps = {r.trial.suite: r.result.steps for r in read_records(both.folder / "episodes.jsonl")}
    # One stops at success; the part of a longer task runs to the horizon that it declares.
    assert steps == {"kitchen": 10, "parts": 15}
    assert found["task_settings"]["parts/1"]["scene"] == "abc"
    assert found["task_settings"]["parts/1"]["rollout"]["horizon"] == 15
    assert found["task_settings"]["kitchen/0"]["rollout"]["horizon"] == 520
    assert found["conventions"]["views"] == ["agentview", "wrist"]
    assert "policy and world agree: views agentview, wrist, 32 px" in said


def test_another_scene_runs_again(campaign, monkeypatch):
    part = dataclasses.replace(campaign, suite="parts", tasks="1", episodes=1)
    run(part)
    _, said = run(dataclasses.replace(part))
    assert "1 of 1 episodes are recorded already" in said
    facts = FakeWorlds.facts
    monkeypatch.setattr(
        FakeWorlds,
        "facts",
        lambda self, *key: dataclasses.replace(facts(self, *key), settings={"scene": "def"}),
    )
    _, said = run(dataclasses.replace(part))
    assert "recorded already" not in said


def test_a_task_that_cannot_be_run_is_an_error_where_it_was_asked_for(campaign):
    with pytest.raises(RainError, match="Turnoff"):
        run(dataclasses.replace(campaign, suite="parts", tasks="2"))
    assert not campaign.folder.exists()


def test_a_policy_process_gives_the_same(campaign, tmp_path):
    noisy = dataclasses.replace(campaign, policies=NoisyPolicies(), tasks="0")
    remote = dataclasses.replace(noisy, folder=tmp_path / "remote", policy_process=2)
    run(noisy)
    run(remote)
    one, other = (read_records(c.folder / "episodes.jsonl") for c in (noisy, remote))
    assert [r.result for r in one] == [r.result for r in other]
    # Batches of other sizes may be rounded differently, so their records are kept apart.
    assert other[0].settings == one[0].settings | {"batch": 2}


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


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--policy", "openvla:x"], "'openvla' is none of rain:, replay:, openpi:, groot:"),
        (["--policy", "expert:fast"], "takes nothing after it"),
        (["--policy", "replay:nowhere.hdf5"], "no HDF5 file"),
        (["--policy", "expert", "--suite", "libero_goal_task", "--tasks", "7"], "Turnoff"),
        (["--policy", "expert", "--policy-process", "2", "--tasks", "1"], "--policy-process 0"),
        (["--policy", "expert", "--policy-process", "2", "--ray"], "--policy-process"),
    ],
)
def test_bench_run_with_bad_input(arguments, message, capsys, tmp_path, monkeypatch):
    pytest.importorskip("libero")
    monkeypatch.chdir(tmp_path)
    assert main(["bench", "run", *arguments]) == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
    assert list(tmp_path.rglob("*.jsonl")) == []


def test_demo_with_an_unknown_checkpoint(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--checkpoint", "no_such_checkpoint"]) == 2
    assert "no_such_checkpoint" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
