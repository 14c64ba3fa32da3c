"""What is known of tasks without their simulator."""

from __future__ import annotations

import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.bench.catalogue import list_tasks
from rain.bench.sources import LiberoWorlds, libero_facts
from rain.bench.trials import horizon_of


def test_libero_ex_declares_type_horizon_and_what_results_depend_on():
    facts = libero_facts("libero_ex", 61)
    assert (facts.type, facts.category, facts.horizon) == ("decomposition", "task", 520)
    assert facts.instruction == "Put the white mug on the left plate."
    assert len(facts.settings["scene"]) == 12
    rule = [n for n in range(1, 76) if "whole_fails" in libero_facts("libero_ex", n).settings]
    assert rule == list(range(61, 76))


def test_a_task_without_a_script_says_why():
    facts = libero_facts("libero_goal_task", 7)
    assert "Turnoff" in facts.missing
    assert facts.name == "turn_on_the_stove"
    entries = list_tasks("libero_goal_task")
    assert len(entries) == 10
    assert "Turnoff" in entries[7].instruction
    assert "Turnoff" not in entries[6].instruction


def test_other_suites_are_their_own_type_and_category():
    facts = LiberoWorlds().facts("libero_object_swap", 0)
    assert (facts.type, facts.category) == ("libero_object_swap", "libero_object_swap")
    assert (facts.horizon, facts.settings, facts.missing) == (None, {}, "")


@pytest.mark.parametrize(
    ("suite", "steps"),
    [
        ("libero_object", 280),
        ("libero_object_swap", 280),
        ("libero_10_with_milk", 520),
        ("libero_90", 400),
        ("libero_goal_task", 300),
        ("libero_study_table", 520),
    ],
)
def test_a_variants_horizon_is_its_suites(suite, steps):
    assert horizon_of(suite) == steps
