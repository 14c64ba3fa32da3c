"""RainNet: backbones, target-adaptive cross-view encoder, PlanDiT and progress head together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rain.model import flow
from rain.model.backbones import build_backbone, prepare_images
from rain.model.config import RainConfig
from rain.model.encoder import CrossViewEncoder
from rain.model.plandit import KeysValues, PlanDiT
from rain.model.progress import ProgressHead
from rain.model.text import build_text


@dataclass(frozen=True)
class PartSize:
    """Parameters of one part of the network."""

    part: str
    total: int
    trainable: int


class RainNet(nn.Module):
    """The action network: (images, regions, state, action type) -> plan, actions, progress.

    Everything inside is in normalised units (``rain.model.normalise``). Shapes: B samples, V
    views, S pixels a side, T tokens a view, d feature width, D encoder width.

    config: the shape. pretrained: load the published weights of frozen parts; False leaves them
    random, for tests and for counting. vision, text: parts to use instead of those the
    configuration names. text_encoder: False leaves out CLIP where a checkpoint brings its cache.
    """

    region_gate: Tensor

    def __init__(
        self,
        config: RainConfig,
        *,
        pretrained: bool = True,
        vision: nn.Module | None = None,
        text: nn.Module | None = None,
        text_encoder: bool = True,
    ) -> None:
        super().__init__()
        self.config = config
        self.vision = build_backbone(config, pretrained) if vision is None else vision
        self.text = build_text(config, pretrained, text_encoder) if text is None else text
        feature_width: int = self.vision.width  # type: ignore[assignment]
        self.encoder = CrossViewEncoder(
            feature_width,
            config.encoder_width,
            config.encoder_heads,
            len(config.views),
            config.grid,
            tarln_hidden=config.tarln_hidden,
            tarln_kernel=config.tarln_kernel,
            region_subgrid=config.region_subgrid,
            cross_view=config.cross_view,
        )
        self.plandit = PlanDiT(
            config.encoder_width,
            config.dit_width,
            config.dit_layers,
            config.dit_heads,
            plan_tokens=config.plan_tokens,
            bidirectional=config.bidirectional,
        )
        self.progress_head = ProgressHead(
            config.encoder_width,
            config.dit_width,
            config.encoder_heads,
            use_state=config.progress_state,
        )
        shown = config.views if config.region_views is None else config.region_views
        gate = torch.tensor([float(view in shown) for view in config.views])
        self.register_buffer("region_gate", gate[:, None, None], persistent=False)

    @property
    def frozen_features(self) -> bool:
        """Whether ``features`` depends on the images alone and never changes: it may be cached."""
        return bool(self.vision.frozen)

    def features(self, images: Tensor, regions: Tensor) -> Tensor:
        """images uint8 (B, V, H, W, 3), regions (B, V, H, W) in [0, 1] -> (B, V, T, d)."""
        pixels = prepare_images(images.flatten(0, 1), self.config.image_size)
        masks = (regions * self.region_gate).flatten(0, 1)
        return self.vision(pixels, masks).unflatten(0, images.shape[:2])

    def encode(self, features: Tensor, regions: Tensor) -> Tensor:
        """features (B, V, T, d), regions (B, V, H, W) in [0, 1] -> φ (B, V·T, D)."""
        return self.encoder(features, regions * self.region_gate)

    def condition(self, phi: Tensor) -> KeysValues:
        """φ -> keys and values of every PlanDiT layer; make them once for all flow steps."""
        return self.plandit.condition(phi)

    def velocity(
        self,
        noisy_plan: Tensor,
        noisy_actions: Tensor,
        tau: Tensor,
        kv: KeysValues,
        state: Tensor,
        action_type: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """V_θ: flows of the plan (B·n, 8, 3) and of the actions (B·n, 16, 7) at τ (B·n,).

        kv, state (B, 7) and action_type (B,) are of B samples; the noisy plan and actions may
        hold n noise draws a sample, a sample's draws side by side.
        """
        e_c = self.text(action_type)
        return self.plandit(noisy_plan, noisy_actions, tau, kv, state, e_c)

    @torch.no_grad()
    def sample(
        self,
        phi: Tensor,
        state: Tensor,
        action_type: Tensor,
        *,
        generator: torch.Generator | None = None,
        noise: tuple[Tensor, Tensor] | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Generate a plan (B, 8, 3) and actions (B, 16, 7), normalised, in ``flow_steps`` steps.

        noise: where to start, a plan and actions; else drawn from ``generator``. Without plan
        tokens nothing generates a plan: it is zero, which is the training mean.
        """
        if noise is None:
            noise = flow.draw_noise(len(state), generator, phi.device)
        if not self.config.plan_tokens:
            noise = torch.zeros_like(noise[0]), noise[1]
        kv = self.condition(phi)
        return flow.euler_sample(
            lambda plan, actions, tau: self.velocity(plan, actions, tau, kv, state, action_type),
            noise,
            self.config.flow_steps,
        )

    def progress(self, phi: Tensor, state: Tensor, action_type: Tensor) -> Tensor:
        """Logits (B, 3): completion, distance, alignment. A sigmoid gives the scores (eq. 5)."""
        return self.progress_head(phi, state, self.text(action_type))

    def trainable_parameters(self) -> Iterator[nn.Parameter]:
        """Yield everything that is not a frozen backbone."""
        return (p for p in self.parameters() if p.requires_grad)

    def stage_parameters(self, stage: int) -> list[nn.Parameter]:
        """Parameters of training stage 1 (all but the progress head) or 2 (only that head)."""
        head = list(self.progress_head.parameters())
        if stage == 2:
            return head
        known = {id(p) for p in head}
        return [p for p in self.trainable_parameters() if id(p) not in known]

    def parameter_table(self) -> list[PartSize]:
        """Count parameters by part, in the order of the data's way through the network."""
        parts = {
            "image backbone": self.vision,
            "action-type text": self.text,
            "cross-view encoder": self.encoder,
            "PlanDiT": self.plandit,
            "progress head": self.progress_head,
        }
        return [
            PartSize(
                name,
                sum(p.numel() for p in part.parameters()),
                sum(p.numel() for p in part.parameters() if p.requires_grad),
            )
            for name, part in parts.items()
        ]


def describe(config: RainConfig) -> list[PartSize]:
    """Count a configuration's parameters without downloading or allocating any of them."""
    with torch.device("meta"):
        return RainNet(config, pretrained=False).parameter_table()
