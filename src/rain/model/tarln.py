"""Target-adaptive layer normalisation, paper eq. 1."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def region_channels(regions: Tensor, grid: int, subgrid: int) -> Tensor:
    """Bring regions (N, H, W) in [0, 1] to the token grid: (N, subgrid², grid, grid).

    Every channel is the region's mean over one of a token's subgrid × subgrid parts.
    """
    area = F.adaptive_avg_pool2d(regions[:, None], grid * subgrid)
    return F.pixel_unshuffle(area, subgrid)


class TarLN(nn.Module):
    """TarLN(f, m) = γ(m) ⊙ LN(f) + β(m) for one view (eq. 1).

    LN has no affine of its own. γ and β are (h, w, d) maps that a small spatial MLP makes from
    the region; they start at γ = 1, β = 0, so that an untrained TarLN is a plain LN.
    """

    def __init__(self, width: int, hidden: int, region_channels: int, kernel: int) -> None:
        super().__init__()
        self.spatial = nn.Conv2d(region_channels, hidden, 3, padding=1)
        self.modulation = nn.Conv2d(hidden, 2 * width, kernel, padding=kernel // 2)
        for parameter in self.modulation.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, region: Tensor) -> Tensor:
        """features (B, T, d), region (B, C, grid, grid) from ``region_channels`` -> (B, T, d)."""
        maps = self.modulation(F.gelu(self.spatial(region), approximate="tanh"))
        gain, beta = maps.flatten(2).transpose(1, 2).chunk(2, dim=-1)
        normal = F.layer_norm(features, features.shape[-1:])
        return torch.addcmul(normal + beta, normal, gain)
