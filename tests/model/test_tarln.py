from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from model_helpers import randomise
from numpy.typing import NDArray
from torch import nn

from rain.model.tarln import TarLN, region_channels


def convolve(x: NDArray, conv: nn.Conv2d) -> NDArray:
    """A convolution by its definition: loops over places, zero padding; (C, h, w) -> (O, h, w)."""
    weight = conv.weight.detach().double().numpy()
    k = weight.shape[-1]
    padded = np.pad(x, ((0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    out = np.empty((len(weight), *x.shape[1:]))
    for i in range(x.shape[1]):
        for j in range(x.shape[2]):
            patch = padded[:, i : i + k, j : j + k]
            out[:, i, j] = (weight * patch).sum(axis=(1, 2, 3)) + conv.bias.detach().numpy()
    return out


def gelu(x: NDArray) -> NDArray:
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


@pytest.mark.parametrize("kernel", [1, 3])
def test_tarln_is_equation_1(kernel: int) -> None:
    grid, width, channels = 3, 5, 4
    tarln = TarLN(width, 6, channels, kernel)
    randomise(tarln)
    features, region = torch.randn(2, grid * grid, width), torch.rand(2, channels, grid, grid)

    expected = np.empty((2, grid * grid, width))
    for b in range(2):
        hidden = gelu(convolve(region[b].double().numpy(), tarln.spatial))
        maps = convolve(hidden, tarln.modulation)
        for i in range(grid):
            for j in range(grid):
                f = features[b, i * grid + j].double().numpy()
                normal = (f - f.mean()) / np.sqrt(f.var() + 1e-5)
                gamma, beta = 1 + maps[:width, i, j], maps[width:, i, j]
                expected[b, i * grid + j] = gamma * normal + beta

    np.testing.assert_allclose(tarln(features, region).detach(), expected, atol=1e-5)


def test_tarln_starts_as_plain_layer_norm() -> None:
    tarln = TarLN(8, 6, 16, 3)
    features = torch.randn(2, 9, 8)
    plain = F.layer_norm(features, (8,))
    torch.testing.assert_close(tarln(features, torch.rand(2, 16, 3, 3)), plain)


def test_region_channels_are_the_means_of_a_tokens_parts() -> None:
    regions = torch.rand(2, 24, 24)
    maps = region_channels(regions, grid=3, subgrid=2)
    assert maps.shape == (2, 4, 3, 3)
    for i in range(3):
        for j in range(3):
            token = regions[1, 8 * i : 8 * i + 8, 8 * j : 8 * j + 8]
            parts = [token[:4, :4], token[:4, 4:], token[4:, :4], token[4:, 4:]]
            expected = torch.stack([part.mean() for part in parts])
            torch.testing.assert_close(maps[1, :, i, j], expected)


def test_region_channels_keep_the_area_when_sizes_do_not_divide() -> None:
    region = torch.zeros(1, 30, 30)
    region[0, 10:20, 5:25] = 1
    assert region_channels(region, grid=4, subgrid=1).mean() == pytest.approx(200 / 900, abs=0.03)
