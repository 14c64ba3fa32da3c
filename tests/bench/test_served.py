"""Policies behind RAIN's own server, by their address."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from bench_fakes import FakeWorld, NoisyPolicy
from serving_fakes import Served, serving

from rain.bench.episode import RolloutConfig
from rain.bench.policies import policy_source
from rain.bench.policies.served import _connect
from rain.bench.rollouts import rollout
from rain.types import RainError


@pytest.fixture
def server():
    with serving() as server:
        yield server
        _connect.cache_clear()


def test_an_episode_is_the_same_as_with_the_policy_itself(server):
    source = pickle.loads(pickle.dumps(policy_source(f"rain:{server.address}")))
    assert (source.name, source.fingerprint()) == (Served.name, "abc")
    for seed in (3, 4):  # one connection, and noise that starts anew
        played = []
        for policy in (source(seed), NoisyPolicy(seed)):
            world = FakeWorld()
            rollout(world, policy, world.script, RolloutConfig(horizon=20))
            played.append(np.array(world.actions))
        np.testing.assert_array_equal(*played)


def test_options(server):
    source = policy_source(f"rain:{server.address}?name=mine&timeout=3")
    assert (source.name, source.timeout) == ("mine", 3.0)


def test_a_token_comes_from_the_environment(monkeypatch):
    with serving(token="secret") as server:
        with pytest.raises(RainError, match="token is missing"):
            policy_source(f"rain:{server.address}")
        monkeypatch.setenv("RAIN_TOKEN", "secret")
        assert policy_source(f"rain:{server.address}").name == Served.name
        _connect.cache_clear()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rain:tcp://127.0.0.1:9?timeout=0.2", "no answer within 0.2 s"),
        ("rain:tcp://127.0.0.1:9?timeout=soon", "no number of seconds"),
        ("rain:tcp://127.0.0.1:9?speed=1", "there are name, timeout and curve"),
        ("rain:tcp://nowhere", "expected tcp://HOST:PORT"),
    ],
)
def test_bad_input(text, message):
    with pytest.raises(RainError, match=message):
        policy_source(text)
