"""Cosmos-Reason2 (a Qwen3-VL model) through transformers, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from rain.perception.reasoner.chat import Message
from rain.perception.reasoner.protocols import ReasonError
from rain.perception.weights import loading

DEFAULT = "nvidia/Cosmos-Reason2-2B"

IMAGE_TOKEN = "<|image_pad|>"


class LocalModel:
    """A ChatModel with a Qwen3VLForConditionalGeneration, its tokenizer and image processor."""

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        image_processor: Any,
        *,
        name: str = DEFAULT,
        max_tokens: int = 2048,
    ) -> None:
        self._model, self._tokenizer, self._images = model.eval(), tokenizer, image_processor
        self._name, self._max_tokens = name, max_tokens

    @classmethod
    def load(
        cls, name: str = DEFAULT, *, device: str = "cpu", max_tokens: int = 2048
    ) -> LocalModel:
        """The model from the hub or a local folder; RainError where it is not to be had."""
        from transformers import AutoTokenizer, Qwen3VLForConditionalGeneration

        # Not AutoProcessor: it brings a video processor, which needs torchvision, for nothing.
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import (
            Qwen2VLImageProcessorPil,
        )

        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        with loading(name, "a Qwen3-VL model and processor", ", or ask an endpoint"):
            model: Any = Qwen3VLForConditionalGeneration.from_pretrained(name, dtype=dtype)
            tokenizer = AutoTokenizer.from_pretrained(name)
            images = Qwen2VLImageProcessorPil.from_pretrained(name)
        model.to(device=device)
        return cls(model, tokenizer, images, name=name, max_tokens=max_tokens)

    @property
    def name(self) -> str:
        """The repository or folder."""
        return self._name

    def ask(self, messages: Sequence[Message]) -> str:
        """The answer's text, thoughts included; ReasonError where the model fails."""
        try:
            inputs = self.inputs(messages)
            with torch.inference_mode():
                out = self._model.generate(
                    **inputs, max_new_tokens=self._max_tokens, do_sample=False
                )
        except (RuntimeError, ValueError) as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise ReasonError(f"{self._name} failed: {first}") from error
        new = out[0, inputs["input_ids"].shape[1] :]
        return self._tokenizer.decode(new, skip_special_tokens=True)

    def inputs(self, messages: Sequence[Message]) -> dict[str, Tensor]:
        """What the network takes: the conversation's tokens, one for each merged patch of its
        images, and the patches."""
        text = self._tokenizer.apply_chat_template(
            [_turn(message) for message in messages], tokenize=False, add_generation_prompt=True
        )
        images = [Image.fromarray(image) for message in messages for image in message.images]
        found: dict[str, Tensor] = {}
        if images:
            seen = self._images(images=images, return_tensors="pt")
            found = {name: seen[name] for name in ("pixel_values", "image_grid_thw")}
            counts = found["image_grid_thw"].prod(dim=1) // self._images.merge_size**2
            first, *rest = text.split(IMAGE_TOKEN)
            if len(rest) != len(images):
                raise ValueError(
                    f"the chat template has {len(rest)} places for {len(images)} images"
                )
            text = first + "".join(
                IMAGE_TOKEN * int(n) + part for n, part in zip(counts, rest, strict=True)
            )
        tokens = self._tokenizer(text, return_tensors="pt")
        found["input_ids"] = tokens["input_ids"]
        found["attention_mask"] = tokens["attention_mask"]
        # Which tokens are of an image: their positions have rows and columns.
        image_id = self._tokenizer.convert_tokens_to_ids(IMAGE_TOKEN)
        found["mm_token_type_ids"] = (found["input_ids"] == image_id).int()
        return {name: value.to(self._model.device) for name, value in found.items()}


def _turn(message: Message) -> dict[str, Any]:
    """One turn as chat templates take it: images before the text, as the model was trained."""
    images = [{"type": "image"} for _ in message.images]
    return {"role": message.role, "content": [*images, {"type": "text", "text": message.text}]}
