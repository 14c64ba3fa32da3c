"""The action-type embedding e_c: frozen CLIP text and a projection, or a learned table."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from rain.model.backbones import Frozen, from_hub
from rain.model.config import RainConfig
from rain.types import ACTION_TYPES

_CLIP: dict[str, tuple[str, dict[str, Any]]] = {
    "clip-l14": (
        "openai/clip-vit-large-patch14",
        {
            "hidden_size": 768,
            "intermediate_size": 3072,
            "num_hidden_layers": 12,
            "num_attention_heads": 12,
            "projection_dim": 768,
        },
    ),
    "clip-b32": (
        "openai/clip-vit-base-patch32",
        {
            "hidden_size": 512,
            "intermediate_size": 2048,
            "num_hidden_layers": 12,
            "num_attention_heads": 8,
            "projection_dim": 512,
        },
    ),
}


def phrase(action_type: str) -> str:
    """Say an action type in words, as the text encoder reads it: ``turn_on`` -> ``turn on``."""
    return action_type.replace("_", " ")


class ActionTypeTable(nn.Embedding):
    """One learned vector an action type."""

    def __init__(self, width: int) -> None:
        super().__init__(len(ACTION_TYPES), width)


class FrozenText(Frozen):
    """A ``transformers.CLIPTextModelWithProjection`` that is never trained."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.freeze()

    @torch.no_grad()
    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """(N, L) token ids -> pooled, projected text (N, P)."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask).text_embeds


class ClipActionType(nn.Module):
    """CLIP's pooled text of each action type, projected to e_c.

    There are only as many texts as action types and the encoder is frozen: ``embed`` runs it
    once, and a checkpoint carries the result, so that neither training steps nor a deployed
    policy need the encoder. encoder: None where the embeddings come from a checkpoint.
    """

    embeddings: Tensor

    def __init__(self, encoder: FrozenText | None, text_width: int, width: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.register_buffer("embeddings", torch.zeros(len(ACTION_TYPES), text_width))
        self.project = nn.Linear(text_width, width)

    def embed(self, input_ids: Tensor, attention_mask: Tensor | None = None) -> None:
        """Fill the cache from the token ids of the six phrases, (6, L)."""
        assert self.encoder is not None
        self.embeddings.copy_(self.encoder(input_ids, attention_mask))

    def forward(self, action_type: Tensor) -> Tensor:
        """(B,) indices into ACTION_TYPES -> e_c (B, width)."""
        return self.project(self.embeddings[action_type])


def build_text(config: RainConfig, pretrained: bool, encoder: bool) -> nn.Module:
    """Build what makes e_c; ``encoder`` False leaves CLIP itself out (its cache comes later)."""
    if config.text == "table":
        return ActionTypeTable(config.dit_width)
    name, shape = _CLIP[config.text]
    if not encoder:
        return ClipActionType(None, shape["projection_dim"], config.dit_width)
    from transformers import AutoTokenizer, CLIPTextConfig, CLIPTextModelWithProjection

    if not pretrained:
        model = CLIPTextModelWithProjection(CLIPTextConfig(**shape))
        return ClipActionType(FrozenText(model), shape["projection_dim"], config.dit_width)
    text = FrozenText(from_hub(CLIPTextModelWithProjection, name))
    built = ClipActionType(text, shape["projection_dim"], config.dit_width)
    tokens = from_hub(AutoTokenizer, name)(
        [phrase(action_type) for action_type in ACTION_TYPES], padding=True, return_tensors="pt"
    )
    built.embed(tokens["input_ids"], tokens["attention_mask"])
    return built
