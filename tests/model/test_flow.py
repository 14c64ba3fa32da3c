from __future__ import annotations

import pytest
import torch
from model_helpers import encode, inputs, tiny_net
from torch import Tensor

from rain.model.flow import draw_flow, draw_noise, euler_sample, flow_matching_loss


class StraightNet:
    """Stands in for RainNet and knows the data: its flow is the true one, (x - x^τ) / (1 - τ)."""

    def __init__(self, plan: Tensor, actions: Tensor, off: float = 0.0) -> None:
        self.config = tiny_net(random=False).config
        self.target, self.off = (plan, actions), off

    def condition(self, phi: Tensor) -> Tensor:
        return phi

    def velocity(
        self, plan: Tensor, actions: Tensor, tau: Tensor, kv: Tensor, state: Tensor, kind: Tensor
    ) -> tuple[Tensor, Tensor]:
        rest = (1 - tau)[:, None, None]
        draws = len(plan) // len(state)
        target = [part.repeat_interleave(draws, 0) for part in self.target]
        return (target[0] - plan) / rest + self.off, (target[1] - actions) / rest + 2 * self.off


def test_the_true_flow_has_no_loss_and_knows_the_final_waypoint() -> None:
    x = inputs(batch=4)
    net = StraightNet(x["plan"], x["actions"])
    phi = torch.zeros(4, 1, 1)
    losses = flow_matching_loss(
        net,
        phi,
        x["plan"],
        x["actions"],
        x["state"],
        x["action_type"],
        noise=draw_flow(4, 3),
    )
    assert losses.plan < 1e-6
    assert losses.action < 1e-6
    expected = x["plan"][:, None, -1].expand(4, 3, 3)
    torch.testing.assert_close(losses.final_waypoint, expected, atol=1e-4, rtol=1e-4)


def test_loss_is_the_mean_over_all_elements_of_plan_and_actions() -> None:
    x = inputs(batch=4)
    net = StraightNet(x["plan"], x["actions"], off=0.5)
    losses = flow_matching_loss(
        net,
        torch.zeros(4, 1, 1),
        x["plan"],
        x["actions"],
        x["state"],
        x["action_type"],
    )
    assert losses.plan.item() == pytest.approx(0.25, rel=1e-3)
    assert losses.action.item() == pytest.approx(1.0, rel=1e-3)
    assert losses.flow.item() == pytest.approx((24 * 0.25 + 112 * 1.0) / 136, rel=1e-3)


def test_loss_repeats_with_its_generator() -> None:
    net, x = tiny_net(), inputs()
    phi = encode(net, x)

    def loss(seed: int) -> float:
        generator = torch.Generator().manual_seed(seed)
        arguments = (x["plan"], x["actions"], x["state"], x["action_type"])
        noise = draw_flow(len(phi), 2, generator)
        return flow_matching_loss(net, phi, *arguments, noise=noise).flow.item()

    assert loss(1) == loss(1) != loss(2)


def test_flow_times_are_uniform_and_one_draw_falls_into_each_stratum() -> None:
    tau = draw_flow(4000, 4).tau
    assert tau.mean().item() == pytest.approx(0.5, abs=0.02)
    assert tau.var().item() == pytest.approx(1 / 12, abs=0.01)
    assert (tau.view(4000, 4).mul(4).floor() == torch.arange(4.0)).all()


def test_parts_of_a_draw_give_the_mean_of_its_loss() -> None:
    """Processes and micro-batches cut one draw between them: equal parts, so losses average."""
    net, x = tiny_net(), inputs(batch=4)
    noise = draw_flow(4, 2, torch.Generator().manual_seed(0))

    def loss(part: slice, drawn) -> float:
        some = {name: value[part] for name, value in x.items()}
        arguments = (some["plan"], some["actions"], some["state"], some["action_type"])
        return flow_matching_loss(net, encode(net, some), *arguments, noise=drawn).flow.item()

    whole = loss(slice(None), noise)
    halves = [loss(slice(2 * i, 2 * i + 2), noise.part(i, 2)) for i in range(2)]
    assert whole == pytest.approx(sum(halves) / 2, rel=1e-5)
    assert whole != pytest.approx(loss(slice(None), draw_flow(4, 2)), rel=1e-3)


def test_euler_follows_a_straight_flow_exactly() -> None:
    x = inputs(batch=2)
    net = StraightNet(x["plan"], x["actions"])
    plan, actions = euler_sample(
        lambda p, a, tau: net.velocity(p, a, tau, x["state"], x["state"], x["action_type"]),
        draw_noise(2, None, "cpu"),
        steps=4,
    )
    torch.testing.assert_close(plan, x["plan"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(actions, x["actions"], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_sampler_recovers_a_distribution_of_two_modes(bidirectional: bool) -> None:
    """Plan and actions are all +1 or all -1, half of each: train, then sample in 4 steps."""
    net = tiny_net(random=False, dit_layers=1, bidirectional=bidirectional)
    phi, state, kind = torch.randn(1, 8, 32), torch.zeros(256, 7), torch.zeros(256).long()
    batch = phi.expand(64, -1, -1), state[:64], kind[:64]
    optimiser = torch.optim.AdamW(net.plandit.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1e-2, total_steps=300)
    for _ in range(300):
        mode = torch.randint(0, 2, (64, 1, 1)) * 2.0 - 1.0
        clean = mode.expand(64, 8, 3), mode.expand(64, 16, 7)
        loss = flow_matching_loss(net, batch[0], *clean, *batch[1:]).flow
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

    generator = torch.Generator().manual_seed(1)
    samples = net.sample(phi.expand(256, -1, -1), state, kind, generator=generator)
    modes = []
    for part in samples:
        mode = part.mean(dim=(1, 2)).sign()
        near = (part - mode[:, None, None]).abs().mean(dim=(1, 2)) < 0.25
        assert near.float().mean() > 0.8  # samples lie at the modes
        assert 0.3 < (mode > 0).float().mean() < 0.7  # and both are found
        modes.append(mode)
    agree = (modes[0] == modes[1]).float().mean()
    # Plan tokens do not see the noise that draws the actions to a mode of their own, so that with
    # the asymmetric mask the two agree more often than by chance, but only more often.
    assert agree > (0.97 if bidirectional else 0.55)
