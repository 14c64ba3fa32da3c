from __future__ import annotations

import json
from pathlib import Path

import pytest

import rain.cli.retarget as command
from rain.bench.retargeting import RetargetResult, SceneDone
from rain.cli.main import main

ONE = ["retarget", "check", "--suite", "libero_object", "--types", "grasp", "--trials", "8"]


def result(task: int, success: bool) -> RetargetResult:
    kind = "around" if task else "displaced"
    return RetargetResult("libero_object", task, "grasp", "milk_1", 7, kind, 0.1, "rrs", success)


def test_an_interrupted_check_goes_on_with_what_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def interrupted(trials, done=()):
        asked.append(set(done))
        yield result(0, True)
        yield SceneDone("libero_object", 0)
        yield result(1, False)
        raise KeyboardInterrupt

    def whole(trials, done=()):
        asked.append(set(done))
        yield result(1, True)
        yield SceneDone("libero_object", 1)

    out = ["--out", str(tmp_path / "check.jsonl"), "--modes", "rrs"]
    monkeypatch.setattr(command, "run_retarget_trials", interrupted)
    assert main([*ONE, *out]) == 130
    monkeypatch.setattr(command, "run_retarget_trials", whole)
    assert main([*ONE, *out]) == 0
    assert asked == [set(), {SceneDone("libero_object", 0)}]
    assert "2/2" in capsys.readouterr().out
    lines = [json.loads(line) for line in (tmp_path / "check.jsonl").read_text().splitlines()]
    assert [line["success"] for line in lines if "mode" in line] == [True, True]
    # Other settings never mix with these, and another file is named.
    assert main([*ONE, *out, "--correct"]) == 2
    assert "other settings" in capsys.readouterr().err
    (tmp_path / "check.jsonl").write_text("no json\n")
    assert main([*ONE, *out]) == 2
    assert "not results" in capsys.readouterr().err
