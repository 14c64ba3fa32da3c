"""lerobot-train trains RAIN on our datasets, by RAIN's own losses.

Runs in an environment of its own (``make test-lerobot``); elsewhere it is skipped.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import demos_helpers
import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
pytest.importorskip("lerobot.__version__", reason="make test-lerobot has it")

import datasets
import lerobot_helpers as helpers
import torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from lerobot.utils.import_utils import register_third_party_plugins
from lerobot_policy_rain.modeling_rain import LeRobotRainPolicy
from lerobot_policy_rain.supervision import Supervision, label_maps

from rain.demos.augment import AugmentOptions
from rain.demos.dataset import Dataset, DatasetWriter
from rain.demos.packed import PackedPixels, pack
from rain.demos.sampler import SamplerOptions, gather
from rain.demos.samples import SampleOptions
from rain.training.config import LossWeights
from rain.types import ACTION_TYPES, ConventionError, RainError


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Four episodes, the last with an injected disturbance."""
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    out = tmp_path_factory.mktemp("data") / "dataset"
    with DatasetWriter(out, demos_helpers.conventions(32), "open") as writer:
        for seed in range(4):
            disturbed = (10, 11) if seed == 3 else ()
            writer.append(demos_helpers.episode(seed, stride=2 + seed % 2, disturbed=disturbed))
    return out


def supervision(folder: Path, **sampler) -> Supervision:
    options = SamplerOptions(**sampler)
    return Supervision(folder, helpers.config().recipe(), SampleOptions(), options)


def test_lerobot_finds_the_plugin() -> None:
    register_third_party_plugins()
    assert "rain" in PreTrainedConfig.get_known_choices()
    assert get_policy_class("rain") is LeRobotRainPolicy


def test_batches_are_those_of_rain_train(folder: Path, tmp_path: Path) -> None:
    """Pixels, regions and targets of LeRobot's rows equal what our own pipeline gathers."""
    made = helpers.config(augment=None, pair_offset=4)
    data = helpers.opened(folder, made)
    policy = helpers.policy_for(data, made)
    found = supervision(folder)
    batch = helpers.rows(data, list(range(0, 120, 5)))
    drawn = found.draw(batch["index"].numpy(), "1", 4, np.random.default_rng(0))
    assert len(drawn) == 48
    assert drawn.partner.sum() > 12
    ours = Dataset.open(folder)
    pack(ours, tmp_path)
    scaled = found.scaled(policy.normaliser)
    expected = gather(scaled, drawn.sample, PackedPixels.open(ours, tmp_path))
    policy.recipe = replace(policy.recipe, augment=AugmentOptions())
    read = policy._batch(batch, drawn)
    for name in ("images", "regions", "state", "action_type", "actions", "plan", "progress"):
        np.testing.assert_array_equal(getattr(read, name), getattr(expected, name), err_msg=name)
    assert read.regions.any()


def test_partners_are_later_frames_of_the_same_subtask(folder: Path) -> None:
    found = supervision(folder)
    drawn = found.draw(np.arange(120), "1", 4, np.random.default_rng(0))
    first, second = drawn.sample[::2], drawn.sample[1::2]
    later, samples = drawn.partner[1::2], found.samples
    np.testing.assert_array_equal(samples.span[first], samples.span[second])
    apart = samples.frame[second] - samples.frame[first]
    np.testing.assert_array_equal(apart[later], 4)
    np.testing.assert_array_equal(first[~later], second[~later])
    assert not drawn.partner[::2].any()
    assert samples.imitate[drawn.sample].all()


def test_samples_are_drawn_as_often_as_rain_train_draws_them(folder: Path) -> None:
    """Shares n_k ** (1 − balance); stage 2 sees completed frames with the share asked for."""
    total = sum(len(e.frames) for e in Dataset.open(folder))
    rows, rng = np.arange(total), np.random.default_rng(0)
    for balance in (0.0, 1.0):
        found = supervision(folder, balance=balance, positive_share=0.4, completed_weight=1.0)
        kinds, usable = found.samples.action_type, found.samples.imitate
        counts = np.bincount(kinds[usable], minlength=len(ACTION_TYPES)).astype(float)
        expected = np.where(counts > 0, counts ** (1 - balance), 0)
        draws = [found.draw(rows, "1", 0, rng) for _ in range(50)]
        drawn = np.concatenate([d.sample for d in draws])
        shares = np.bincount(kinds[drawn], minlength=len(ACTION_TYPES)) / len(drawn)
        np.testing.assert_allclose(shares, expected / expected.sum(), atol=0.01)
        assert usable[drawn].all()
        drawn = np.concatenate([found.draw(rows, "2", 0, rng).sample for _ in range(50)])
        for kind in np.unique(kinds[drawn]):
            positive = found.samples.completed[drawn][kinds[drawn] == kind].mean()
            assert positive == pytest.approx(0.4, abs=0.02)


def test_rows_that_teach_nothing_give_no_loss(folder: Path) -> None:
    made = helpers.config(pair_offset=0, stage="1")
    data = helpers.opened(folder, made)
    policy = helpers.policy_for(data, made)
    # The last episode's frames just before its disturbance would copy it.
    start = int(data.meta.episodes["dataset_from_index"][3])
    loss, parts = policy.forward(helpers.rows(data, [start + 1, start + 2]))
    loss.backward()
    assert loss.item() == 0
    assert parts == {}


def gradients(folder: Path, weights: LossWeights, stage: str) -> dict[str, torch.Tensor]:
    made = helpers.config(weights=weights, stage=stage, pair_offset=2)
    data = helpers.opened(folder, made)
    policy = helpers.policy_for(data, made)
    torch.manual_seed(3)
    loss, _ = policy.forward(helpers.rows(data, list(range(16))))
    loss.backward()
    return {n: p.grad for n, p in policy.net.named_parameters() if p.grad is not None}


def test_the_heads_loss_reaches_nothing_but_the_head(folder: Path) -> None:
    with_head = gradients(folder, LossWeights(), "both")
    without = gradients(folder, LossWeights(comp=0, dist=0, align=0), "both")
    others = [name for name in with_head if not name.startswith("progress_head")]
    assert len(others) > 20
    for name in others:
        torch.testing.assert_close(with_head[name], without[name], rtol=0, atol=0)
    name = "progress_head.mlp.4.weight"
    assert with_head[name].abs().max() > 0
    assert without[name].abs().max() == 0
    assert all(n.startswith("progress_head") for n in gradients(folder, LossWeights(), "2"))
    assert not any(n.startswith("progress_head") for n in gradients(folder, LossWeights(), "1"))


def test_stage_two_is_equation_six(folder: Path) -> None:
    """L_head of one frame, computed by hand from the network's logits."""
    made = helpers.config(stage="2", pair_offset=0)
    data = helpers.opened(folder, made)
    policy = helpers.policy_for(data, made).eval()
    policy.recipe = replace(policy.recipe, augment=AugmentOptions())
    frame = 10
    loss, _ = policy.forward(helpers.rows(data, [frame] * 3))
    episode = Dataset.open(folder).episode(0)
    regions = torch.from_numpy(episode.region(frame, "block_1")[None]).float()
    images = torch.from_numpy(np.array(episode.images[frame])[None])
    state = torch.from_numpy(policy.normaliser.state(episode.states[episode.frames[frame]][None]))
    kind = torch.tensor([ACTION_TYPES.index("grasp")])
    with torch.no_grad():
        phi = policy.net.encode(policy.net.features(images, regions), regions)
        scores = policy.net.progress(phi, state, kind).sigmoid()[0].double()
    at = episode.states[episode.frames[frame], :3]
    distance = np.exp(-data.meta.info["rain"]["progress_alpha"] * np.linalg.norm(
        at - episode.spans[0].position
    ))  # fmt: skip
    # Not complete; the gripper points down all the way, so the alignment is 1.
    expected = 1.2 * -torch.log(1 - scores[0])
    for score, target in ((scores[1], distance), (scores[2], 1.0)):
        expected += 0.3 * 0.5 * (score - target) ** 2  # smooth L1 below 1
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_what_does_not_fit_is_one_clear_line(folder: Path) -> None:
    data = helpers.opened(folder, helpers.config())
    with pytest.raises(ConventionError, match="image_size"):
        helpers.policy_for(data, helpers.config(network={}))
    with pytest.raises(RainError, match="needs a dataset"):
        LeRobotRainPolicy(helpers.config())
    with pytest.raises(RainError, match="image_transforms"):
        label_maps(np.array([0.0, 0.5001], np.float32))
    with pytest.raises(RainError, match="stage"):
        helpers.config(stage="3")


def test_lerobot_train_learns_and_resumes(folder: Path, tmp_path: Path) -> None:
    """The real command, in a process of its own, on a dataset of ours; the loss falls."""
    out = tmp_path / "run"
    network = str(helpers.TINY).replace("'", '"').replace("True", "true").replace("False", "false")
    network = network.replace("None", "null")
    command = [
        str(Path(sys.executable).parent / "lerobot-train"),
        "--policy.type=rain", f"--policy.network={network}", "--policy.device=cpu",
        "--policy.push_to_hub=false", "--policy.lr=0.01", "--policy.warmup=2",
        "--policy.ema=0.9", "--dataset.repo_id=rain/test", f"--dataset.root={folder}",
        f"--output_dir={out}", "--batch_size=16", "--num_workers=0", "--steps=40",
        "--save_freq=20", "--log_freq=10",
    ]  # fmt: skip
    environment = {
        **os.environ, "HF_DATASETS_CACHE": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"
    }  # fmt: skip

    def run(arguments: list[str]) -> None:
        done = subprocess.run(arguments, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-2000:]

    run(command)
    made = helpers.config()
    data = helpers.opened(folder, made)
    batch = helpers.rows(data, list(range(0, 96, 2)))

    def loss_of(policy: LeRobotRainPolicy) -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            return policy.eval().forward(batch)[0].item()

    def loaded(step: str) -> LeRobotRainPolicy:
        path = out / "checkpoints" / step / "pretrained_model"
        return LeRobotRainPolicy.from_pretrained(path, dataset_meta=data.meta)

    half, full = loaded("000020"), loaded("000040")
    assert full._extra["tracks"] == ["open"]
    assert full._extra["step"] == 40
    assert loss_of(full) < 0.85 * loss_of(helpers.policy_for(data, made))
    assert loss_of(full) < loss_of(half)
    # Resumed from the middle, it goes on to the same number of steps.
    settings = out / "checkpoints/000020/pretrained_model/train_config.json"
    run([command[0], f"--config_path={settings}", "--resume=true", "--steps=22"])
    assert loaded("000022")._extra["step"] == 22
