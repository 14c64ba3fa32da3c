from __future__ import annotations

import io
from dataclasses import replace

import pytest
from bench_fakes import FakePolicies, FakeWorlds
from rich.console import Console

from rain.bench.evaluation import Evaluation
from rain.bench.records import RecordFile, read_records
from rain.types import RainError


def test_episodes_are_run_once_and_read_back(tmp_path):
    evaluation = Evaluation(("kitchen",), "0", 2, ("own", "another"), worlds=FakeWorlds())
    console = Console(file=io.StringIO())
    assert evaluation.recorded(FakePolicies(), tmp_path) == {"own": {}, "another": {}}
    assert evaluation.run(FakePolicies(), tmp_path, console) == 0
    found = evaluation.recorded(FakePolicies(), tmp_path)
    assert found["own"] == {("kitchen", 0, 0): True, ("kitchen", 0, 1): True}
    assert found["another"].keys() == found["own"].keys()
    records = read_records(tmp_path / "kitchen-own-fresh" / "episodes.jsonl")
    assert len(records) == 2
    assert all(record.init_state is None for record in records)
    evaluation.run(FakePolicies(), tmp_path, console)
    assert read_records(tmp_path / "kitchen-own-fresh" / "episodes.jsonl") == records


def test_what_was_not_asked_for_does_not_count(tmp_path):
    """Other weights, further episodes and crashes are recorded in the same file."""
    evaluation = Evaluation(("kitchen",), "0", 2, worlds=FakeWorlds())
    evaluation.run(FakePolicies(), tmp_path, Console(file=io.StringIO()))
    fewer = Evaluation(("kitchen",), "0", 1, worlds=FakeWorlds())
    assert list(fewer.recorded(FakePolicies(), tmp_path)["own"]) == [("kitchen", 0, 0)]

    class Others(FakePolicies):
        def fingerprint(self) -> str:
            return "others"

    assert evaluation.recorded(Others(), tmp_path) == {"own": {}}
    path = tmp_path / "kitchen-own-fresh" / "episodes.jsonl"
    with RecordFile(path) as file:
        file.append(replace(file.records[0], result=None, error="boom"))
    crashed = read_records(path)[0].trial.episode
    assert list(evaluation.recorded(FakePolicies(), tmp_path)["own"]) == [
        ("kitchen", 0, 1 - crashed)
    ]


@pytest.mark.parametrize("wrong", [{"suites": ("garage",)}, {"tasks": "7"}, {"episodes": 0}])
def test_bad_input_is_found_before_anything_runs(wrong):
    settings = {"suites": ("kitchen",), "worlds": FakeWorlds(), **wrong}
    with pytest.raises(RainError):
        Evaluation(**settings).check()
