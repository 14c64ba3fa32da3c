"""``rain bench`` lists, shows and verifies LIBERO-EX; without a simulator's scene where it can."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from rain.cli.main import main
from rain.worlds.libero.ex.states import STATES, SUMS, read_states, states_file

pytest.importorskip("libero", reason="the simulator is not installed")


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """A folder with the states of tasks 040 and 041."""
    for number in ("040", "041"):
        shutil.copy(states_file(STATES, number), tmp_path)
    shutil.copy(STATES / SUMS, tmp_path)
    return tmp_path


def test_list_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list", "--suite", "libero-ex", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert len(entries) == 75
    assert entries[39] == {
        "id": "040",
        "category": "layout",
        "type": "layout",
        "instruction": "Close the microwave.",
        "evidence": "fitted_to_paper_results",
    }
    assert {entry["category"] for entry in entries} == {"object", "layout", "task"}


def test_list_as_a_table_counts_the_evidence(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "75 tasks" in told
    assert "43 fitted_to_paper_results" in told


def test_list_of_a_suite_of_liberos(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "list", "--suite", "libero_goal", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert [entry["id"] for entry in entries] == [str(n) for n in range(10)]
    assert entries[7]["instruction"] == "Turn on the stove"
    assert {entry["evidence"] for entry in entries} == {"official"}


def test_show_says_how_certain_a_task_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "show", "66", "--no-picture"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "LIBERO-EX 066" in told
    assert "certain: scene and goal follow from the paper" in told
    assert "1 close microwave_1:door" in told
    whole = "(In white_yellow_mug_1 microwave_1_heating_region) (Close microwave_1)"
    assert f"fails when {whole} has held" in told
    assert "10 for evaluation, 20 for development, from official init states" in told
    assert main(["bench", "show", "040", "--no-picture"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "the scene is ours" in told
    assert "edit add plate_1 at (0.05, -0.18)" in told
    assert "fails when" not in told


def test_verify_says_which_file_is_damaged(
    states: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "verify", "--states", str(states), "--no-scenes", "--tasks"]
    assert main([*command, "40,41"]) == 0
    assert "2 tasks are as they were frozen" in capsys.readouterr().out
    (states / "041.npz").write_bytes(b"nothing")
    assert main([*command, "040,041"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("040 ok")
    assert lines[1].startswith("041 wrong 041.npz differs from its checksum")
    assert lines[2] == "1 of 2 tasks are not as they were frozen"
    assert main([*command, "42"]) == 1
    assert "042.npz is missing" in capsys.readouterr().out


def test_freeze_keeps_what_is_frozen(states: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (states / "040.npz").read_bytes()
    assert main(["bench", "freeze", "--out", str(states), "--tasks", "040,041"]) == 0
    assert "2 of 2 tasks are frozen already" in capsys.readouterr().out
    assert (states / "040.npz").read_bytes() == before
    assert len(read_states(states / "041.npz").starts) == 30


def test_prove_lets_the_expert_do_a_task(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["bench", "prove", "--tasks", "066", "--starts", "development", "--episodes", "1"]
    command += ["--workers", "1", "--out", str(tmp_path)]
    assert main(command) == 0
    assert "every one of 1 tasks is solved in 90 % of episodes or more" in capsys.readouterr().out
    before = (tmp_path / "episodes.jsonl").read_bytes()
    assert json.loads(before)["success"]
    assert "| 066 | decomposition | Close the microwave. | 1/1 |" in (
        tmp_path / "prove.md"
    ).read_text("utf-8")
    assert main(command) == 0  # there is nothing left to play
    assert (tmp_path / "episodes.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["list", "--suite", "libero-xx"], "libero_ex"),
        (["show", "076", "--no-picture"], "001 to 075"),
        (["show", "040", "--out", "040.jpg"], "ends in .png"),
        (["verify", "--tasks", "0", "--no-scenes"], "1 to 75"),
        (["verify", "--workers", "0"], "workers"),
        (["prove", "--episodes", "11"], "10 init states for evaluation"),
        (["prove", "--at-least", "2"], "at-least"),
    ],
)
def test_errors_are_one_line(
    args: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *args]) == 2
    err = capsys.readouterr().err
    assert words in err
    assert err.count("\n") == 1
