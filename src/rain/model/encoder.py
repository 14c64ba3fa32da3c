"""The target-adaptive cross-view encoder (TCE): TarLN per view, then eq. 2."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rain.model.layers import FeedForward, SelfAttention, attend, merge_heads, split_heads
from rain.model.tarln import TarLN, region_channels


class CrossView(nn.Module):
    """Cross-attention from each view to the concatenation of all the others.

    The weights are shared between views; keys and values are made once per view.
    """

    def __init__(self, width: int, heads: int, views: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)
        self.others = [[u for u in range(views) if u != v] for v in range(views)]

    def forward(self, x: Tensor) -> Tensor:
        """(B, V, T, D) -> (B, V, T, D)."""
        batch, views = x.shape[:2]
        q = split_heads(self.query(x).flatten(0, 1), self.heads)
        key_value = self.key_value(x)[:, self.others]  # (B, V, V - 1, T, 2D)
        k, v = key_value.flatten(2, 3).flatten(0, 1).chunk(2, dim=-1)
        attended = attend(q, split_heads(k, self.heads), split_heads(v, self.heads))
        return self.out(merge_heads(attended)).unflatten(0, (batch, views))


class CrossViewEncoder(nn.Module):
    """φ = [f̃ of every view], (B, V·T, D), from features and regions (eq. 1 and 2).

    One block: cross-attention between views, self-attention inside each view, feed-forward, all
    pre-norm residuals. With a single view, or without ``cross_view``, there is no other view to
    attend to and the cross-attention is left out; the rest is unchanged.
    """

    def __init__(
        self,
        feature_width: int,
        width: int,
        heads: int,
        views: int,
        grid: int,
        *,
        tarln_hidden: int,
        tarln_kernel: int,
        region_subgrid: int,
        cross_view: bool,
    ) -> None:
        super().__init__()
        self.grid, self.subgrid = grid, region_subgrid
        self.tarln = nn.ModuleList(
            TarLN(feature_width, tarln_hidden, region_subgrid**2, tarln_kernel)
            for _ in range(views)
        )
        self.project = nn.Linear(feature_width, width)
        self.position = nn.Parameter(torch.randn(views, grid * grid, width) * 0.02)
        self.cross_norm = nn.LayerNorm(width) if cross_view and views > 1 else None
        self.cross = CrossView(width, heads, views) if cross_view and views > 1 else None
        self.self_norm = nn.LayerNorm(width)
        self.self_attention = SelfAttention(width, heads)
        self.feed_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width)
        self.out_norm = nn.LayerNorm(width)

    def forward(self, features: Tensor, regions: Tensor) -> Tensor:
        """features (B, V, T, d), regions (B, V, S, S) in [0, 1] -> φ (B, V·T, D)."""
        maps = region_channels(regions.flatten(0, 1), self.grid, self.subgrid)
        maps = maps.unflatten(0, regions.shape[:2])
        views = [tarln(features[:, v], maps[:, v]) for v, tarln in enumerate(self.tarln)]
        x = self.project(torch.stack(views, dim=1)) + self.position
        if self.cross is not None and self.cross_norm is not None:
            x = x + self.cross(self.cross_norm(x))
        x = x.flatten(0, 1)  # from here on every view is by itself
        x = x + self.self_attention(self.self_norm(x))
        x = x + self.feed_forward(self.feed_norm(x))
        return self.out_norm(x).reshape(len(features), -1, x.shape[-1])
