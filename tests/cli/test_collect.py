"""``rain collect`` says what it made, what failed and what is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from rain.cli import collect as command
from rain.cli.main import main
from rain.demos.collect import CollectConfig, Outcome


@pytest.fixture
def outcomes(monkeypatch: pytest.MonkeyPatch) -> list[Outcome]:
    """What collecting comes to; whatever is made has its file."""
    made: list[Outcome] = []

    def collect(config: CollectConfig, policies: object):
        for one in made:
            if one.made:
                path = config.file(one.suite, one.task, one.number)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.touch()
            yield one

    monkeypatch.setattr(command, "collect", collect)
    return made


def outcome(task: int, number: int, steps: int, *failures: str) -> Outcome:
    types = ("grasp", "release") if steps else ()
    return Outcome("libero_goal", task, number, steps, types, failures, 2.0)


def run(out: Path, *rest: str) -> int:
    return main(["collect", "--suite", "libero_goal", "--demos", "2", "--out", str(out), *rest])


def test_a_complete_collection_is_summed_up(
    tmp_path: Path, outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes += [outcome(3, 0, 100, "slipped: milk_1"), outcome(3, 1, 200, "slipped: butter_1")]
    assert run(tmp_path, "--tasks", "3") == 0
    said = capsys.readouterr().out
    assert "2/4" in said
    assert "150" in said
    assert "2× slipped" in said
    assert "subtasks: grasp 2, release 2" in said
    assert "0 demonstrations were there, 2 made" in said
    assert "missing:" not in said
    outcomes.clear()
    assert run(tmp_path, "--tasks", "3") == 0
    assert "2 demonstrations were there, 0 made" in capsys.readouterr().out


def test_what_is_missing_is_one_line_and_exit_code_1(
    tmp_path: Path, outcomes: list[Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes += [outcome(3, 0, 0, "stuck"), outcome(3, 1, 90), outcome(5, 0, 0), outcome(5, 1, 0)]
    assert run(tmp_path, "--tasks", "3", "5") == 1
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "missing: libero_goal task 3: 0; libero_goal task 5: 0-1"


def test_tasks_of_all_suites_are_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["collect", "--suite", "all", "--tasks", "1", "--out", str(tmp_path)]) == 2
    assert "--tasks needs one suite" in capsys.readouterr().err
