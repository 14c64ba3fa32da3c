"""Tiny networks and inputs for the tests of the model room."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from rain.model import RainConfig, RainNet
from rain.types import ACTION_TYPES, Conventions

TINY = RainConfig(
    backbone="stem",
    text="table",
    views=("agentview", "wrist"),
    image_size=32,
    grid=2,
    encoder_width=32,
    encoder_heads=2,
    dit_width=32,
    dit_layers=2,
    dit_heads=2,
    tarln_hidden=8,
    tarln_kernel=1,
    region_subgrid=4,
    stem_region=True,
    progress_state=True,
)

CONVENTIONS = Conventions(
    views=TINY.views,
    image_size=TINY.image_size,
    state="libero_ee_axis_angle_gripper",
    action="libero_osc_pose_delta",
    rate_hz=20.0,
)


def randomise(module: nn.Module, scale: float = 0.3) -> None:
    """Give every parameter a random value: zero-initialised parts make zeros prove nothing."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_(std=scale)


def tiny_net(random: bool = True, **changes: Any) -> RainNet:
    """A tiny network; keyword arguments change its configuration."""
    net = RainNet(replace(TINY, **changes), pretrained=False)
    if random:
        randomise(net)
    return net.eval()


def inputs(batch: int = 3, views: int = 2, size: int = 32) -> dict[str, Tensor]:
    """Random images, regions, state, action type and targets of a batch."""
    return {
        "images": torch.randint(0, 256, (batch, views, size, size, 3), dtype=torch.uint8),
        "regions": (torch.rand(batch, views, size, size) > 0.8).float(),
        "state": torch.randn(batch, 7),
        "action_type": torch.randint(0, len(ACTION_TYPES), (batch,)),
        "plan": torch.randn(batch, 8, 3),
        "actions": torch.randn(batch, 16, 7),
    }


def encode(net: RainNet, x: dict[str, Tensor]) -> Tensor:
    """φ of a batch from ``inputs``."""
    return net.encode(net.features(x["images"], x["regions"]), x["regions"])
