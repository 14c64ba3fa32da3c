"""The local model's code on a tiny Qwen3-VL of random weights, loaded from a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rain.perception.reasoner.chat import ChatReasoner, Message
from rain.perception.reasoner.cosmos import IMAGE_TOKEN, LocalModel
from rain.perception.reasoner.protocols import ReasonError
from rain.perception.segmenter import Frame
from rain.types import RainError

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }} {% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% else %}{{ c.text }}{% endif %}{% endfor %}<|im_end|> {% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant {% endif %}"
)
SPECIAL = ["<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", IMAGE_TOKEN]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder as the hub has it: configuration, weights, tokenizer, preprocessing."""
    import transformers as t
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
        Qwen2VLImageProcessorPil,
    )

    path = tmp_path_factory.mktemp("cosmos")
    words = ["<unk>", *SPECIAL, "user", "assistant", "Locate", "json", "[]", "milk"]
    inner = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = t.PreTrainedTokenizerFast(
        tokenizer_object=inner, unk_token="<unk>", additional_special_tokens=SPECIAL
    )
    tokenizer.chat_template = TEMPLATE
    tokenizer.save_pretrained(path)
    Qwen2VLImageProcessorPil(
        patch_size=16, merge_size=2, temporal_patch_size=2, min_pixels=32**2, max_pixels=128**2
    ).save_pretrained(path)
    ids = {w: i for i, w in enumerate(words)}
    text = {
        "hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 2, "head_dim": 16,
        "num_attention_heads": 2, "num_key_value_heads": 1, "vocab_size": len(words),
        "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3],
                            "mrope_interleaved": True, "rope_theta": 10000.0},
    }  # fmt: skip
    vision = {
        "hidden_size": 32, "intermediate_size": 32, "depth": 2, "num_heads": 2, "patch_size": 16,
        "out_hidden_size": 32, "deepstack_visual_indexes": [0], "num_position_embeddings": 64,
    }  # fmt: skip
    torch.manual_seed(0)
    config = t.Qwen3VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=ids[IMAGE_TOKEN],
        vision_start_token_id=ids["<|vision_start|>"],
        vision_end_token_id=ids["<|vision_end|>"],
        video_token_id=len(words) - 1,
    )
    t.Qwen3VLForConditionalGeneration(config).save_pretrained(path)
    return path


def image(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_every_image_gets_a_token_for_each_of_its_merged_patches(folder):
    model = LocalModel.load(str(folder))
    asked = Message("user", "Locate milk", (image(64, 96), image(64, 64)))
    inputs = model.inputs([asked])
    # 32 x 32 pixels a token: 2 x 3 and 2 x 2.
    assert int(inputs["mm_token_type_ids"].sum()) == 6 + 4
    assert inputs["image_grid_thw"].tolist() == [[1, 4, 6], [1, 4, 4]]
    assert len(inputs["pixel_values"]) == 24 + 16
    words = inputs["input_ids"][0].tolist()
    kinds = inputs["mm_token_type_ids"][0].bool().tolist()
    assert {w for w, k in zip(words, kinds, strict=True) if k} == {SPECIAL.index(IMAGE_TOKEN) + 1}


def test_it_answers_and_the_image_matters(folder):
    model = LocalModel.load(str(folder), max_tokens=4)
    assert isinstance(model.ask([Message("user", "Locate milk", (image(64, 64),))]), str)
    outs = []
    for shown in (image(64, 64), 255 - image(64, 64)):
        with torch.inference_mode():
            outs.append(model._model(**model.inputs([Message("user", "Locate", (shown,))])).logits)
    assert not torch.allclose(outs[0], outs[1])
    assert isinstance(model.ask([Message("user", "milk")]), str)


def test_what_random_weights_say_is_a_clear_failure(folder):
    model = LocalModel.load(str(folder), max_tokens=4)
    with pytest.raises(ReasonError, match="gave no usable answer to 'the milk' in view top, twice"):
        ChatReasoner(model).ground("milk", "the milk", Frame({"top": image(64, 64)}, 0.0))


def test_missing_weights_say_how_to_get_them(tmp_path):
    with pytest.raises(RainError, match=r"hf download nvidia/Cosmos-Reason2-2B --local-dir"):
        LocalModel.load()
    with pytest.raises(RainError, match="is a folder without a Qwen3-VL model"):
        LocalModel.load(str(tmp_path))
