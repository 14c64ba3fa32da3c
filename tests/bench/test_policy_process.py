"""A policy in its own process, asked by workers."""

from __future__ import annotations

import dataclasses

import bench_fakes as fakes
import numpy as np
import pytest
from bench_fakes import FakeWorld

from rain.bench.episode import RolloutConfig
from rain.bench.policy_process import Answerer, PolicyProcess, _Request, check_batches
from rain.bench.records import RecordFile, read_records
from rain.bench.runner import Runner
from rain.bench.trials import plan_trials
from rain.bench.worker import Setup
from rain.messages import decode, observation_out
from rain.types import ActionChunk, RainError, Subtask

OBSERVATION = FakeWorld().observe(Subtask("grasp", "milk_1"))
SETUP = Setup(
    make_policy=fakes.NoisyPolicies(),
    make_world=fakes.fake_world,
    rollout=RolloutConfig(horizon=20),
)


def run(path, make_policy, workers, trials):
    setup = dataclasses.replace(SETUP, make_policy=make_policy)
    with RecordFile(path) as records:
        Runner(setup, records, workers).run(trials)
    return {r.trial: r.result for r in read_records(path)}


def test_same_results_with_one_worker_two_and_a_policy_in_each(tmp_path):
    trials = plan_trials("kitchen", [0, 1], 2, "own")
    alone = run(tmp_path / "alone.jsonl", fakes.NoisyPolicies(), 1, trials)
    with PolicyProcess(fakes.NoisyPolicies(), 4) as remote:
        one = run(tmp_path / "one.jsonl", remote, 1, trials)
        two = run(tmp_path / "two.jsonl", remote, 2, trials)
    assert alone == one == two
    assert len(alone) == 4


def test_predictions_are_those_of_the_policy_itself():
    with PolicyProcess(fakes.NoisyPolicies()) as remote:
        asked = [remote(seed).predict(OBSERVATION) for seed in (5, 6, 5)]
    for seed, prediction in zip((5, 6, 5), asked, strict=True):
        np.testing.assert_array_equal(
            prediction.action_chunk.actions,
            fakes.NoisyPolicy(seed).predict(OBSERVATION).action_chunk.actions,
        )


def test_a_policy_that_fails_is_a_crashed_episode_with_its_traceback():
    with PolicyProcess(fakes.NoisyPolicies()) as remote:
        policy = remote(0)
        with pytest.raises(RuntimeError, match="it does not let go"):
            policy.predict(dataclasses.replace(OBSERVATION, action_type="release"))
        assert policy.predict(OBSERVATION)  # the process goes on


def test_what_cannot_be_made_is_one_line():
    with pytest.raises(RainError, match="no such policy"), PolicyProcess(fakes.NoPolicies()):
        pass
    with pytest.raises(RainError, match="batch"):
        PolicyProcess(fakes.NoisyPolicies(), 0)


def test_a_process_that_dies_ends_the_run_and_blames_no_episode(tmp_path):
    path = tmp_path / "episodes.jsonl"
    with (
        pytest.raises(RainError, match="the policy process died"),
        PolicyProcess(fakes.DyingPolicies()) as remote,
    ):
        run(path, remote, 1, plan_trials("kitchen", [0], 2, "own"))
    assert not path.exists()


class Placed(fakes.NoisyPolicies):
    """What it predicts is a little off in the second place of a batch."""

    def predict_together(self, policies, observations, size):
        found = super().predict_together(policies, observations, size)
        for prediction in found[1:2]:
            actions = np.nextafter(prediction.action_chunk.actions, np.float32(2))
            object.__setattr__(prediction, "action_chunk", ActionChunk(actions))
        return found


def test_rounding_by_place_is_refused_at_the_start():
    check_batches(fakes.NoisyPolicies(), fakes.CONVENTIONS, 3)
    with pytest.raises(RainError, match="--policy-process 1 or 4"):
        check_batches(Placed(), fakes.CONVENTIONS, 2)


class Mailbox:
    """Stands for a connection: keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send_bytes(self, message):
        self.sent.append(decode(message))


class TestBatches:
    """What waits is answered together, and each gets what it would get alone."""

    def answered(self, batch, seeds):
        counts = []

        class Counting(fakes.NoisyPolicies):
            def predict_together(self, policies, observations, size):
                counts.append((len(policies), size))
                return super().predict_together(policies, observations, size)

        answerer, boxes = Answerer(Counting(), batch), [Mailbox() for _ in seeds]
        for box, seed in zip(boxes, seeds, strict=True):
            answerer._begin_or_end(_Request(box, "policy", seed))
        answerer._predict([_Request(box, "predict", observation_out(OBSERVATION)) for box in boxes])
        return counts, [box.sent[-1][1]["actions"] for box in boxes]

    def test_together(self):
        counts, actions = self.answered(4, [1, 2, 3])
        assert counts == [(3, 4)]
        for seed, found in zip([1, 2, 3], actions, strict=True):
            alone = fakes.NoisyPolicy(seed).predict(OBSERVATION).action_chunk.actions
            np.testing.assert_array_equal(found, alone)

    def test_one_after_another(self):
        counts, actions = self.answered(1, [1, 2])
        assert counts == []
        assert not np.array_equal(*actions)

    def test_who_is_gone_is_asked_for_no_more(self):
        answerer, box = Answerer(fakes.NoisyPolicies(), 2), Mailbox()
        answerer._begin_or_end(_Request(box, "policy", 0))
        answerer._begin_or_end(_Request(box, "gone", None))
        answerer._predict([_Request(box, "predict", observation_out(OBSERVATION))])
        assert [kind for kind, _ in box.sent] == ["policy"]
