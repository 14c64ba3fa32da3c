"""PlanDiT: the transformer that generates the plan and the action chunk (paper section 3.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rain.model.layers import FeedForward, FlowTime, SelfAttention, attend, merge_heads, split_heads
from rain.types import ACTION_DIM, HORIZON, PLAN_POINTS, STATE_DIM

PLAN_DIM = 3
KeysValues = list[tuple[Tensor, Tensor]]
"""Of φ, for every layer of a PlanDiT: see ``PlanDiT.condition``."""


def attention_mask(plan_points: int, horizon: int, bidirectional: bool = False) -> Tensor | None:
    """Who may see whom among [c; q; plan; action]: bool (L, L), row sees column; None: all.

    Only action tokens see action tokens. c and q must not either: a plan token sees them, and
    through them and the next layer it would see the actions after all.
    """
    if bidirectional:
        return None
    action = torch.arange(2 + plan_points + horizon) >= 2 + plan_points
    return action[:, None] | ~action[None, :]


def _modulate(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    normal = F.layer_norm(x, x.shape[-1:])
    return torch.addcmul(normal + shift, normal, scale)


class PlanDiTLayer(nn.Module):
    """Self-attention, cross-attention to φ, feed-forward; flow time enters by adaLN-zero."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.modulation = nn.Linear(width, 6 * width)
        self.self_attention = SelfAttention(width, heads)
        self.cross_norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.cross_out = nn.Linear(width, width)
        self.feed_forward = FeedForward(width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(
        self, x: Tensor, time: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
    ) -> Tensor:
        """x (B·n, L, D), time (B·n, D), key and value (B, heads, V·T, D / heads)."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.modulation(time)[:, None].chunk(6, -1)
        x = torch.addcmul(x, gate1, self.self_attention(_modulate(x, shift1, scale1), mask))
        x = x + self._cross(self.cross_norm(x), key, value)
        return torch.addcmul(x, gate2, self.feed_forward(_modulate(x, shift2, scale2)))

    def _cross(self, x: Tensor, key: Tensor, value: Tensor) -> Tensor:
        # A sample's n noise draws only differ in their queries: put them in one row of queries
        # and its keys and values serve all of them without being copied.
        query = split_heads(self.query(x).reshape(len(key), -1, x.shape[-1]), self.heads)
        attended = merge_heads(attend(query, key, value))
        return self.cross_out(attended).view_as(x)


class PlanDiT(nn.Module):
    """V_θ(x^τ, φ, q, c): the flow of the plan (8, 3) and of the action chunk (16, 7)."""

    mask: Tensor | None

    def __init__(
        self,
        context_width: int,
        width: int,
        layers: int,
        heads: int,
        *,
        plan_tokens: bool = True,
        bidirectional: bool = False,
    ) -> None:
        super().__init__()
        self.heads = heads
        self.plan_points = PLAN_POINTS if plan_tokens else 0
        self.key_value = nn.Linear(context_width, layers * 2 * width)
        self.time = FlowTime(width)
        self.embed_state = nn.Linear(STATE_DIM, width)
        self.embed_plan = nn.Linear(PLAN_DIM, width) if plan_tokens else None
        self.embed_action = nn.Linear(ACTION_DIM, width)
        self.position = nn.Parameter(torch.randn(2 + self.plan_points + HORIZON, width) * 0.02)
        self.layers = nn.ModuleList(PlanDiTLayer(width, heads) for _ in range(layers))
        self.out_modulation = nn.Linear(width, 2 * width)
        self.plan_out = nn.Linear(width, PLAN_DIM) if plan_tokens else None
        self.action_out = nn.Linear(width, ACTION_DIM)
        mask = attention_mask(self.plan_points, HORIZON, bidirectional)
        self.register_buffer("mask", mask, persistent=False)
        for part in (self.out_modulation, self.plan_out, self.action_out):
            if part is not None:
                nn.init.zeros_(part.weight)
                nn.init.zeros_(part.bias)

    def condition(self, phi: Tensor) -> KeysValues:
        """φ (B, V·T, D) -> key and value of every layer, (B, heads, V·T, width / heads) each.

        They depend on φ alone: make them once and use them for every flow step and noise draw.
        """
        weight, bias = self.key_value.weight, self.key_value.bias
        parts = 2 * len(self.layers)
        # One product for each, not one to be cut: on a CPU the cut's gradient takes longer.
        made = [
            split_heads(F.linear(phi, w, b), self.heads)
            for w, b in zip(weight.chunk(parts), bias.chunk(parts), strict=True)
        ]
        return list(zip(made[::2], made[1::2], strict=True))

    def forward(
        self,
        noisy_plan: Tensor,
        noisy_actions: Tensor,
        tau: Tensor,
        kv: KeysValues,
        state: Tensor,
        action_type: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the flow of the plan (B·n, 8, 3) and of the actions (B·n, 16, 7).

        noisy_plan (B·n, 8, 3), noisy_actions (B·n, 16, 7), tau (B·n,): n draws a sample, a
        sample's draws side by side; kv for B samples, from ``condition``; state (B, 7);
        action_type (B, width), e_c. Without plan tokens the plan's flow is zero.
        """
        draws = len(noisy_actions) // len(state)
        first = torch.stack([action_type, self.embed_state(state)], dim=1)
        tokens = [first.repeat_interleave(draws, dim=0)]
        if self.embed_plan is not None:
            tokens.append(self.embed_plan(noisy_plan))
        x = torch.cat([*tokens, self.embed_action(noisy_actions)], dim=1) + self.position
        time = F.silu(self.time(tau))
        for layer, (key, value) in zip(self.layers, kv, strict=True):
            x = layer(x, time, key, value, self.mask)
        shift, scale = self.out_modulation(time)[:, None].chunk(2, dim=-1)
        x = _modulate(x[:, 2:], shift, scale)
        actions = self.action_out(x[:, self.plan_points :])
        if self.plan_out is None:
            return torch.zeros_like(noisy_plan), actions
        return self.plan_out(x[:, : self.plan_points]), actions
