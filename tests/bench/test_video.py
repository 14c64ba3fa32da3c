from __future__ import annotations

import av
from bench_fakes import FakePolicy, FakeWorld, FakeWorldPolicy, script

from rain.bench.episode import RolloutConfig
from rain.bench.rollouts import rollout
from rain.bench.video import EpisodeFilm
from rain.drawing import VideoWriter


def frames(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_filmed_episode(tmp_path):
    world, path = FakeWorld(), tmp_path / "episode.mp4"
    with VideoWriter(path, EpisodeFilm.fps(20.0)) as writer:
        film = EpisodeFilm(world, script(), writer, pixels=160)
        config = RolloutConfig(horizon=15)
        result = rollout(world, FakePolicy(), script(), config, watch=film)
    assert result.seconds["video"] > 0
    back = frames(path)
    # Steps 2, 4 … 14, the last one, and that for another second.
    assert len(back) == 7 + 1 + 10
    assert back[0].shape[1] == 320


def test_filming_changes_nothing(tmp_path):
    def play(watch):
        world, policy = FakeWorld(success_after=20), FakePolicy([0.1, 0.9, 0.9, 0.0])
        return rollout(world, policy, script(), RolloutConfig(horizon=30), watch=watch(world))

    with VideoWriter(tmp_path / "a.mp4", 10) as writer:
        filmed = play(lambda world: EpisodeFilm(world, script(), writer, pixels=64))
    assert filmed == play(lambda world: None)


def test_a_policy_without_predictions_is_filmed_without_plan_and_progress(tmp_path):
    world, path = FakeWorld(), tmp_path / "episode.mp4"
    with VideoWriter(path, 10) as writer:
        film = EpisodeFilm(world, script(), writer, pixels=160)
        result = rollout(world, FakeWorldPolicy(), script(), RolloutConfig(horizon=4), watch=film)
    assert (result.steps, len(frames(path))) == (4, 2 + 10)
