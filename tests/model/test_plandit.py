from __future__ import annotations

import pytest
import torch
from model_helpers import encode, inputs, randomise, tiny_net
from torch import Tensor

from rain.model.plandit import PlanDiT, attention_mask


def plan_gradient(dit: PlanDiT) -> tuple[Tensor, Tensor]:
    """Gradients of random combinations of plan and action outputs by the noisy action tokens."""
    noisy = torch.randn(2, 16, 7, requires_grad=True)
    plan, actions = dit(
        torch.randn(2, 8, 3),
        noisy,
        torch.rand(2),
        dit.condition(torch.randn(2, 10, 24)),
        torch.randn(2, 7),
        torch.randn(2, 32),
    )
    by_plan = torch.autograd.grad((plan * torch.randn_like(plan)).sum(), noisy, retain_graph=True)[
        0
    ]
    return by_plan, torch.autograd.grad((actions * torch.randn_like(actions)).sum(), noisy)[0]


@pytest.mark.parametrize("layers", [1, 3])
def test_no_path_from_action_tokens_to_plan_tokens(layers: int) -> None:
    dit = PlanDiT(24, 32, layers, 4)
    randomise(dit)
    by_plan, by_actions = plan_gradient(dit)
    assert (by_plan == 0).all()
    assert (by_actions != 0).any(dim=-1).all()  # the same network does use every action token


def test_bidirectional_opens_the_path() -> None:
    dit = PlanDiT(24, 32, 2, 4, bidirectional=True)
    randomise(dit)
    by_plan, _ = plan_gradient(dit)
    assert (by_plan != 0).any(dim=-1).all()


def test_actions_follow_the_plan() -> None:
    dit = PlanDiT(24, 32, 2, 4)
    randomise(dit)
    plan = torch.randn(1, 8, 3, requires_grad=True)
    kv = dit.condition(torch.randn(1, 10, 24))
    _, actions = dit(
        plan, torch.randn(1, 16, 7), torch.rand(1), kv, torch.randn(1, 7), torch.randn(1, 32)
    )
    assert (torch.autograd.grad(actions.square().sum(), plan)[0] != 0).all()


def test_mask_lets_no_plan_token_reach_an_action_token_in_any_number_of_steps() -> None:
    mask = attention_mask(8, 16)
    assert mask is not None
    reach = mask.clone()
    for _ in range(5):
        reach = (reach.float() @ mask.float()) > 0
    assert not reach[:10, 10:].any()
    assert reach[10:].all()
    assert mask[2:10, :10].all()
    assert attention_mask(8, 16, bidirectional=True) is None


def test_reused_keys_and_values_equal_recomputed_ones() -> None:
    net, x = tiny_net(dit_layers=3), inputs()
    phi = encode(net, x)
    noise = torch.randn(3, 8, 3), torch.randn(3, 16, 7)
    reused = net.sample(phi, x["state"], x["action_type"], noise=noise)

    plan, actions = noise
    for step in range(4):
        tau = torch.full((3,), step / 4)
        flows = net.velocity(plan, actions, tau, net.condition(phi), x["state"], x["action_type"])
        plan, actions = plan + flows[0] / 4, actions + flows[1] / 4
    assert torch.equal(reused[0], plan)
    assert torch.equal(reused[1], actions)
    assert [part.shape for both in net.condition(phi) for part in both] == [(3, 2, 2 * 4, 16)] * 6


def test_draws_of_a_sample_share_its_keys_and_values() -> None:
    net, x, draws = tiny_net(), inputs(), 3
    phi, net = encode(net, x).double(), net.double()
    x["state"] = x["state"].double()
    plan, actions, tau = torch.randn(9, 8, 3), torch.randn(9, 16, 7), torch.rand(9)
    plan, actions, tau = plan.double(), actions.double(), tau.double()
    together = net.velocity(plan, actions, tau, net.condition(phi), x["state"], x["action_type"])
    for i in range(9):
        one = slice(i // draws, i // draws + 1)
        alone = net.velocity(
            plan[i : i + 1],
            actions[i : i + 1],
            tau[i : i + 1],
            net.condition(phi[one]),
            x["state"][one],
            x["action_type"][one],
        )
        torch.testing.assert_close(together[0][i], alone[0][0])
        torch.testing.assert_close(together[1][i], alone[1][0])


def test_flow_time_state_and_action_type_matter() -> None:
    net, x = tiny_net(), inputs(batch=1)
    kv = net.condition(encode(net, x))
    plan, actions = torch.randn(1, 8, 3), torch.randn(1, 16, 7)

    def flow(tau: float = 0.25, state: Tensor = x["state"], kind: int = 0) -> Tensor:
        return torch.cat(
            [
                part.flatten()
                for part in net.velocity(
                    plan, actions, torch.tensor([tau]), kv, state, torch.tensor([kind])
                )
            ]
        )

    for changed in (flow(tau=0.75), flow(state=x["state"] + 1), flow(kind=1)):
        assert not torch.allclose(changed, flow())


def test_without_plan_tokens_the_plan_has_no_flow() -> None:
    net, x = tiny_net(plan_tokens=False), inputs()
    kv = net.condition(encode(net, x))
    plan, actions = net.velocity(
        torch.randn(3, 8, 3), torch.randn(3, 16, 7), torch.rand(3), kv, x["state"], x["action_type"]
    )
    assert (plan == 0).all()
    assert (actions != 0).all()
