"""A small ACT policy of the real library, served by our script and asked by our channel."""

from __future__ import annotations

import importlib.util
import threading
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("lerobot.__version__", reason="make test-lerobot has it")
pytest.importorskip("draccus", reason="policies of lerobot need more of its requirements")
pytest.importorskip("websockets")

import torch
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
from websockets.sync.server import serve

from rain.bench.remote import RemoteError
from rain.bench.remote.openpi import OpenpiChannel

SCRIPT = Path(__file__).parents[2] / "packages" / "rain_lerobot_serve" / "rain_lerobot_serve.py"
KEYS = ("observation.images.image", "observation.images.image2")
STD = 0.25


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory):
    """The script's policy, of a checkpoint whose actions are normalised by ``STD``."""
    torch.manual_seed(0)
    config = ACTConfig(
        input_features={
            **{key: PolicyFeature(FeatureType.VISUAL, (3, 64, 64)) for key in KEYS},
            "observation.state": PolicyFeature(FeatureType.STATE, (8,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (7,))},
        chunk_size=12,
        n_action_steps=6,
        dim_model=16,
        n_heads=2,
        dim_feedforward=16,
        n_encoder_layers=1,
        n_vae_encoder_layers=1,
        latent_dim=4,
        pretrained_backbone_weights=None,
        device="cpu",
        push_to_hub=False,
    )
    stats = {
        "observation.state": {"mean": torch.zeros(8), "std": torch.ones(8)},
        "action": {"mean": torch.zeros(7), "std": torch.full((7,), STD)},
        **{key: {"mean": torch.zeros(3, 1, 1), "std": torch.ones(3, 1, 1)} for key in KEYS},
    }
    folder = tmp_path_factory.mktemp("act")
    for part in (ACTPolicy(config), *make_pre_post_processors(config, dataset_stats=stats)):
        part.save_pretrained(folder)
    spec = importlib.util.spec_from_file_location("rain_lerobot_serve", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    policy = script.ServedPolicy(str(folder), "cpu")
    metadata = policy.metadata()
    with serve(
        lambda c: script.answer(policy, metadata, c), "127.0.0.1", 0, compression=None
    ) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield policy, f"ws://127.0.0.1:{server.socket.getsockname()[1]}"
        server.shutdown()
        thread.join()


def test_the_answer_is_the_policys_own(served):
    policy, address = served
    channel = OpenpiChannel(address, timeout=60)
    assert channel.metadata["policy"] == "act"
    assert channel.metadata["execute"] == 6
    rng = np.random.default_rng(0)
    images = {key: rng.integers(0, 256, (64, 64, 3), dtype=np.uint8) for key in KEYS}
    state = {"observation.state": rng.normal(size=8).astype(np.float32)}
    actions = channel.ask(images, state, ("task", "close the microwave"))
    batch = {key: torch.tensor(image).permute(2, 0, 1)[None] / 255 for key, image in images.items()}
    batch["observation.state"] = torch.tensor(state["observation.state"])[None]
    expected = policy.policy.predict_action_chunk(batch)[0].numpy() * STD
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    channel.close()


def test_a_wrong_size_says_which_is_right(served):
    channel = OpenpiChannel(served[1], timeout=60)
    images = {key: np.zeros((32, 32, 3), np.uint8) for key in KEYS}
    with pytest.raises(RemoteError, match="wants 64 x 64 pixels, sent are 32 x 32"):
        channel.ask(images, {"observation.state": np.zeros(8, np.float32)}, ("task", "x"))
    channel.close()
