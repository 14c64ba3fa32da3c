"""The network's configuration: one frozen dataclass, checked when it is built."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from rain.types import RainError

BACKBONES: tuple[str, ...] = ("dinov2-l14", "dinov2-s14", "efficientnet-lite0", "stem")
TEXTS: tuple[str, ...] = ("clip-l14", "clip-b32", "table")

_PIXELS_PER_TOKEN = {"dinov2-l14": 14, "dinov2-s14": 14, "efficientnet-lite0": 16, "stem": 16}


@dataclass(frozen=True)
class RainConfig:
    """Everything that decides the network's shape. Named ones are in ``rain.model.presets``.

    backbone: image features, frozen, except ``stem``, which is trained from scratch.
    text: where the action-type embedding e_c comes from: frozen CLIP text, or a learned table.
    views: names, in the order of every (B, V, …) tensor.
    image_size, grid: pixels a side into the backbone, tokens a side out of it.
    encoder_*: the cross-view encoder; dit_*: PlanDiT.
    tarln_hidden, tarln_kernel: channels and output kernel of TarLN's spatial MLP.
    region_subgrid: 1 gives TarLN the region's mean over each token; n > 1 gives it n × n means a
        token, as channels, so that where the region lies inside a token is not lost.
    stem_region: the stem sees the region as an image channel too.
    flow_steps: Euler steps of the sampler.
    progress_state: the progress head sees the state as well.

    The switches of the paper's Table 2:
    cross_view: views exchange information. region_views: views that get their region (None: all).
    plan_tokens: the plan is generated beside the actions. bidirectional: plan tokens attend to
        action tokens too.
    """

    backbone: str
    text: str
    views: tuple[str, ...]
    image_size: int
    grid: int
    encoder_width: int
    encoder_heads: int
    dit_width: int
    dit_layers: int
    dit_heads: int
    tarln_hidden: int = 128
    tarln_kernel: int = 3
    region_subgrid: int = 1
    stem_region: bool = False
    flow_steps: int = 4
    progress_state: bool = False
    cross_view: bool = True
    region_views: tuple[str, ...] | None = None
    plan_tokens: bool = True
    bidirectional: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))
        if self.region_views is not None:
            object.__setattr__(self, "region_views", tuple(self.region_views))
        _check(self)

    @property
    def tokens(self) -> int:
        """T: tokens of one view."""
        return self.grid * self.grid

    @property
    def frozen_features(self) -> bool:
        """Whether image features never change in training, so that they may be cached."""
        return self.backbone != "stem"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RainConfig:
        """Build from ``to_dict``'s values; an unknown or missing key is a RainError."""
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise RainError(f"network configuration: unknown fields {', '.join(unknown)}")
        try:
            return cls(**values)
        except TypeError as error:
            raise RainError(f"network configuration: {error}") from error


def _check(config: RainConfig) -> None:
    def need(holds: bool, message: str) -> None:
        if not holds:
            raise RainError(f"network configuration: {message}")

    need(config.backbone in BACKBONES, f"backbone must be one of {', '.join(BACKBONES)}")
    need(config.text in TEXTS, f"text must be one of {', '.join(TEXTS)}")
    need(len(config.views) >= 1, "at least one view is needed")
    need(len(set(config.views)) == len(config.views), f"views repeat: {config.views}")
    need(
        set(config.region_views or ()) <= set(config.views),
        f"region_views {config.region_views} are not all among views {config.views}",
    )
    for part in ("encoder", "dit"):
        width, heads = getattr(config, f"{part}_width"), getattr(config, f"{part}_heads")
        need(
            heads > 0 and width > 0 and width % heads == 0,
            f"{part}_width {width} is not a multiple of {part}_heads {heads}",
        )
    need(config.dit_layers >= 1, "dit_layers must be at least 1")
    need(config.flow_steps >= 1, "flow_steps must be at least 1")
    need(config.region_subgrid >= 1, "region_subgrid must be at least 1")
    need(config.tarln_kernel % 2 == 1, "tarln_kernel must be odd")
    pixels = _PIXELS_PER_TOKEN[config.backbone]
    need(
        config.image_size == pixels * config.grid,
        f"{config.backbone} makes one token of {pixels} pixels: image_size {config.image_size} "
        f"and grid {config.grid} do not agree",
    )
