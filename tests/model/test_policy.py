from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from model_helpers import CONVENTIONS, tiny_net

from rain.model import Normaliser, RainPolicy, policy, save_checkpoint
from rain.model.checkpoint import Checkpoint
from rain.types import ConventionError, Observation, Policy, Prediction, RainError

SIZE = CONVENTIONS.image_size


def observation(seed: int = 0, size: int = SIZE, **changes: object) -> Observation:
    rng = np.random.default_rng(seed)
    values = {
        "images": {
            view: rng.integers(0, 256, (size, size, 3), dtype=np.uint8)
            for view in CONVENTIONS.views
        },
        "regions": {view: rng.random((size, size)) > 0.7 for view in CONVENTIONS.views},
        "state": rng.normal(size=7),
        "action_type": "grasp",
    }
    return Observation(**{**values, **changes})


@pytest.fixture
def checkpoint(normaliser: Normaliser) -> Checkpoint:
    # Weights small enough for the sampler not to blow up small differences.
    from model_helpers import randomise

    net = tiny_net()
    randomise(net, 0.1)
    return Checkpoint(net, normaliser, CONVENTIONS)


def assert_same(first: Prediction, second: Prediction, atol: float = 1e-3) -> None:
    np.testing.assert_allclose(first.action_chunk.actions, second.action_chunk.actions, atol=atol)
    np.testing.assert_allclose(first.plan.waypoints, second.plan.waypoints, atol=atol)
    assert first.progress.completion == pytest.approx(second.progress.completion, abs=atol)


def test_predicts_in_the_worlds_units(checkpoint: Checkpoint) -> None:
    got = RainPolicy(checkpoint)
    assert isinstance(got, Policy)
    prediction = got.predict(observation())
    assert prediction.action_chunk.actions.shape == (16, 7)
    assert prediction.plan.waypoints.shape == (8, 3)

    statistics = checkpoint.normaliser.plan_statistics
    far = replace(statistics, mean=tuple(m + 5 for m in statistics.mean))
    moved = replace(checkpoint, normaliser=replace(checkpoint.normaliser, plan_statistics=far))
    there = RainPolicy(moved).predict(observation())
    np.testing.assert_allclose(there.plan.waypoints, prediction.plan.waypoints + 5, atol=1e-4)


def test_a_seed_repeats_and_reset_starts_again(checkpoint: Checkpoint) -> None:
    first, second, other = (RainPolicy(checkpoint, seed) for seed in (3, 3, 4))
    a = [first.predict(observation(i)) for i in range(2)]
    b = [second.predict(observation(i)) for i in range(2)]
    for one, two in zip(a, b, strict=True):
        assert_same(one, two, atol=0)
    assert (other.predict(observation()).plan.waypoints != a[0].plan.waypoints).any()
    first.reset(3)
    assert_same(first.predict(observation()), a[0], atol=0)


def test_a_batch_predicts_what_one_after_another_do(checkpoint: Checkpoint) -> None:
    observations = [observation(i, action_type=kind) for i, kind in enumerate(("grasp", "open"))]
    together = RainPolicy(checkpoint).predict_batch(observations)
    single = RainPolicy(checkpoint)
    for prediction, one in zip(together, observations, strict=True):
        assert_same(prediction, single.predict(one))
    assert RainPolicy(checkpoint).predict_batch([]) == []


def test_asked_together_each_policy_draws_its_own_noise(checkpoint: Checkpoint) -> None:
    seen = [observation(i) for i in range(3)]
    alone = [RainPolicy(checkpoint, seed=i).predict(seen[i]) for i in range(3)]
    policies = [RainPolicy(checkpoint, seed=i) for i in range(3)]
    for size in (0, 3, 5):
        for made in policies:
            made.reset(policies.index(made))
        together = policy.predict_together(policies, seen, size)
        assert len(together) == 3
        for one, other in zip(alone, together, strict=True):
            assert_same(one, other)
    # What fills a batch up draws no noise: the next prediction is the same as alone.
    again = RainPolicy(checkpoint, seed=0)
    again.predict(seen[0])
    assert_same(policies[0].predict(seen[1]), again.predict(seen[1]))
    assert policy.predict_together([], []) == []


def test_only_policies_of_one_network_are_asked_together(checkpoint: Checkpoint) -> None:
    other = RainPolicy(replace(checkpoint, net=tiny_net()))
    with pytest.raises(ValueError, match="one network"):
        policy.predict_together([RainPolicy(checkpoint), other], [observation()] * 2)


def test_a_missing_region_is_an_empty_one(checkpoint: Checkpoint) -> None:
    full = observation()
    agentview = {"agentview": full.regions["agentview"]}
    empty = {**agentview, "wrist": np.zeros((SIZE, SIZE), bool)}
    missing, zero, both = (
        RainPolicy(checkpoint).predict(replace(full, regions=regions))
        for regions in (agentview, empty, full.regions)
    )
    assert_same(missing, zero, atol=0)
    assert (missing.plan.waypoints != both.plan.waypoints).any()


def test_bool_and_float_regions_mean_the_same(checkpoint: Checkpoint) -> None:
    full = observation()
    soft = {view: region.astype(np.float64) for view, region in full.regions.items()}
    assert_same(
        RainPolicy(checkpoint).predict(full),
        RainPolicy(checkpoint).predict(replace(full, regions=soft)),
        atol=0,
    )


def test_the_order_of_views_in_an_observation_does_not_matter(checkpoint: Checkpoint) -> None:
    full = observation()
    turned = replace(full, images=dict(reversed(full.images.items())))
    assert_same(
        RainPolicy(checkpoint).predict(full), RainPolicy(checkpoint).predict(turned), atol=0
    )


def test_other_views_and_sizes_are_refused(checkpoint: Checkpoint) -> None:
    full, got = observation(), RainPolicy(checkpoint)
    one = {"agentview": full.images["agentview"]}
    with pytest.raises(ConventionError, match="needs the views"):
        got.predict(replace(full, images=one, regions={}))
    with pytest.raises(ConventionError, match=r"32 × 32.*48 × 48"):
        got.predict(observation(size=48))


def test_without_plan_tokens_the_plan_is_the_training_mean(normaliser: Normaliser) -> None:
    got = RainPolicy(Checkpoint(tiny_net(plan_tokens=False), normaliser, CONVENTIONS))
    waypoints = got.predict(observation()).plan.waypoints
    expected = np.broadcast_to(normaliser.plan_statistics.mean, (8, 3))
    np.testing.assert_allclose(waypoints, expected, atol=1e-6)


def test_loads_a_folder_or_a_shipped_name(
    tmp_path: Path, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = RainPolicy(checkpoint).predict(observation())
    save_checkpoint(
        tmp_path / "rain-tiny", checkpoint.net, checkpoint.normaliser, checkpoint.conventions
    )
    monkeypatch.setattr(policy, "SHIPPED", tmp_path)
    for path in (tmp_path / "rain-tiny", "rain-tiny"):
        assert_same(RainPolicy.load(path).predict(observation()), expected, atol=0)
    with pytest.raises(RainError, match=r"no checkpoint 'rain-huge'.*rain-tiny"):
        RainPolicy.load("rain-huge")
