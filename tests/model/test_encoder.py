from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from model_helpers import encode, inputs, randomise, tiny_net
from torch import Tensor

from rain.model.encoder import CrossView

VIEWS = ("agentview", "wrist", "top")


def attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One head's attention by its definition, (T, D) each."""
    return torch.softmax(q @ k.T / math.sqrt(q.shape[-1]), dim=-1) @ v


@pytest.mark.parametrize("views", [2, 3])
def test_a_view_attends_to_the_concatenation_of_the_others(views: int) -> None:
    cross, width, heads = CrossView(8, 2, views), 8, 2
    randomise(cross)
    x = torch.randn(2, views, 5, width)
    expected = torch.empty_like(x)
    for b in range(2):
        for v in range(views):
            others = torch.cat([x[b, u] for u in range(views) if u != v])
            query, (key, value) = cross.query(x[b, v]), cross.key_value(others).split(width, -1)
            size = width // heads
            parts = [slice(i, i + size) for i in range(0, width, size)]
            joined = torch.cat(
                [attention(query[:, p], key[:, p], value[:, p]) for p in parts], dim=-1
            )
            expected[b, v] = cross.out(joined)
    torch.testing.assert_close(cross(x), expected, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("views", [1, 2, 3])
def test_any_number_of_views(views: int) -> None:
    net, x = tiny_net(views=VIEWS[:views]), inputs(views=views)
    phi = encode(net, x)
    assert phi.shape == (3, views * net.config.tokens, net.config.encoder_width)
    plan, actions = net.sample(phi, x["state"], x["action_type"])
    assert plan.shape == (3, 8, 3)
    assert actions.shape == (3, 16, 7)
    assert net.progress(phi, x["state"], x["action_type"]).shape == (3, 3)


@pytest.mark.parametrize("cross_view", [True, False])
@pytest.mark.parametrize("views", [2, 3])
def test_views_exchange_information_only_with_cross_view(views: int, cross_view: bool) -> None:
    net, x = tiny_net(views=VIEWS[:views], cross_view=cross_view), inputs(views=views)
    before = encode(net, x).unflatten(1, (views, -1))
    x["images"][:, -1] = 255 - x["images"][:, -1]
    after = encode(net, x).unflatten(1, (views, -1))
    assert not torch.equal(before[:, -1], after[:, -1])
    for v in range(views - 1):
        assert torch.equal(before[:, v], after[:, v]) is not cross_view


def test_views_are_told_apart() -> None:
    net, x = tiny_net(), inputs()
    x["images"][:, 1], x["regions"][:, 1] = x["images"][:, 0], x["regions"][:, 0]
    for first, second in pairwise(encode(net, x).unflatten(1, (2, -1)).unbind(1)):
        assert not torch.allclose(first, second)
