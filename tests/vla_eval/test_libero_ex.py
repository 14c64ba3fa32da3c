"""LIBERO-EX in vla-eval and RAIN as its server, with the real package: `make test-vla-eval`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

pytest.importorskip("vla_eval")
ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "packages" / "rain_vla_eval"), str(ROOT / "tests" / "bench")]

from bench_fakes import CONVENTIONS, FakePolicy, FakeWorld  # noqa: E402
from rain_vla_eval import benchmark, server  # noqa: E402
from vla_eval.api import serve_background  # noqa: E402
from vla_eval.connection import Connection  # noqa: E402
from vla_eval.runners.base import EnvStepError, ModelActError  # noqa: E402
from vla_eval.runners.sync_runner import SyncEpisodeRunner  # noqa: E402

from rain.bench.rollouts import RolloutConfig, rollout  # noqa: E402
from rain.types import Subtask, TaskScript  # noqa: E402

WHOLE, PART = 51, 61  # a composition, and a decomposition: doing more than was asked fails


class FakeScene:
    """Stands still; the goal holds in ``reached`` of its steps, the whole of the task in others."""

    reached: tuple[int, ...] = ()
    whole: tuple[int, ...] = ()

    def __init__(self, task: int, image_size: int, rendering: str) -> None:
        self.size, self.steps, self.actions = image_size, 0, []

    def reset(self, episode: int, absolute: bool) -> None:
        self.steps = 0

    def step(self, action: Any) -> tuple[bool, bool]:
        self.steps += 1
        self.actions.append(action)
        return self.steps in self.reached, self.steps in self.whole

    def look(self, regions: bool) -> dict[str, Any]:
        image = np.zeros((self.size, self.size, 3), np.uint8)
        image[:, : self.size // 2] = 255
        mask = np.zeros((9, self.size, self.size), bool)
        return {
            "images": {"agentview": image, "wrist": image},
            "proprioception": np.r_[np.zeros(3), 3.5, 0, 0, 0.04, -0.04].astype(np.float32),
            "controller": (np.zeros(3), np.eye(3)),
            "state": np.zeros(7, np.float32),
            "regions": {"agentview": mask, "wrist": mask},
        }

    def close(self) -> None:
        pass


@pytest.fixture
def fake_scene(monkeypatch: pytest.MonkeyPatch) -> type[FakeScene]:
    scene = type("Scene", (FakeScene,), {})
    monkeypatch.setattr(benchmark, "Scene", scene)
    return scene


def task_of(bench: benchmark.LiberoEx, number: int) -> dict[str, Any]:
    return {**bench.get_tasks()[number - 1], "episode_idx": 0}


def play(bench: benchmark.LiberoEx, number: int, serving: Any) -> dict[str, Any]:
    """One episode with vla-eval's own runner, connection and server."""

    async def episode(url: str) -> dict[str, Any]:
        async with Connection(url) as connection:
            most = bench.get_metadata()["max_steps"]
            return await SyncEpisodeRunner().run_episode(
                bench, task_of(bench, number), connection, max_steps=most
            )

    with serve_background(serving) as handle:
        return anyio.run(episode, handle.url)


class Small(server.PredictModelServer):
    """Answers with a chunk of three."""

    def __init__(self, actions: Any = None) -> None:
        super().__init__(chunk_size=3)
        self.seen: list[dict] = []
        self.answer = np.zeros((3, 7)) if actions is None else actions

    def predict(self, obs: Any, ctx: Any) -> Any:
        self.seen.append(obs)
        return {"actions": self.answer}


def test_a_server_sees_what_vla_evals_own_libero_sends(fake_scene):
    bench = benchmark.LiberoEx(send_wrist_image=True, send_state=True, horizon=4)
    small = Small()
    assert play(bench, WHOLE, small)["steps"] == 4
    assert len(small.seen) == 2
    seen = small.seen[0]
    assert set(seen) == {"images", "task_description", "states", "controller_states"}
    assert seen["task_description"].startswith("put the bowl on the plate, and then open")
    assert seen["images"]["agentview"].shape == (256, 256, 3)
    assert (seen["images"]["wrist"][:, 128:] == 255).all(), "left and right are exchanged"
    np.testing.assert_allclose(seen["states"][3], 3.5 - 2 * np.pi, rtol=1e-5)


@pytest.mark.parametrize(
    ("number", "reached", "whole", "steps", "success"),
    [
        (WHOLE, (3,), (), 3, True),
        (WHOLE, (), (), 9, False),
        (PART, (3, 4, 5, 6, 7, 8, 9), (), 9, True),
        (PART, (3,), (), 9, False),  # undone again
        (PART, (3, 4, 5), (5,), 5, False),  # did more than it was asked for
    ],
)
def test_success(fake_scene, number, reached, whole, steps, success):
    fake_scene.reached, fake_scene.whole = reached, whole
    done = play(benchmark.LiberoEx(horizon=9), number, Small())
    assert (done["steps"], done["metrics"]["success"]) == (steps, success)


@pytest.mark.parametrize("action", [np.zeros((3, 6)), np.full((3, 7), np.nan)])
def test_a_wrong_action_is_an_error_of_the_episode(fake_scene, action):
    with pytest.raises(EnvStepError, match="7 finite numbers"):
        play(benchmark.LiberoEx(horizon=9), WHOLE, Small(action))


def rain_server(monkeypatch: pytest.MonkeyPatch) -> server.RainModelServer:
    monkeypatch.setattr(
        server, "CheckpointPolicies", lambda *_: lambda seed: FakePolicy([0.1, 0.9, 0.9, 0.1])
    )
    return server.RainModelServer()


def test_rain_acts_as_in_its_own_rollout(fake_scene, monkeypatch: pytest.MonkeyPatch):
    serving = rain_server(monkeypatch)
    params = {k: v for k, v in serving.get_observation_params().items() if k != "rendering"}
    assert params["image_size"] == CONVENTIONS.image_size
    bench = benchmark.LiberoEx(**params, horizon=30)
    play(bench, WHOLE, serving)
    world = FakeWorld()
    subtasks = (Subtask("grasp", "a"), Subtask("release", "b"), Subtask("open", "c"))
    config = RolloutConfig(horizon=30)
    rollout(world, FakePolicy([0.1, 0.9, 0.9, 0.1]), TaskScript("x", subtasks), config)
    ours = np.array(world.actions)
    assert len({tuple(row) for row in ours}) > 10, "the fake policy's actions tell them apart"
    np.testing.assert_array_equal(np.array(bench._scene.actions)[:, :6], ours[:, :6])


def test_rain_without_regions_says_what_is_missing(fake_scene, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ModelActError, match="RAIN needs regions"):
        play(benchmark.LiberoEx(horizon=3), WHOLE, rain_server(monkeypatch))
