from __future__ import annotations

import math

import pytest
import torch
from demos_helpers import tiny_network

from rain.model.flow import draw_flow
from rain.model.net import RainNet
from rain.training.config import LossWeights
from rain.training.losses import (
    Imitation,
    ProgressEstimation,
    consistency_loss,
    progress_losses,
)


def smooth_l1(x: float) -> float:
    return 0.5 * x * x if abs(x) < 1 else abs(x) - 0.5


def test_consistency_is_equation_4():
    torch.manual_seed(0)
    final = 2 * torch.randn(12, 2, 3)  # three groups of four frames, two draws
    total = 0.0
    for g in range(3):
        for draw in range(2):
            anchor = final[4 * g + 3, draw]
            for k in range(3):
                terms = [smooth_l1(float(v)) for v in final[4 * g + k, draw] - anchor]
                total += sum(terms) / 3
    assert float(consistency_loss(final, 4)) == pytest.approx(total / (3 * 2), rel=1e-5)


def test_consistency_is_zero_for_equal_or_single_frames():
    final = torch.randn(1, 2, 3).repeat(8, 1, 1)
    assert float(consistency_loss(final, 4)) == 0
    assert float(consistency_loss(torch.randn(8, 2, 3), 1)) == 0


def test_progress_losses_are_equation_6():
    logits = torch.tensor([[1.5, -0.3, 2.0], [-0.2, 0.7, -1.1]])
    targets = torch.tensor([[1.0, 0.9, 0.2], [0.0, 0.1, 0.8]])

    def sigmoid(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    rows = list(zip(logits.tolist(), targets.tolist(), strict=True))
    completion = sum(
        -(y[0] * math.log(sigmoid(x[0])) + (1 - y[0]) * math.log(1 - sigmoid(x[0])))
        for x, y in rows
    )
    distance = sum(smooth_l1(sigmoid(x[1]) - y[1]) for x, y in rows)
    alignment = sum(smooth_l1(sigmoid(x[2]) - y[2]) for x, y in rows)
    found = [float(v) for v in progress_losses(logits, targets)]
    assert found == pytest.approx([completion / 2, distance / 2, alignment / 2], rel=1e-5)


def inputs(batch: int = 4) -> dict[str, torch.Tensor | None]:
    return {
        "images": torch.randint(0, 256, (batch, 2, 32, 32, 3), dtype=torch.uint8),
        "features": None,
        "regions": torch.rand(batch, 2, 32, 32),
        "state": torch.randn(batch, 7),
        "action_type": torch.tensor([0, 1] * (batch // 2)),
    }


def test_imitation_weighs_its_parts():
    torch.manual_seed(0)
    net = RainNet(tiny_network())
    values = {**inputs(), "plan": torch.randn(4, 8, 3), "actions": torch.randn(4, 16, 7)}

    def losses(weights: LossWeights):
        noise = draw_flow(4, 2, torch.Generator().manual_seed(3))
        return Imitation(net, weights, group=4)(**values, noise=noise)

    found = losses(LossWeights(fm=2.0, cons=0.5))
    # x = [P; A] has 24 + 112 elements.
    flow = (24 * found["flow_plan"] + 112 * found["flow_action"]) / 136
    assert float(found["flow"].detach()) == pytest.approx(float(flow.detach()), rel=1e-5)
    expected = 2.0 * found["flow"] + 0.5 * found["consistency"]
    assert float(found["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    without = losses(LossWeights(fm=1.0, cons=0.0))
    assert "consistency" not in without
    torch.testing.assert_close(without["loss"], found["flow"])


@pytest.mark.parametrize(
    "switch",
    [
        {"plan_tokens": False},
        {"cross_view": False},
        {"bidirectional": True},
        {"region_views": ("wrist",)},
    ],
)
def test_every_switch_learns(switch):
    torch.manual_seed(0)
    net = RainNet(tiny_network(**switch))
    values = {**inputs(), "plan": torch.randn(4, 8, 3), "actions": torch.randn(4, 16, 7)}
    found = Imitation(net, LossWeights(), group=2)(**values)
    found["loss"].backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)
    assert any(p.grad is not None and p.grad.any() for p in net.plandit.parameters())


def test_progress_estimation_weighs_its_parts_and_reaches_only_the_head():
    torch.manual_seed(0)
    net = RainNet(tiny_network())
    weights = LossWeights(dist=0.2, align=0.4, comp=1.5)
    found = ProgressEstimation(net, weights)(**inputs(), progress=torch.rand(4, 3))
    expected = 1.5 * found["completion"] + 0.2 * found["distance"] + 0.4 * found["alignment"]
    torch.testing.assert_close(found["loss"], expected)
    found["loss"].backward()
    head = {id(p) for p in net.progress_head.parameters()}
    reached = {n for n, p in net.named_parameters() if p.grad is not None and id(p) not in head}
    # The action-type table feeds the head; the loop freezes it in stage 2.
    assert all(name.startswith("text.") for name in reached)
