"""A RAIN checkpoint acts in LeRobot's evaluation as it does in ``rain rollout``.

Runs in an environment of its own (``make test-lerobot``); elsewhere it is skipped.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import demos_helpers
import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
pytest.importorskip("lerobot.__version__", reason="make test-lerobot has it")

import gymnasium as gym
import lerobot_helpers as helpers
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.envs.configs import EnvConfig
from lerobot.policies.factory import make_policy, make_pre_post_processors
from lerobot.processor import PolicyProcessorPipeline
from lerobot.scripts.lerobot_eval import eval_policy
from lerobot_policy_rain.configuration_rain import LeRobotRainConfig
from lerobot_policy_rain.convert import export_checkpoint, import_checkpoint
from lerobot_policy_rain.environment import RainEnv, ScriptEnv
from lerobot_policy_rain.modeling_rain import LeRobotRainPolicy

from rain.bench.rollouts import RolloutConfig, rollout
from rain.model import Normaliser, RainNet, RainPolicy, load_checkpoint, save_checkpoint
from rain.types import ACTION_TYPES, RainError


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    """A RAIN checkpoint of random weights, for the helpers' world."""
    torch.manual_seed(1)
    rng = np.random.default_rng(0)
    conventions = demos_helpers.conventions(32)
    samples = (rng.normal(size=shape) for shape in ((64, 7), (64, 16, 7), (64, 8, 3)))
    normaliser = Normaliser.from_samples(conventions.state, *samples)
    net = RainNet(demos_helpers.tiny_network())
    with torch.no_grad():
        for parameter in net.parameters():
            parameter += 0.05 * torch.randn_like(parameter)
    folder = tmp_path_factory.mktemp("checkpoint") / "rain"
    return save_checkpoint(folder, net, normaliser, conventions, {"tracks": ["open"]})


def observed(world: helpers.PaintedWorld) -> dict[str, torch.Tensor]:
    """What a policy's preprocessor hands on for one environment."""
    views, subtasks = world.conventions.views, world.script.subtasks
    targets = [subtask.target for subtask in subtasks]
    batch = {"observation.state": torch.from_numpy(world.state())[None]}
    kinds = [ACTION_TYPES.index(subtask.action_type) for subtask in subtasks]
    batch["observation.action_types"] = torch.tensor([kinds])
    for view in views:
        image = torch.from_numpy(world.render(view, 32)).permute(2, 0, 1)
        batch[f"observation.images.{view}"] = image[None].float() / 255
        regions = torch.from_numpy(world.regions(targets, view))
        batch[f"observation.regions.{view}"] = regions[None].float()
    return batch


def seeded(policy: LeRobotRainPolicy, folder: Path) -> RainPolicy:
    """RAIN's own policy with the noise of the plugin's first environment and episode."""
    seed = np.random.SeedSequence([policy.config.seed, policy._episodes, 0]).generate_state(1)
    return RainPolicy(load_checkpoint(folder), int(seed[0]))


def test_checkpoints_go_both_ways(checkpoint: Path, tmp_path: Path) -> None:
    """imported -> exported: the same prediction, from every way of loading."""
    world = helpers.PaintedWorld()
    imported = import_checkpoint(str(checkpoint), tmp_path / "lerobot")
    exported = export_checkpoint(imported, tmp_path / "again")
    expected = RainPolicy.load(checkpoint, seed=5).predict(world.observe(world.script.subtasks[0]))
    again = RainPolicy.load(exported, seed=5).predict(world.observe(world.script.subtasks[0]))
    np.testing.assert_allclose(again.action_chunk.actions, expected.action_chunk.actions, atol=1e-5)
    np.testing.assert_allclose(again.plan.waypoints, expected.plan.waypoints, atol=1e-5)
    assert again.progress.completion == pytest.approx(expected.progress.completion, abs=1e-5)
    assert load_checkpoint(exported).extra["tracks"] == ["open"]
    made = LeRobotRainConfig(init=str(checkpoint), device="cpu")
    policies = [
        LeRobotRainPolicy(made),
        LeRobotRainPolicy.from_pretrained(checkpoint),
        LeRobotRainPolicy.from_pretrained(imported),
    ]
    for policy in policies:
        policy.reset()
        own = seeded(policy, checkpoint).predict(world.observe(world.script.subtasks[0]))
        chunk = policy.predict_action_chunk(observed(world))
        assert chunk.shape == (1, 16, 7)
        np.testing.assert_allclose(chunk[0].numpy(), own.action_chunk.actions, atol=1e-5)


def test_lerobot_loads_an_imported_checkpoint_by_path(checkpoint: Path, tmp_path: Path) -> None:
    """As --policy.path does: configuration first, then policy and processors from the folder."""
    folder = import_checkpoint(str(checkpoint), tmp_path / "lerobot")
    made = PreTrainedConfig.from_pretrained(folder, cli_overrides=["--execute=4"])
    made.pretrained_path = folder
    policy = make_policy(made, env_cfg=RainEnv(image_size=32))
    assert policy.config.execute == 4
    assert policy.conventions == demos_helpers.conventions(32)
    before, after = make_pre_post_processors(
        made, folder, preprocessor_overrides={"device_processor": {"device": "cpu"}}
    )
    assert after(torch.ones(1, 7)).tolist() == [[1.0] * 7]
    told = {"regions": {"wrist": torch.ones(1, 2, 4, 4)}, "action_types": torch.tensor([[0, 1]])}
    ready = before({"observation.robot_state": told, "observation.state": torch.zeros(1, 7)})
    assert ready["observation.regions.wrist"].shape == (1, 2, 4, 4)
    assert ready["observation.action_types"].tolist() == [[0, 1]]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_evaluation_acts_as_rain_rollout(checkpoint: Path, threshold: float) -> None:
    """Every look moves on (0), or none does (1): the executed actions are the same."""
    made = LeRobotRainConfig(init=str(checkpoint), device="cpu", threshold=threshold)
    steps, worlds = 30, []

    def environment() -> gym.Env:
        worlds.append(helpers.PaintedWorld())
        return gym.wrappers.TimeLimit(ScriptEnv(worlds[-1]), steps)

    reset = gym.vector.AutoresetMode.NEXT_STEP  # the world's actions outlive the episode
    vector = gym.vector.SyncVectorEnv([environment], autoreset_mode=reset)
    policy = make_policy(made, env_cfg=RainEnv(image_size=32))
    before, after = make_pre_post_processors(made)
    nothing = PolicyProcessorPipeline(steps=[])
    with torch.no_grad():
        found = eval_policy(vector, policy, nothing, nothing, before, after, 1, start_seed=1)
    assert found["aggregated"]["pc_success"] == 0
    world = helpers.PaintedWorld()
    world.reset(init_state=1)
    rollout(
        world,
        seeded(policy, checkpoint),
        world.script,
        RolloutConfig(threshold=threshold, horizon=steps, settle=steps),
    )
    acted = np.stack(worlds[0].actions)
    assert acted.shape == (steps, 7)
    np.testing.assert_allclose(acted, np.stack(world.actions), atol=1e-5)
    assert policy._actors[0].finished == (threshold == 0.0)
    if threshold == 0.0:
        np.testing.assert_array_equal(acted[5:, :6], 0)
    vector.close()
    assert worlds[0].closed


def test_environments_of_a_batch_have_their_own_episodes(checkpoint: Path) -> None:
    policy = LeRobotRainPolicy.from_pretrained(checkpoint)
    world = helpers.PaintedWorld()
    batch = {key: value.repeat_interleave(2, 0) for key, value in observed(world).items()}
    policy.reset()
    first = policy.select_action(batch)
    assert first.shape == (2, 7)
    assert not torch.equal(first[0], first[1])
    policy.reset()
    assert not torch.equal(first, policy.select_action(batch))


def test_success_ends_an_episode_and_seeds_name_starts() -> None:
    world = helpers.PaintedWorld()
    world.success = lambda: len(world.actions) == 2
    environment = ScriptEnv(world)
    shown, _ = environment.reset(seed=4)
    assert shown["agent_pos"][0] == pytest.approx(0.1)
    assert environment.observation_space.contains(shown)
    following, _ = environment.reset()
    assert following["agent_pos"][0] == pytest.approx(0.2)
    assert environment.step(np.zeros(7))[1:4] == (0.0, False, False)
    _, reward, ended, cut, info = environment.step(np.zeros(7))
    assert (reward, ended, cut, info) == (1.0, True, False, {"is_success": True})


def test_bad_input_is_one_clear_line(checkpoint: Path, tmp_path: Path) -> None:
    policy = LeRobotRainPolicy.from_pretrained(checkpoint)
    batch = observed(helpers.PaintedWorld())
    del batch["observation.regions.wrist"]
    with pytest.raises(RainError, match=r"observation\.regions\.wrist"):
        policy.select_action(batch)
    with pytest.raises(RainError, match="made without a dataset"):
        policy.forward(batch)
    with pytest.raises(RainError, match=r"network\.dit_layers"):
        LeRobotRainPolicy(LeRobotRainConfig(init=str(checkpoint), network={"dit_layers": 9}))
    with pytest.raises(RainError, match="SUITE/NUMBER"):
        _ = RainEnv(task="libero_object").gym_kwargs
    with pytest.raises(RainError, match="no LeRobot policy"):
        export_checkpoint(checkpoint, tmp_path / "out")
    imported = import_checkpoint(str(checkpoint), tmp_path / "lerobot")
    header = json.loads((imported / "config.json").read_text())
    header["checkpoint"]["normalisation"]["action"]["std"][0] = 9.0
    (imported / "config.json").write_text(json.dumps(header))
    with pytest.raises(RainError, match="not written together"):
        LeRobotRainPolicy.from_pretrained(imported)
    with pytest.raises(RainError, match="not empty"):
        import_checkpoint(str(checkpoint), imported)


def test_the_environment_is_registered() -> None:
    assert EnvConfig.get_choice_class("rain") is RainEnv
    assert RainEnv().gym_id in gym.registry
