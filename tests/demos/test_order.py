"""The order of what was done, from made-up traces."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.demos.annotate import Trace
from rain.demos.order import in_the_order_done
from rain.types import Subtask, TaskScript
from rain.worlds.libero.suites import SUITES, find_task, suite_tasks

STEPS = 100


def carried(times: dict[str, tuple[int, int]], script: TaskScript, **reached: int) -> Trace:
    """Objects in the air from one step to another, and parts moved from a step on."""
    heights, held = {}, [set() for _ in range(STEPS)]
    for name, (start, end) in times.items():
        heights[name] = np.zeros(STEPS)
        heights[name][start:end] = 0.1
        for step in range(start, end):
            held[step].add(name)
    placed = np.zeros((STEPS, len(script.subtasks)), bool)
    for j, subtask in enumerate(script.subtasks):
        if subtask.action_type in reached:
            placed[reached[subtask.action_type] :, j] = True
    return Trace(
        np.zeros((STEPS, 7), np.float32), np.zeros((STEPS, 3, 3)), heights,
        tuple(frozenset(names) for names in held), placed,
        np.tile(np.arange(len(script.subtasks)), (STEPS, 1)).astype(float),
    )  # fmt: skip


def open_order_tasks() -> list[TaskScript]:
    """The six tasks of libero_10 that put down two objects, in either order."""
    scripts = [
        find_task(suite, i).script for suite in SUITES for i in range(len(suite_tasks(suite)))
    ]
    return [s for s in scripts if sum(t.action_type == "grasp" for t in s.subtasks) == 2]


def test_both_orders_of_the_tasks_that_leave_it_open() -> None:
    scripts = open_order_tasks()
    assert len(scripts) == 6
    for script in scripts:
        first, _, second, _ = (s.target for s in script.subtasks)
        as_worded = carried({first: (10, 30), second: (50, 70)}, script)
        assert in_the_order_done(script, as_worded)[0] == script
        turned = carried({second: (10, 30), first: (50, 70)}, script)
        done, seen = in_the_order_done(script, turned)
        assert done.subtasks == script.subtasks[2:] + script.subtasks[:2]
        # The trace's columns go with their subtasks.
        np.testing.assert_array_equal(seen.moved[0], [2, 3, 0, 1])


def test_an_object_lifted_twice_counts_when_it_was_last_put_down() -> None:
    script = open_order_tasks()[0]
    first, _, second, _ = (s.target for s in script.subtasks)
    seen = carried({first: (10, 20), second: (30, 50)}, script)
    seen.heights[first][60:80] = 0.1
    held = tuple(names | {first} if 60 <= i < 80 else names for i, names in enumerate(seen.held))
    again = Trace(seen.states, seen.rotation, seen.heights, held, seen.placed, seen.moved)
    assert in_the_order_done(script, again)[0].subtasks[0].target == second


def test_a_part_counts_when_it_first_was_where_it_should_be() -> None:
    script = TaskScript(
        "turn it on and put the pot there",
        (Subtask("turn_on", "flat_stove_1:knob"), Subtask("grasp", "moka_pot_1"),
         Subtask("release", "flat_stove_1:burner")),
    )  # fmt: skip
    before = carried({"moka_pot_1": (40, 60)}, script, turn_on=20)
    assert in_the_order_done(script, before)[0] == script
    after = carried({"moka_pot_1": (40, 60)}, script, turn_on=80)
    assert [s.action_type for s in in_the_order_done(script, after)[0].subtasks] == [
        "grasp", "release", "turn_on",
    ]  # fmt: skip


def test_what_never_happened_keeps_its_place() -> None:
    script = open_order_tasks()[0]
    first, _, second, _ = (s.target for s in script.subtasks)
    seen = carried({first: (0, 0), second: (10, 30)}, script)
    assert in_the_order_done(script, seen)[0] == script
