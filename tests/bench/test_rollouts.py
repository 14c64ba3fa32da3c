from __future__ import annotations

import dataclasses
import hashlib

import numpy as np
import pytest
from bench_fakes import CONVENTIONS, FakePolicy, FakeWorld, FakeWorldPolicy, script

from rain.bench.drivers import SubtaskCursor, hold
from rain.bench.episode import PARTS, Moment, RolloutConfig
from rain.bench.protocols import Needs
from rain.bench.rollouts import rollout
from rain.types import ConventionError, RainError


def run(completions, config=None, **world):
    scene, policy = FakeWorld(**world), FakePolicy(completions)
    result = rollout(scene, policy, script(), config or RolloutConfig(horizon=40))
    return result, scene, policy


def executed(world):
    """(look, index in its chunk) of every executed action."""
    return [(int(a[0]), int(a[1])) for a in world.actions]


class TestChunks:
    def test_first_eight_of_each_chunk(self):
        _, world, policy = run([0.0], RolloutConfig(horizon=20))
        assert executed(world) == [(k, j) for k in range(3) for j in range(8)][:20]
        assert [step for step, _ in world.looks] == [0, 8, 16]
        assert policy.calls == 3

    def test_horizon_ends_the_episode(self):
        result, world, _ = run([0.0], RolloutConfig(horizon=19))
        assert (result.outcome, result.steps, len(world.actions)) == ("horizon", 19, 19)
        assert not result.success
        assert result.success_step is None

    def test_all_sixteen_may_be_executed(self):
        _, world, _ = run([0.0], RolloutConfig(horizon=32, execute=16))
        assert executed(world) == [(k, j) for k in range(2) for j in range(16)]


class TestTransitions:
    def test_two_consecutive_looks_above_the_threshold(self):
        result, world, _ = run([0.1, 0.9, 0.8, 0.0])
        # Looks at 0 and 8; 8 is above, so 9 confirms; the new subtask is looked at right there.
        assert [(step, s.action_type) for step, s in world.looks][:5] == [
            (0, "grasp"),
            (8, "grasp"),
            (9, "grasp"),
            (9, "release"),
            (17, "release"),
        ]
        assert [(t.step, t.subtask) for t in result.transitions] == [(9, 0)]
        assert result.transitions[0].completion == pytest.approx(0.8)
        assert result.transitions[0].held == "milk_1"

    def test_one_look_above_is_not_enough(self):
        result, world, _ = run([0.9, 0.1, 0.9, 0.2, 0.9, 0.3])
        assert result.transitions == ()
        assert [step for step, _ in world.looks][:6] == [0, 1, 9, 10, 18, 19]

    def test_the_threshold_itself_is_not_above(self):
        result, _, _ = run([0.7])
        assert result.transitions == ()

    def test_the_streak_starts_again_with_the_next_subtask(self):
        result, _, _ = run([0.9])
        # Looks: 0, 1 (grasp done), 1, 2 (release done).
        assert [(t.step, t.subtask) for t in result.transitions] == [(1, 0), (2, 1)]

    def test_confirming_look_may_be_later(self):
        config = RolloutConfig(horizon=40, confirm_after=2)
        result, world, _ = run([0.9, 0.9, 0.0], config)
        assert [step for step, _ in world.looks][:3] == [0, 2, 2]
        assert result.transitions[0].step == 2

    @pytest.mark.parametrize("consecutive", [1, 3])
    def test_other_counts(self, consecutive):
        result, _, policy = run([0.9], RolloutConfig(horizon=60, consecutive=consecutive))
        assert [t.step for t in result.transitions] == ([0, 0] if consecutive == 1 else [2, 4])
        assert policy.calls == 2 * consecutive

    def test_every_step_looks_but_keeps_chunks(self):
        config = RolloutConfig(horizon=20, check_every_step=True)
        result, world, policy = run([0.0], config)
        assert policy.calls == result.predictions == 20
        assert executed(world) == [(k, j) for k in (0, 8, 16) for j in range(8)][:20]

    def test_every_step_switches_between_looks(self):
        completions = [0, 0, 0, 0.9, 0.9, 0]
        config = RolloutConfig(horizon=12, check_every_step=True)
        result, world, _ = run(completions, config)
        assert [(t.step, t.subtask) for t in result.transitions] == [(4, 0)]
        # The chunk of the next subtask (look 5) begins at the transition.
        assert executed(world)[:6] == [(0, 0), (0, 1), (0, 2), (0, 3), (5, 0), (5, 1)]


class TestEnd:
    def test_holds_still_after_the_last_subtask(self):
        result, world, policy = run([0.9], RolloutConfig(horizon=100, settle=5))
        assert result.outcome == "finished"
        # Finished at step 2 (see above), then five still steps.
        assert result.steps == 7
        still = np.array([0, 0, 0, 0, 0, 0, 1], np.float32)
        np.testing.assert_array_equal(world.actions[2:], np.tile(still, (5, 1)))
        assert policy.calls == 4

    def test_success_is_judged_while_settling(self):
        result, _, _ = run([0.9], RolloutConfig(horizon=100, settle=9), success_after=8)
        assert (result.outcome, result.steps, result.success_step) == ("success", 8, 8)

    def test_success_stops_unless_told_otherwise(self):
        stopped, _, _ = run([0.0], RolloutConfig(horizon=30), success_after=11)
        assert (stopped.outcome, stopped.steps) == ("success", 11)
        config = RolloutConfig(horizon=30, stop_on_success=False)
        whole, _, _ = run([0.0], config, success_after=11)
        assert (whole.outcome, whole.success_step, whole.steps) == ("success", 11, 30)
        assert whole.final_success

    def test_another_goal(self):
        world = FakeWorld(success_after=5)
        config = RolloutConfig(horizon=10)
        result = rollout(world, FakePolicy(), script(), config, goal=lambda: False)
        assert world.success()
        assert result.outcome == "horizon"

    def test_holding_still_needs_a_known_meaning(self):
        action = np.ones(7, np.float32)
        np.testing.assert_array_equal(
            hold(None, action[None], "libero_osc_pose_delta"), [0, 0, 0, 0, 0, 0, 1]
        )
        with pytest.raises(RainError, match="hold still"):
            hold(action, None, "somebody_elses_actions")


def test_grasps_are_recorded_when_they_change():
    names = iter(["soup_1"] * 3 + ["milk_1"] * 100)
    world = FakeWorld(grasps=lambda marked: next(names))
    result = rollout(world, FakePolicy(), script(), RolloutConfig(horizon=12))
    assert [(g.step, g.object) for g in result.grasps] == [(4, "soup_1"), (7, "milk_1")]


def test_the_digest_is_of_every_action_executed():
    result, world, _ = run([0.0], RolloutConfig(horizon=20))
    bits = b"".join(np.array(action, "<f8").tobytes() for action in world.actions)
    assert result.actions_sha256 == hashlib.sha256(bits).hexdigest()
    assert run([0.0], RolloutConfig(horizon=20))[0].actions_sha256 == result.actions_sha256
    assert run([0.0], RolloutConfig(horizon=19))[0].actions_sha256 != result.actions_sha256


def test_seconds_by_part():
    result, _, _ = run([0.0])
    assert set(result.seconds) == set(PARTS)
    assert result.seconds["rendering"] > 0
    assert result.seconds["video"] == 0


def test_watcher_is_told_every_step():
    moments: list[Moment] = []
    config = RolloutConfig(horizon=30, settle=4)
    rollout(FakeWorld(), FakePolicy([0.9]), script(), config, watch=moments.append)
    assert [m.step for m in moments] == list(range(1, 7))
    assert [m.subtask for m in moments[:2]] == [0, 1]
    assert [m.finished for m in moments] == [False, False, True, True, True, True]
    assert [m.last for m in moments] == [False] * 5 + [True]


@pytest.mark.parametrize(
    "change",
    [{"views": ("agentview",)}, {"image_size": 64}, {"action": "joint"}, {"rate_hz": 30.0}],
)
def test_conventions_are_compared_first(change):
    world = FakeWorld(conventions=dataclasses.replace(CONVENTIONS, **change))
    with pytest.raises(ConventionError, match=next(iter(change))):
        rollout(world, FakePolicy(), script())
    assert not world.actions


@pytest.mark.parametrize(
    ("field", "value"),
    [("execute", 0), ("execute", 17), ("threshold", 1.5), ("consecutive", 0), ("horizon", 0),
     ("settle", 0), ("confirm_after", 9)],
)  # fmt: skip
def test_bad_configuration(field, value):
    with pytest.raises(RainError, match=field.replace("_", "-")):
        RolloutConfig(**{field: value})


def test_cursor_at_the_end():
    cursor = SubtaskCursor(script(), 0.5, 1)
    assert cursor.update(0.6)
    assert cursor.update(0.6)
    assert cursor.finished
    assert cursor.subtask == script().subtasks[-1]


class TestWholeFails:
    """LIBERO-EX's decomposition: doing the whole task is failure, judged to the end."""

    def run(self, completions=(0.0,), horizon=30, whole_after=99, **world):
        scene = FakeWorld(whole_after=whole_after, **world)
        config = RolloutConfig(horizon=horizon, settle=5)
        policy = FakePolicy(completions)
        return rollout(scene, policy, script(), config, whole=scene.full_success)

    def test_runs_on_after_the_goal_first_holds(self):
        result = self.run(success_after=10)
        assert (result.outcome, result.success, result.steps) == ("success", True, 30)
        assert (result.success_step, result.spoiled_step) == (10, None)
        assert result.success_s == pytest.approx(0.5)

    def test_the_whole_spoils_it_at_once(self):
        result = self.run(success_after=10, whole_after=17)
        assert (result.outcome, result.success, result.steps) == ("spoiled", False, 17)
        assert (result.success_step, result.spoiled_step) == (10, 17)

    def test_the_whole_at_the_very_step_of_the_goal(self):
        result = self.run(success_after=10, whole_after=10)
        assert (result.outcome, result.spoiled_step) == ("spoiled", 10)

    def test_a_goal_that_is_lost_again_is_failure(self):
        result = self.run(success_after=10, success_until=20)
        assert (result.outcome, result.success, result.success_step) == ("horizon", False, 10)

    def test_ends_when_the_policy_says_that_it_is_done(self):
        # Both subtasks are left at step 2; five steps of holding still.
        result = self.run([0.9], success_after=6)
        assert (result.outcome, result.success, result.steps) == ("success", True, 7)
        result = self.run([0.9], success_after=8)
        assert (result.outcome, result.success, result.steps) == ("finished", False, 7)


class TestWhatTheWorldShows:
    def test_subtasks_done_in_whichever_order(self):
        # Held from step 4 on; the place is reached at step 2, which the goal of FakeWorld is not.
        world = FakeWorld(success_after=2)
        result = rollout(world, FakePolicy(), script(), RolloutConfig(horizon=9), goal=lambda: 0)
        assert result.done == (4, 4)
        world = FakeWorld(grasps=lambda marked: "soup_1", success_after=2)
        result = rollout(world, FakePolicy(), script(), RolloutConfig(horizon=9), goal=lambda: 0)
        assert result.done == (None, None)

    def test_what_holds_at_the_start_waits_for_its_turn(self):
        class Closed(FakeWorld):
            """The last subtask's effect holds always."""

            def script_success(self, asked):
                return True

        def done(grasps):
            config = RolloutConfig(horizon=9)
            world = Closed(grasps=grasps)
            return rollout(world, FakePolicy(), script(), config, goal=lambda: False).done

        assert done(lambda marked: marked) == (4, 4)
        assert done(lambda marked: "soup_1") == (None, None)

    def test_touches_are_noted_once(self):
        world = FakeWorld()
        world.touches = ("milk_1", "soup_1")
        result = rollout(world, FakePolicy(), script(), RolloutConfig(horizon=9))
        assert [(t.step, t.object) for t in result.touches] == [(1, "milk_1"), (1, "soup_1")]


class TestNeeds:
    def seen(self, needs):
        class Reader(FakePolicy):
            def predict(self, observation):
                self.observation = observation
                return super().predict(observation)

        policy = Reader()
        if needs is not None:
            policy.needs = needs
        rollout(FakeWorld(), policy, script(), RolloutConfig(horizon=1))
        return policy.observation

    def test_regions_and_no_words_unless_told_otherwise(self):
        observation = self.seen(None)
        assert set(observation.regions) == {"agentview", "wrist"}
        assert observation.instruction == ""

    def test_words_and_no_regions(self):
        observation = self.seen(Needs(regions=False, instruction=True))
        assert observation.regions == {}
        assert observation.instruction == script().instruction


class TestWorldPolicy:
    def test_its_actions_are_executed_and_nothing_is_looked_at(self):
        world = FakeWorld(success_after=8)
        policy = FakeWorldPolicy([(0, 5), (1, 20)])
        result = rollout(world, policy, script(), RolloutConfig(horizon=40))
        assert (result.outcome, result.predictions, world.looks) == ("finished", 0, [])
        assert [int(a[0]) for a in world.actions[:7]] == [0, 0, 0, 0, 0, 1, 1]
        assert [(t.step, t.subtask) for t in result.transitions] == [(5, 0), (25, 1)]

    def test_it_is_done_when_its_actions_end(self):
        world, moments = FakeWorld(), []
        config = RolloutConfig(horizon=40, settle=3)
        policy = FakeWorldPolicy([(0, 2), (1, 2)])
        result = rollout(world, policy, script(), config, watch=moments.append)
        assert (result.outcome, result.steps) == ("finished", 7)
        np.testing.assert_array_equal(world.actions[-1], [0, 0, 0, 0, 0, 0, 1])
        assert [m.finished for m in moments] == [False] * 4 + [True] * 3
        assert moments[-1].prediction is None
