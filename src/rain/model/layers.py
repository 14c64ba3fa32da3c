"""The few layers that the encoder, PlanDiT and the progress head share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, D) -> (B, heads, L, D / heads)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, L, D / heads) -> (B, L, D)."""
    return x.transpose(1, 2).flatten(2)


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Scaled dot-product attention, (B, heads, L, d) each; mask True where a row sees a column."""
    if query.device.type != "cpu" or query.dtype != torch.bfloat16:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # Under bf16 autocast on a CPU the kernel's backward is several times slower than in fp32.
    with torch.autocast("cpu", enabled=False):
        return F.scaled_dot_product_attention(
            query.float(), key.float(), value.float(), attn_mask=mask
        )


class SelfAttention(nn.Module):
    """Multi-head self-attention over (B, L, D), with an optional boolean mask (L, L)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend; ``mask[i, j]`` is True where row i may see column j."""
        q, k, v = (split_heads(part, self.heads) for part in self.qkv(x).chunk(3, dim=-1))
        return self.out(merge_heads(attend(q, k, v, mask)))


class FeedForward(nn.Sequential):
    """Two linear layers with a GELU, four times as wide inside."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Linear(width, 4 * width), nn.GELU(approximate="tanh"), nn.Linear(4 * width, width)
        )


class FlowTime(nn.Module):
    """Flow time τ in [0, 1] -> a vector: sinusoids, then a small MLP."""

    frequencies: Tensor

    def __init__(self, width: int, features: int = 256) -> None:
        super().__init__()
        # 1 … 1000 radians over the unit interval, log-spaced, as diffusion transformers use.
        spread = torch.logspace(0, 3, features // 2)
        self.register_buffer("frequencies", spread, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(features, width), nn.SiLU(), nn.Linear(width, width))

    def forward(self, tau: Tensor) -> Tensor:
        """(B,) -> (B, width)."""
        angles = tau[:, None] * self.frequencies
        return self.mlp(torch.cat([angles.cos(), angles.sin()], dim=-1))
