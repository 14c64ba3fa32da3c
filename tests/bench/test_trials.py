from __future__ import annotations

from collections import Counter

import pytest
from bench_fakes import FakeWorld

from rain.bench.records import Trial
from rain.bench.trials import (
    FRESH_SEED,
    assign,
    other_objects,
    parse_tasks,
    plan_trials,
    policy_seed,
)
from rain.types import RainError

OTHERS = ["butter_1", "ketchup_1", "soup_1"]


def another(count, task=0):
    world = FakeWorld()
    return [assign(Trial("s", task, e, "another"), world) for e in range(count)]


def test_other_objects_leave_the_own_one_out():
    assert other_objects(FakeWorld()) == OTHERS


@pytest.mark.parametrize("count", range(1, 13))
def test_any_number_of_episodes_covers_the_objects_evenly(count):
    counts = Counter(a.marked for a in another(count))
    assert max(counts.values()) - min(counts.get(name, 0) for name in OTHERS) <= 1 or count > 4
    pairs = [(a.init_state, a.marked) for a in another(count)]
    assert len(set(pairs)) == count


def test_all_pairs_come_once():
    pairs = {(a.init_state, a.marked) for a in another(12)}
    assert pairs == {(i, name) for i in range(4) for name in OTHERS}
    with pytest.raises(RainError, match="--episodes 12 or fewer"):
        another(13)


def test_another_is_judged_by_the_marked_object_alone():
    world = FakeWorld(success_after=5)
    assignment = assign(Trial("s", 0, 0, "another"), world)
    for marked, expected in (("milk_1", False), (assignment.marked, True)):
        world.reset(init_state=0)
        world.marked = marked
        for _ in range(5):
            world.step([0] * 7)
        assert assignment.goal() is expected
        assert world.success() is (marked == "milk_1")


class TestScene:
    """Region following over all that a scene has."""

    def test_every_target_in_turn_and_the_next_where_one_cannot_be_used(self):
        world = FakeWorld()
        assignments = [assign(Trial("s", 0, e, "scene"), world) for e in range(4)]
        # basket (with the even episode's milk), butter -> milk, milk, soup
        assert [a.marked for a in assignments] == ["milk_1", "milk_1", "milk_1", "soup_1"]
        assert [a.init_state for a in assignments] == [0, 1, 2, 3]
        assert world.resets == [(i, None) for i in range(4)], "asked in the episode's own start"

    def test_the_place_gets_another_object_in_another_round(self):
        # Episode 7 is the second round's last; the round shifts targets by one: the basket.
        assert assign(Trial("s", 0, 7, "scene"), FakeWorld()).marked == "soup_1"

    def test_judged_by_its_own_script(self):
        world = FakeWorld(success_after=5)
        assignment = assign(Trial("s", 0, 3, "scene"), world)
        world.reset(init_state=0)
        world.marked = "soup_1"
        for _ in range(5):
            world.step([0] * 7)
        assert assignment.goal() is True
        assert world.success() is False

    def test_nothing_to_point_at(self, monkeypatch):
        monkeypatch.setattr(FakeWorld, "script_to", lambda *_: None)
        with pytest.raises(RainError, match="nothing here"):
            assign(Trial("s", 0, 0, "scene"), FakeWorld())

    def test_noise_differs_from_the_other_targets(self):
        seeds = {policy_seed(Trial("s", 0, 0, t), 0) for t in ("own", "another", "scene")}
        assert len(seeds) == 3


def test_own_takes_init_states_in_order():
    world = FakeWorld()
    assignments = [assign(Trial("s", 0, e), world) for e in range(4)]
    assert [a.init_state for a in assignments] == [0, 1, 2, 3]
    assert {a.marked for a in assignments} == {"milk_1"}
    with pytest.raises(RainError, match="--episodes 4 or fewer"):
        assign(Trial("s", 0, 4), world)


def test_fresh_starts_have_seeds():
    assignment = assign(Trial("s", 0, 7), FakeWorld(), "fresh")
    assert (assignment.init_state, assignment.seed) == (None, FRESH_SEED + 7)


def test_no_other_object(monkeypatch):
    monkeypatch.setattr(FakeWorld, "graspable", lambda self: ["milk_1"])
    with pytest.raises(RainError, match="no other object"):
        another(1)


@pytest.mark.parametrize(
    ("text", "tasks"), [("all", [0, 1, 2, 3]), ("2", [2]), ("3,0", [0, 3]), ("1,1", [1])]
)
def test_tasks(text, tasks):
    assert parse_tasks(text, range(4), "suite") == tasks


def test_tasks_may_be_numbered_from_one_and_written_as_ids():
    assert parse_tasks("040,3", range(1, 76), "libero_ex") == [3, 40]
    with pytest.raises(RainError, match="tasks 1 to 75"):
        parse_tasks("0", range(1, 76), "libero_ex")


def test_development_states_follow_those_for_evaluation(monkeypatch):
    world = FakeWorld()
    starts = [assign(Trial("s", 0, e), world, "development").init_state for e in range(3)]
    assert starts == [4, 5, 6]
    with pytest.raises(RainError, match="--episodes 3 or fewer"):
        assign(Trial("s", 0, 3), world, "development")
    monkeypatch.setattr(FakeWorld, "development_state_count", 0)
    with pytest.raises(RainError, match="no init states for development"):
        assign(Trial("s", 0, 0), world, "development")


@pytest.mark.parametrize("text", ["4", "-1", "x", "", "0,9"])
def test_bad_tasks(text):
    with pytest.raises(RainError, match="task"):
        parse_tasks(text, range(4), "suite")


def test_plan():
    trials = plan_trials("s", [0, 2], 3, "own")
    assert len(set(trials)) == 6
    with pytest.raises(RainError, match="episodes"):
        plan_trials("s", [0], 0, "own")


def test_policy_seeds_differ():
    trials = [
        Trial("s", t, e, kind) for t in range(3) for e in range(3) for kind in ("own", "another")
    ]
    seeds = {policy_seed(trial, seed) for trial in trials for seed in (0, 1)}
    assert len(seeds) == 36
