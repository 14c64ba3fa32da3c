"""The losses of the paper: eq. 3 by ``rain.model.flow``, eq. 4 and eq. 6 here.

The two objectives are modules, so that a data-parallel wrapper can call them.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rain.model.flow import FlowDraws, flow_matching_loss
from rain.model.net import RainNet
from rain.training.config import LossWeights


def consistency_loss(final_waypoint: Tensor, group: int) -> Tensor:
    """L_cons (eq. 4) over groups of K frames of one subtask, the last nearest to completion.

    final_waypoint (B, n, 3): p̂_N of n noise draws, normalised; groups stand side by side along B.
    Smooth L1 is averaged over coordinates, draws and groups, and summed over the K − 1 frames.
    """
    if group < 2:
        return final_waypoint.new_zeros(())
    frames = final_waypoint.float().unflatten(0, (-1, group))  # (G, K, n, 3)
    nearest = frames[:, -1:].expand_as(frames[:, :-1])
    loss = F.smooth_l1_loss(frames[:, :-1], nearest, reduction="none")
    return loss.mean(dim=(0, 2, 3)).sum()


def progress_losses(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """L_comp, L_dist and L_align (eq. 6) of logits and targets (B, 3)."""
    logits = logits.float()
    completion = F.binary_cross_entropy_with_logits(logits[:, 0], targets[:, 0])
    scores = logits[:, 1:].sigmoid()
    distance = F.smooth_l1_loss(scores[:, 0], targets[:, 1])
    alignment = F.smooth_l1_loss(scores[:, 1], targets[:, 2])
    return completion, distance, alignment


class Imitation(nn.Module):
    """Stage 1: L_PlanDiT = λ_fm L_fm + λ_cons L_cons."""

    def __init__(self, net: RainNet, weights: LossWeights, group: int) -> None:
        super().__init__()
        self.net, self.weights, self.group = net, weights, group
        # Without plan tokens there is no waypoint to be consistent about.
        self.consistent = weights.cons > 0 and net.config.plan_tokens and group > 1

    def forward(
        self,
        *,
        images: Tensor | None,
        features: Tensor | None,
        regions: Tensor,
        state: Tensor,
        action_type: Tensor,
        actions: Tensor,
        plan: Tensor,
        noise: FlowDraws | None = None,
    ) -> dict[str, Tensor]:
        """Return ``loss`` and its parts."""
        phi = encode(self.net, images, features, regions)
        flow = flow_matching_loss(self.net, phi, plan, actions, state, action_type, noise=noise)
        parts = {"flow": flow.flow, "flow_plan": flow.plan, "flow_action": flow.action}
        loss = self.weights.fm * flow.flow
        if self.consistent:
            parts["consistency"] = consistency_loss(flow.final_waypoint, self.group)
            loss = loss + self.weights.cons * parts["consistency"]
        return {"loss": loss, **parts}


class ProgressEstimation(nn.Module):
    """Stage 2: L_head = λ_dist L_dist + λ_align L_align + λ_comp L_comp (eq. 6); φ is frozen."""

    def __init__(self, net: RainNet, weights: LossWeights) -> None:
        super().__init__()
        self.net, self.weights = net, weights

    def forward(
        self,
        *,
        images: Tensor | None,
        features: Tensor | None,
        regions: Tensor,
        state: Tensor,
        action_type: Tensor,
        progress: Tensor,
    ) -> dict[str, Tensor]:
        """Return ``loss`` and its parts."""
        with torch.no_grad():
            phi = encode(self.net, images, features, regions)
        logits = self.net.progress(phi, state, action_type)
        completion, distance, alignment = progress_losses(logits, progress)
        weights = self.weights
        loss = weights.comp * completion + weights.dist * distance + weights.align * alignment
        return {
            "loss": loss,
            "completion": completion,
            "distance": distance,
            "alignment": alignment,
        }


def encode(net: RainNet, images: Tensor | None, features: Tensor | None, regions: Tensor) -> Tensor:
    """φ (B, V·T, D) from images, or from cached features in their place."""
    if features is None:
        assert images is not None, "a batch holds images or features"
        features = net.features(images, regions)
    return net.encode(features.float(), regions)
