"""Flow matching: the loss (paper eq. 3) and the Euler sampler."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from rain.types import ACTION_DIM, HORIZON, PLAN_POINTS

if TYPE_CHECKING:
    from rain.model.net import RainNet

Velocity = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class FlowLosses:
    """Mean squared errors of the flow, and what the consistency loss needs.

    plan, action: scalars. final_waypoint (B, n, 3): one-step estimates of the clean plan's last
    waypoint, p̂_N of eq. 4, normalised, for n noise draws a sample.
    """

    plan: Tensor
    action: Tensor
    final_waypoint: Tensor

    @property
    def flow(self) -> Tensor:
        """L_fm of eq. 3: the mean over all elements of x = [P; A]."""
        plan, action = PLAN_POINTS * 3, HORIZON * ACTION_DIM
        return (plan * self.plan + action * self.action) / (plan + action)


def draw_noise(
    count: int, generator: torch.Generator | None, device: torch.device | str
) -> tuple[Tensor, Tensor]:
    """Gaussian noise for a plan (count, 8, 3) and actions (count, 16, 7).

    It is drawn on the generator's own device (the CPU without one) and then moved.
    """
    source = generator.device if generator is not None else "cpu"
    noise = torch.randn(
        count, PLAN_POINTS * 3 + HORIZON * ACTION_DIM, generator=generator, device=source
    ).to(device)
    plan, actions = noise.split([PLAN_POINTS * 3, HORIZON * ACTION_DIM], dim=1)
    return plan.unflatten(1, (PLAN_POINTS, 3)), actions.unflatten(1, (HORIZON, ACTION_DIM))


class FlowDraws(NamedTuple):
    """What eq. 3 draws for B samples, n times each, a sample's draws side by side.

    plan (B·n, 8, 3) and actions (B·n, 16, 7): noise. tau (B·n,): flow times in [0, 1].
    """

    plan: Tensor
    actions: Tensor
    tau: Tensor

    def part(self, index: int, count: int) -> FlowDraws:
        """Return the ``index``-th of ``count`` equal parts: those of a process or a micro-batch."""
        return FlowDraws(*(whole.chunk(count)[index] for whole in self))


def draw_flow(
    count: int,
    draws: int = 1,
    generator: torch.Generator | None = None,
    device: torch.device | str = "cpu",
) -> FlowDraws:
    """Draw noise and flow times for ``count`` samples, ``draws`` times each.

    Flow times are uniform; a sample's draws are spread over strata.
    """
    plan, actions = draw_noise(count * draws, generator, device)
    source = generator.device if generator is not None else "cpu"
    within = torch.rand(count, draws, generator=generator, device=source)
    tau = ((torch.arange(draws, device=source) + within) / draws).flatten().to(device)
    return FlowDraws(plan, actions, tau)


def flow_matching_loss(
    net: RainNet,
    phi: Tensor,
    plan: Tensor,
    actions: Tensor,
    state: Tensor,
    action_type: Tensor,
    *,
    noise: FlowDraws | None = None,
) -> FlowLosses:
    """L_fm (eq. 3) over n draws a sample, by default one; φ and its keys and values are shared.

    phi (B, V·T, D), plan (B, 8, 3), actions (B, 16, 7), state (B, 7), all normalised;
    action_type (B,).
    """
    batch = len(state)
    if noise is None:
        noise = draw_flow(batch, device=phi.device)
    tau = noise.tau
    draws = len(tau) // batch
    clean = plan.repeat_interleave(draws, 0), actions.repeat_interleave(draws, 0)
    t = tau[:, None, None]
    noisy = [t * x + (1 - t) * eps for x, eps in zip(clean, noise[:2], strict=True)]
    flows = net.velocity(noisy[0], noisy[1], tau, net.condition(phi), state, action_type)
    errors = [
        (v.float() - (x - eps)).square().mean()
        for v, x, eps in zip(flows, clean, noise[:2], strict=True)
    ]
    if not net.config.plan_tokens:
        errors[0] = errors[0].new_zeros(())
    final = noisy[0][:, -1] + (1 - tau)[:, None] * flows[0][:, -1]
    return FlowLosses(errors[0], errors[1], final.unflatten(0, (batch, draws)))


def euler_sample(
    velocity: Velocity, noise: tuple[Tensor, Tensor], steps: int
) -> tuple[Tensor, Tensor]:
    """Integrate dx/dτ = V_θ(x, τ) from noise at τ = 0 to a sample at τ = 1."""
    plan, actions = noise
    for step in range(steps):
        tau = torch.full((len(plan),), step / steps, device=plan.device)
        plan_flow, action_flow = velocity(plan, actions, tau)
        plan, actions = plan + plan_flow / steps, actions + action_flow / steps
    return plan, actions
