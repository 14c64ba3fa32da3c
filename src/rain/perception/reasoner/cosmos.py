"""Cosmos-Reason2 (a Qwen3-VL model) through transformers, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rain.perception.reasoner.chat import Message
from rain.perception.reasoner.protocols import ReasonError
from rain.types import RainError

DEFAULT = "nvidia/Cosmos-Reason2-2B"


class LocalModel:
    """A ChatModel with a Qwen3VLForConditionalGeneration and its processor."""

    def __init__(
        self, model: Any, processor: Any, *, name: str = DEFAULT, max_tokens: int = 2048
    ) -> None:
        self._model, self._processor = model.eval(), processor
        self._name, self._max_tokens = name, max_tokens

    @classmethod
    def load(
        cls, name: str = DEFAULT, *, device: str = "cpu", max_tokens: int = 2048
    ) -> LocalModel:
        """The model from the hub or a local folder; RainError where it is not to be had."""
        from transformers import AutoProcessor, Qwen3VLForConditionalGeneration

        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        try:
            model: Any = Qwen3VLForConditionalGeneration.from_pretrained(name, dtype=dtype)
            model.to(device=device)
            processor = AutoProcessor.from_pretrained(name)
        except ImportError as error:
            raise RainError(f"{name} needs a package that is not installed: {error}") from error
        except (OSError, ValueError) as error:
            raise RainError(_no_weights(name)) from error
        return cls(model, processor, name=name, max_tokens=max_tokens)

    @property
    def name(self) -> str:
        """The repository or folder."""
        return self._name

    def ask(self, messages: Sequence[Message]) -> str:
        """The answer's text, thoughts included; ReasonError where the model fails."""
        try:
            inputs = self._processor.apply_chat_template(
                [_turn(message) for message in messages],
                tokenize=True,
                add_generation_prompt=True,
                return_dict=True,
                return_tensors="pt",
            ).to(self._model.device)
            with torch.inference_mode():
                out = self._model.generate(
                    **inputs, max_new_tokens=self._max_tokens, do_sample=False
                )
        except (RuntimeError, ValueError) as error:
            first = (str(error).strip().splitlines() or ["no reason given"])[0]
            raise ReasonError(f"{self._name} failed: {first}") from error
        new = out[:, inputs["input_ids"].shape[1] :]
        return self._processor.batch_decode(new, skip_special_tokens=True)[0]


def _turn(message: Message) -> dict[str, Any]:
    """One turn as chat templates take it: images before the text, as the model was trained."""
    from PIL import Image

    images = [{"type": "image", "image": Image.fromarray(image)} for image in message.images]
    return {"role": message.role, "content": [*images, {"type": "text", "text": message.text}]}


def _no_weights(name: str) -> str:
    if Path(name).is_dir():
        return f"{name} is a folder without a Qwen3-VL model and processor that can be read"
    return (
        f"the weights {name!r} are neither a folder nor in the cache, and cannot be downloaded; "
        f"where there is a network run `hf download {name} --local-dir FOLDER`, copy the folder "
        "here and give it in place of the name, or ask an endpoint"
    )
