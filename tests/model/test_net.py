from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from model_helpers import TINY, encode, inputs, tiny_net
from torch import Tensor, nn

from rain.model import RainConfig, RainNet, draw_flow, flow_matching_loss
from rain.model.backbones import Frozen
from rain.types import RainError


class FixedFeatures(Frozen):
    """A frozen backbone of no weights: mean colours of a 2 × 2 grid. It never sees regions."""

    frozen, width = True, 3

    def forward(self, images: Tensor, regions: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(images, 2).flatten(2).transpose(1, 2)


def predict(net: RainNet, x: dict[str, Tensor]) -> Tensor:
    phi = encode(net, x)
    noise = torch.ones(len(phi), 8, 3), torch.ones(len(phi), 16, 7)
    plan, actions = net.sample(phi, x["state"], x["action_type"], noise=noise)
    progress = net.progress(phi, x["state"], x["action_type"])
    return torch.cat([plan.flatten(1), actions.flatten(1), progress], dim=1)


def with_regions(x: dict[str, Tensor], regions: Tensor) -> dict[str, Tensor]:
    return {**x, "regions": regions}


@pytest.mark.parametrize("stem_region", [True, False])
def test_swapping_the_regions_of_two_samples_changes_their_predictions(stem_region: bool) -> None:
    net, x = tiny_net(stem_region=stem_region), inputs(batch=2)
    for part in ("images", "state", "action_type"):
        x[part][1] = x[part][0]
    before, after = predict(net, x), predict(net, with_regions(x, x["regions"].flip(0)))
    assert not torch.allclose(before[0], before[1])  # the region alone makes the difference
    torch.testing.assert_close(after, before.flip(0), atol=1e-2, rtol=1e-3)


def test_an_empty_region_is_accepted() -> None:
    net, x = tiny_net(), inputs()
    empty = predict(net, with_regions(x, torch.zeros_like(x["regions"])))
    assert torch.isfinite(empty).all()
    assert not torch.allclose(empty, predict(net, x))


@pytest.mark.parametrize("shown", [(), ("agentview",), ("wrist",)])
def test_only_region_views_see_their_region(shown: tuple[str, ...]) -> None:
    net, x = tiny_net(region_views=shown), inputs()
    before = predict(net, x)
    for v, view in enumerate(TINY.views):
        regions = x["regions"].clone()
        regions[:, v] = 1 - regions[:, v]
        same = torch.equal(before, predict(net, with_regions(x, regions)))
        assert same is (view not in shown)


SWITCHES: list[dict[str, Any]] = [
    {},
    {"cross_view": False},
    {"region_views": ("agentview",)},
    {"region_views": ("wrist",)},
    {"plan_tokens": False},
    {"bidirectional": True},
    {"progress_state": False, "stem_region": False, "region_subgrid": 1, "tarln_kernel": 3},
    {"views": ("agentview",)},
    {"views": ("third", "top", "wrist"), "region_views": ("third", "top")},
]


@pytest.mark.parametrize("switches", SWITCHES, ids=str)
def test_every_switch_trains_a_step_of_both_stages(switches: dict[str, Any]) -> None:
    net = tiny_net(**switches).train()
    x = inputs(views=len(net.config.views))
    before = {name: p.detach().clone() for name, p in net.named_parameters()}

    def step(stage: int, loss: Tensor) -> set[str]:
        net.zero_grad()
        loss.backward()
        torch.optim.SGD(net.stage_parameters(stage), lr=1e-3).step()
        chosen = {id(p) for p in net.stage_parameters(stage)}
        return {name for name, p in net.named_parameters() if id(p) in chosen}

    arguments = (x["plan"], x["actions"], x["state"], x["action_type"])
    first = step(1, flow_matching_loss(net, encode(net, x), *arguments).flow)
    shown = net.config.region_views or net.config.views
    hidden = [v for v, view in enumerate(net.config.views) if view not in shown]
    # What multiplies a region that is always empty has nothing to learn.
    idle = {f"encoder.tarln.{v}.spatial.weight" for v in hidden}
    for name, parameter in net.named_parameters():
        assert torch.equal(parameter, before[name]) is (name not in first - idle), name
    second = step(2, net.progress(encode(net, x), x["state"], x["action_type"]).square().sum())
    assert first | second == set(before)
    assert not first & second
    assert all(name.startswith("progress_head.") for name in second)
    for name in second:
        assert not torch.equal(net.get_parameter(name), before[name]), name


def test_only_frozen_features_may_be_cached() -> None:
    assert not tiny_net().frozen_features
    frozen = RainNet(TINY, vision=FixedFeatures()).train()
    assert frozen.frozen_features
    assert not frozen.vision.training
    x = inputs()
    features = frozen.features(x["images"], x["regions"])
    assert torch.equal(features, frozen.features(x["images"], 1 - x["regions"]))


def test_images_are_normalised_by_imagenets_statistics_and_resized() -> None:
    net = RainNet(TINY, vision=FixedFeatures())
    colour = torch.tensor([10, 100, 250], dtype=torch.uint8)
    images = colour.expand(1, 2, 48, 48, 3)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    expected = ((colour / 255 - mean) / deviation).expand(1, 2, 4, 3)
    got = net.features(images, torch.zeros(1, 2, 48, 48))
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-4)


def test_predictions_do_not_depend_on_the_rest_of_the_batch() -> None:
    net, x = tiny_net(), inputs()
    together = predict(net, x)
    for i in range(3):
        alone = predict(net, {key: value[i : i + 1] for key, value in x.items()})
        torch.testing.assert_close(together[i : i + 1], alone, atol=1e-2, rtol=1e-3)


def test_bfloat16_autocast_trains_and_agrees() -> None:
    net, x = tiny_net(random=False), inputs()
    arguments = (x["plan"], x["actions"], x["state"], x["action_type"])

    def loss() -> Tensor:
        noise = draw_flow(len(x["state"]), generator=torch.Generator().manual_seed(0))
        return flow_matching_loss(net, encode(net, x), *arguments, noise=noise).flow

    exact = loss()
    with torch.autocast("cpu", torch.bfloat16):
        rounded = loss()
    rounded.backward()
    torch.testing.assert_close(rounded, exact, atol=0.02, rtol=0.02)
    assert all(p.grad is not None for p in net.plandit.action_out.parameters())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backbone": "resnet"}, "backbone must be one of"),
        ({"views": ()}, "at least one view"),
        ({"region_views": ("top",)}, "not all among views"),
        ({"dit_heads": 5}, "not a multiple"),
        ({"image_size": 40}, "do not agree"),
        ({"unheard": 1}, "unknown fields unheard"),
    ],
)
def test_a_wrong_configuration_says_what_is_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RainError, match=message):
        RainConfig.from_dict({**TINY.to_dict(), **changes})


def test_configuration_round_trip() -> None:
    assert RainConfig.from_dict(TINY.to_dict()) == TINY


def test_frozen_parts_have_no_trainable_parameters() -> None:
    class Wrapped(Frozen):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)
            self.freeze()

    part = Wrapped().train()
    assert not part.inner.training
    assert not any(p.requires_grad for p in part.parameters())
