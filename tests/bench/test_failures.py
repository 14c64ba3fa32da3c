"""Each failure has one kind, told from its record."""

from __future__ import annotations

import dataclasses

import pytest
from bench_fakes import FakePolicy, FakeWorld, record, script

from rain.bench.episode import Grasp, RolloutConfig, Transition
from rain.bench.failures import KINDS, count_failures, failure_of
from rain.bench.rollouts import rollout
from rain.types import Subtask, TaskScript

MILK = record().result
"""A success; failures are made of it."""


def failed(script_=None, **changes):
    """The record of a failure in 100 steps: nothing grasped, nothing left, nothing done."""
    plain = {
        "outcome": "horizon", "success": False, "success_step": None, "steps": 100,
        "transitions": (), "grasps": (), "predictions": 12, "done": (None, None),
        "held_until": None, "limit_steps": 0, "blind_looks": 0,
    }  # fmt: skip
    result = dataclasses.replace(MILK, **(plain | changes))
    return record(result=result, **({"script": script_} if script_ else {}))


def left(*subtasks):
    return tuple(Transition(50 + i, i, 0.9, None) for i in subtasks)


HELD = {"grasps": (Grasp(30, "milk_1"),), "done": (30, None)}
PUSH = TaskScript("push", (Subtask("push", "plate_1->stove_1"),))


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("whole task done", failed(outcome="spoiled")),
        ("region lost", failed(blind_looks=7)),
        ("joint limit", failed(limit_steps=34)),
        ("wrong object", failed(grasps=(Grasp(30, "soup_1"),))),
        ("missed grasp", failed()),
        ("progress too early", failed(transitions=left(0))),
        ("progress too late", failed(**HELD, held_until=100)),
        ("dropped", failed(**HELD, held_until=60)),
        ("dropped", failed(**HELD, transitions=left(0), held_until=60)),
        ("not let go", failed(**HELD, transitions=left(0), held_until=99)),
        ("wrong place", failed(**HELD, transitions=left(0, 1), held_until=60)),
        ("progress too late", failed(done=(30, 80), transitions=left(0), held_until=60)),
        ("undone", failed(done=(30, 80), transitions=left(0, 1), held_until=60)),
        ("missed", failed(PUSH, done=(None,))),
        ("progress too early", failed(PUSH, done=(None,), transitions=left(0))),
        ("unknown", failed(limit_steps=None)),
        ("unknown", failed(done=None)),
        ("unknown", failed(told=("grasp milk_1",))),
    ],
)
def test_kinds(kind, failure):
    assert failure_of(failure) == kind
    assert kind in KINDS


def test_what_is_not_a_failure():
    assert failure_of(record()) is None
    assert failure_of(record(crashed=True)) is None


@pytest.mark.parametrize(("blind", "limit"), [(6, 0), (0, 33)])
def test_up_to_a_half_and_a_third_are_not_the_reason(blind, limit):
    assert failure_of(failed(blind_looks=blind, limit_steps=limit)) == "missed grasp"


def test_counts_leave_out_what_did_not_happen():
    records = [failed(), record(), failed(outcome="spoiled"), failed(), record(crashed=True)]
    assert list(count_failures(records).items()) == [("whole task done", 1), ("missed grasp", 2)]


class TestNoted:
    """What a rollout notes for it."""

    def run(self, world, horizon=20):
        config = RolloutConfig(horizon=horizon)
        return rollout(world, FakePolicy([0.0]), script(), config)

    def test_held_until(self):
        class Drops(FakeWorld):
            def held_object(self):
                return "milk_1" if 4 <= len(self.actions) <= 9 else None

        assert self.run(Drops()).held_until == 9

    def test_steps_at_a_limit(self):
        class Stretched(FakeWorld):
            def joint_margin(self):
                return 0.01 if len(self.actions) > 15 else 0.03

        assert self.run(Stretched()).limit_steps == 5

    def test_looks_without_a_region(self):
        class Hidden(FakeWorld):
            def observe(self, subtask, *, regions=True):
                seen = super().observe(subtask, regions=regions)
                if len(self.actions) < 8:
                    return seen
                views = dict.fromkeys(seen.regions, seen.regions["wrist"] & False)
                one = views | ({"wrist": seen.regions["wrist"]} if len(self.actions) >= 16 else {})
                return dataclasses.replace(seen, regions=one)

        assert self.run(Hidden()).blind_looks == 1
