"""The progress head: is the subtask complete, how far, how well aligned (paper eq. 5 and 6)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from rain.model.layers import attend, merge_heads, split_heads
from rain.types import STATE_DIM


class ProgressHead(nn.Module):
    """Pooled φ and e_c, and the state if asked, -> three logits.

    φ is pooled by attention: the query is learned and moved by the action type, because what
    shows that a grasp is complete is not what shows that a drawer is open.
    """

    def __init__(
        self, context_width: int, type_width: int, heads: int, *, use_state: bool = False
    ) -> None:
        super().__init__()
        self.heads, self.use_state = heads, use_state
        self.query = nn.Linear(type_width, context_width)
        self.key_value = nn.Linear(context_width, 2 * context_width)
        self.pool_out = nn.Linear(context_width, context_width)
        inputs = context_width + type_width + (STATE_DIM if use_state else 0)
        self.mlp = nn.Sequential(
            nn.Linear(inputs, context_width),
            nn.GELU(approximate="tanh"),
            nn.Linear(context_width, context_width),
            nn.GELU(approximate="tanh"),
            nn.Linear(context_width, 3),
        )

    def forward(self, phi: Tensor, state: Tensor, action_type: Tensor) -> Tensor:
        """phi (B, V·T, D), state (B, 7), action_type (B, E) -> logits (B, 3).

        Completion, distance, alignment; a sigmoid makes them the scores of eq. 5.
        """
        query = split_heads(self.query(action_type)[:, None], self.heads)
        key, value = self.key_value(phi).chunk(2, dim=-1)
        pooled = attend(query, split_heads(key, self.heads), split_heads(value, self.heads))
        inputs = [self.pool_out(merge_heads(pooled))[:, 0], action_type]
        if self.use_state:
            inputs.append(state)
        return self.mlp(torch.cat(inputs, dim=-1))
