from __future__ import annotations

import dataclasses
import json
import math

import pytest
from bench_fakes import record
from rich.console import Console

from rain.bench.episode import Grasp, Touch
from rain.bench.protocols import TaskFacts
from rain.bench.records import Trial
from rain.bench.score_table import table
from rain.bench.scoring import average, score, score_groups, summary, wilson, write_summary


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # Published values: Newcombe (1998), table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_wilson_against_known_values(successes, trials, low, high):
    assert wilson(successes, trials) == (
        pytest.approx(low, abs=5e-5),
        pytest.approx(high, abs=5e-5),
    )


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (95, 100)])
def test_wilson_ends_solve_the_score_equation(successes, trials):
    # The ends are the proportions at which the score test just rejects.
    z, rate = 1.959963984540054, successes / trials
    for end in wilson(successes, trials):
        if 0 < end < 1:
            assert abs(rate - end) == pytest.approx(z * math.sqrt(end * (1 - end) / trials))
    mirrored = wilson(trials - successes, trials)
    assert wilson(successes, trials) == pytest.approx((1 - mirrored[1], 1 - mirrored[0]))


def test_wilson_at_the_edges():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(10, 10)[1] == 1.0
    with pytest.raises(ValueError, match="successes"):
        wilson(3, 2)


def with_result(original, **changes):
    return dataclasses.replace(original, result=dataclasses.replace(original.result, **changes))


def episodes():
    won = record(0)
    lost = with_result(
        record(1), success=False, success_step=None, outcome="horizon", transitions=(),
        grasps=(Grasp(3, "soup_1"), Grasp(9, "milk_1")), steps=9,
    )  # fmt: skip
    other = dataclasses.replace(won, trial=Trial("libero_object", 4, 0))
    return [won, lost, record(2, crashed=True), other]


def test_crashed_is_neither_success_nor_failure():
    total = score(episodes())
    assert (total.episodes, total.successes, total.crashed) == (3, 2, 1)
    assert (total.low, total.high) == wilson(2, 3)
    assert score([record(0, crashed=True)]).rate is None


def test_region_following():
    total = score(episodes())
    assert total.marked_first == 2
    assert total.wrong_grasps == 1
    assert total.script_progress == pytest.approx((0.5 + 0 + 0.5) / 3)
    assert total.steps == 6


def test_step_milliseconds_weigh_episodes_by_their_steps():
    parts = {"physics": 0.0, "rendering": 0.0, "network": 0.0, "judging": 0.0, "video": 0.0}
    short = with_result(record(0), steps=10, seconds=parts | {"physics": 1.0})
    long = with_result(record(1), steps=30, seconds=parts | {"physics": 1.0})
    assert score([short, long]).step_ms["physics"] == pytest.approx(50.0)


def facts(*names):
    return {
        ("libero_object", task): TaskFacts(name, f"type {task % 2}", "all", "Pick up <the> milk")
        for task, name in zip((0, 4, 5), names, strict=False)
    }


def test_summary_is_strict_json(tmp_path):
    path = tmp_path / "summary.json"
    write_summary(path, summary(episodes(), facts("first", "second"), suite="libero_object"))
    read = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert read["suite"] == "libero_object"
    assert list(read["tasks"]) == ["libero_object/0", "libero_object/4"]
    assert read["tasks"]["libero_object/4"]["name"] == "second"
    assert read["total"]["rate"] == pytest.approx(2 / 3)
    assert [p.name for p in tmp_path.iterdir()] == ["summary.json"]


def test_time_contacts_and_what_the_world_showed_done():
    # FakeWorld succeeds at step 6 of 20 Hz; the fakes grasp the milk at step 4 and never release.
    won = with_result(record(0), touches=(Touch(1, "milk_1"), Touch(2, "basket_1")), done=(4, None))
    bumped = with_result(record(1), touches=(Touch(3, "soup_1"),), done=(4, 6))
    old = with_result(record(2), touches=None, done=None, success_s=None)
    total = score([won, bumped, old])
    assert total.time_s == pytest.approx(6 / 20)
    assert (total.wrong_contacts, total.contacts_known) == (1, 2)
    assert total.done == pytest.approx((0.5 + 1.0) / 2)


def test_a_goal_that_was_lost_is_no_time_to_success():
    lost = with_result(record(0), success=False, outcome="spoiled")
    total = score([lost])
    assert (total.successes, total.spoiled, total.steps, total.time_s) == (0, 1, None, None)


def test_groups_and_their_average():
    known = facts("first", "second", "third")
    third = dataclasses.replace(record(0), trial=Trial("libero_object", 5, 0))
    found = [*episodes(), third, third]
    by_type = score_groups(found, known, "type")
    assert [(n, s.successes, s.episodes) for n, s in by_type.items()] == [
        ("type 0", 2, 3),
        ("type 1", 2, 2),
    ]
    assert list(score_groups(found, known, "suite")) == ["libero_object"]
    two = {**known, ("libero_goal", 0): TaskFacts("goal", "x", "y")}
    lost = with_result(
        dataclasses.replace(record(0), trial=Trial("libero_goal", 0, 0)), success=False
    )
    # The mean of 4/5 and 0/1, not 4/6.
    assert summary([*found, lost], two)["average"] == pytest.approx(0.4)
    assert average([0.5, None]) is None


def test_table_shows_tasks_and_total():
    console = Console(width=160, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(table(episodes(), facts("pick_up_the_milk", "other"), "title", "another"))
    text = console.export_text()
    assert "0 pick up the milk" in text
    assert "1/2" in text
    assert "2/3" in text
    assert "marked" in text
