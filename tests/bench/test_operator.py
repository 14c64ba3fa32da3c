"""An operator changes what a running policy does; the policy itself stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from bench_fakes import FakePolicy, FakeWorld, FakeWorldPolicy, record, script

from rain.bench.episode import Intervention, RolloutConfig
from rain.bench.failures import failure_of
from rain.bench.operator import Between, Order
from rain.bench.records import EpisodeRecord
from rain.bench.rollouts import rollout
from rain.types import RainError, Subtask, TaskScript


class Scripted:
    """Does something at some steps; acts at the others."""

    def __init__(self, **at: Callable[[Between], Order | None]) -> None:
        self.at = {int(name.removeprefix("step")): do for name, do in at.items()}
        self.asked: list[int] = []
        self.over: Between | None = None

    def between(self, now: Between) -> Order:
        self.asked.append(now.step)
        do = self.at.get(now.step)
        return (do(now) if do else None) or "act"

    def ended(self, now: Between) -> None:
        self.over = now


def run(operator: Scripted, completions: Any = (0.0,), policy: Any = None, steps: int = 24):
    world = FakeWorld()
    policy = policy or FakePolicy(completions)
    result = rollout(world, policy, script(), RolloutConfig(horizon=steps), operator=operator)
    return result, world


def test_one_who_does_nothing_changes_nothing():
    operator = Scripted()
    result, _ = run(operator)
    plain = rollout(FakeWorld(), FakePolicy(), script(), RolloutConfig(horizon=24))
    assert result.actions_sha256 == plain.actions_sha256
    assert operator.asked == list(range(24))
    assert operator.over is not None
    assert operator.over.step == 24
    assert result.interventions == ()


def test_another_target_is_looked_at_at_once_with_the_same_action_type():
    operator = Scripted(step3=lambda now: now.driver.retarget(now.step, "soup_1"))
    result, world = run(operator)
    assert world.looks[:3] == [
        (0, Subtask("grasp", "milk_1")),
        (3, Subtask("grasp", "soup_1")),
        (11, Subtask("grasp", "soup_1")),
    ]
    assert [(int(a[0]), int(a[1])) for a in world.actions[:5]] == [
        (0, 0), (0, 1), (0, 2), (1, 0), (1, 1),
    ]  # fmt: skip
    assert result.interventions == (Intervention(3, "grasp soup_1"),)


def test_the_script_s_target_comes_back_when_it_is_cleared_and_with_the_next_subtask():
    cleared = Scripted(
        step3=lambda now: now.driver.retarget(now.step, "soup_1"),
        step5=lambda now: now.driver.retarget(now.step, None),
    )
    assert run(cleared)[1].looks[2] == (5, Subtask("grasp", "milk_1"))
    operator = Scripted(step3=lambda now: now.driver.retarget(now.step, "soup_1"))
    result, world = run(operator, completions=(0.1, 0.9, 0.9, 0.1))
    assert [(step, str(s)) for step, s in world.looks[1:4]] == [
        (3, "grasp soup_1"), (4, "grasp soup_1"), (4, "release basket_1"),
    ]  # fmt: skip
    assert [t.subtask for t in result.transitions] == [0]


def test_a_subtask_is_chosen_by_hand_also_after_the_last():
    operator = Scripted(step2=lambda now: now.driver.go_to(now.step, 1))
    result, world = run(operator)
    assert [str(s) for _, s in world.looks[:2]] == ["grasp milk_1", "release basket_1"]
    assert result.transitions == ()
    again = Scripted(step5=lambda now: now.driver.go_to(now.step, 0))
    result, world = run(again, completions=(0.9, 0.9, 0.9, 0.9, 0.0))
    assert (5, Subtask("grasp", "milk_1")) in world.looks
    assert result.outcome == "horizon"  # no longer finished
    with pytest.raises(RainError, match="no subtask 3: there are 2"):
        run(Scripted(step0=lambda now: now.driver.go_to(now.step, 2)))


def test_another_script_is_begun_anew():
    other = TaskScript("take the butter", (Subtask("grasp", "butter_1"),))
    operator = Scripted(step4=lambda now: now.driver.tell(now.step, other))
    result, world = run(operator)
    assert world.looks[1] == (4, Subtask("grasp", "butter_1"))
    assert operator.over is not None
    assert operator.over.driver.script == other
    assert result.interventions == (Intervention(4, "told: take the butter"),)


def test_the_arm_is_held_still_and_the_policy_looks_afresh_after_it():
    held: dict[str, Callable[[Between], Order | None]] = {
        f"step{i}": lambda _: "hold" for i in (2, 3, 4)
    }
    result, world = run(Scripted(**held))
    for action in world.actions[2:5]:
        np.testing.assert_array_equal(action, [0, 0, 0, 0, 0, 0, 1])
    assert [step for step, _ in world.looks[:2]] == [0, 5]
    assert result.interventions == (Intervention(2, "held"),)


def test_stopped_at_once_and_recorded_as_such():
    operator = Scripted(step6=lambda _: "stop")
    result, world = run(operator)
    assert (result.outcome, result.steps, len(world.actions)) == ("stopped", 6, 6)
    assert result.interventions == (Intervention(6, "stopped"),)
    assert operator.over is not None
    made = record()
    stopped = EpisodeRecord.from_json({**made.to_json(), "outcome": "stopped", "success": False})
    assert failure_of(stopped) == "stopped"


def test_interventions_are_recorded():
    operator = Scripted(step3=lambda now: now.driver.retarget(now.step, "soup_1"))
    result, _ = run(operator)
    made = record()
    line = EpisodeRecord(**{**made.__dict__, "result": result}).to_json()
    read = EpisodeRecord.from_json(line)
    assert read.result is not None
    assert read.result.interventions == result.interventions
    line.pop("interventions")  # of an older version
    old = EpisodeRecord.from_json(line)
    assert old.result is not None
    assert old.result.interventions == ()


def test_a_policy_that_acts_on_the_world_itself_can_be_held_and_stopped_only():
    _result, world = run(Scripted(step2=lambda _: "hold"), policy=FakeWorldPolicy(((0, 4), (1, 4))))
    assert [int(a[0]) for a in world.actions[:5]] == [0, 0, 0, 0, 0]
    assert len([a for a in world.actions if a[0] == 1]) == 4  # nothing of it is lost
    for do in (
        lambda now: now.driver.retarget(now.step, "soup_1"),
        lambda now: now.driver.go_to(now.step, 1),
        lambda now: now.driver.tell(now.step, script()),
    ):
        with pytest.raises(RainError, match="held and stopped only"):
            run(Scripted(step1=do), policy=FakeWorldPolicy())
