"""SAM 2 video (and EdgeTAM, through the same code) as a Segmenter: streaming, bounded memory.

transformers' video models keep what they know of a target in an inference session. Here every view
has a stream that counts its frames, and every target in a view a session of its own. Sessions of a
view share the cache of image features, so an image is encoded once however many targets there are;
a target is forgotten, or begun anew, by dropping its session.

A session keeps every frame and every output for ever. After each frame all is dropped that no later
frame can ask for (``prune``); results are the same to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from rain.perception.prompts import Box, Mask, Points, Prompt
from rain.perception.segmenter import Frame, Tracked, TrackedRegion, checked_prompts
from rain.perception.weights import loading
from rain.types import RainError

MODELS = {
    "sam2": "facebook/sam2.1-hiera-tiny",
    "sam2-small": "facebook/sam2.1-hiera-small",
    "sam2-base": "facebook/sam2.1-hiera-base-plus",
    "sam2-large": "facebook/sam2.1-hiera-large",
    "edgetam": "yonigozlan/EdgeTAM-hf",
}
"""Short name -> repository on the Hugging Face hub."""

_STRIDE, _FEATURES = 32, 16
"""The backbone's coarsest stride, and that of the features that are remembered."""

# ImageNet's, as the models' processors have them.
_MEAN = (0.485, 0.456, 0.406)
_STD = (0.229, 0.224, 0.225)

_OBJECT = 1
"""Every session holds one target."""

_REMEMBERED = ("maskmem_features", "maskmem_pos_enc", "object_pointer")
"""Of a frame's outputs, what later frames ask for."""


def load_video_model(name: str, image_size: int | None = None) -> Any:
    """A Sam2VideoModel or EdgeTamVideoModel, in evaluation mode, from the hub or a local folder.

    name: a short name of ``MODELS``, a repository's, or a folder's. image_size: side in pixels to
    which images are resized for the network, see ``stride_of``; by default the model's own (1024).
    Smaller is faster and coarser. RainError where the weights are not to be had.
    """
    from transformers import AutoConfig, EdgeTamVideoModel, Sam2VideoModel

    source = MODELS.get(name, name)
    classes: dict[str, Any] = {"sam2_video": Sam2VideoModel, "edgetam_video": EdgeTamVideoModel}
    with loading(source, "a SAM 2 or EdgeTAM model"):
        config = AutoConfig.from_pretrained(source)
        if config.model_type not in classes:
            raise RainError(
                f"{source} is a {config.model_type} model; expected {' or '.join(classes)}"
            )
        if image_size is not None:
            set_image_size(config, image_size)
        return classes[config.model_type].from_pretrained(source, config=config).eval()


def set_image_size(config: Any, size: int) -> None:
    """Let a model of this configuration work on images of ``size`` pixels; changes ``config``.

    Its weights do not depend on it: positions are interpolated or computed. RainError where it is
    no multiple of ``stride_of`` the configuration.
    """
    stride = stride_of(config)
    if size < stride or size % stride:
        raise RainError(f"image size: expected a multiple of {stride} pixels, got {size}")
    config.image_size = size
    config.prompt_encoder_config.image_size = size
    config.memory_attention_rope_feat_sizes = [size // 16, size // 16]
    vision = config.vision_config
    vision.backbone_feature_sizes = [[size // s, size // s] for s in (4, 8, 16)]
    if getattr(vision.backbone_config, "model_type", "") == "sam2_hiera_det_model":
        vision.backbone_config.image_size = [size, size]


def stride_of(config: Any) -> int:
    """Pixels that a model's working size is a multiple of: 32 for SAM 2, 256 for EdgeTAM.

    EdgeTAM cuts its features into as many windows as it has latents in two dimensions.
    """
    windows = math.isqrt(getattr(config, "perceiver_resampler_num_latents_2d", 0))
    return math.lcm(_STRIDE, _FEATURES * windows) if windows else _STRIDE


class Sam2Segmenter:
    """Follows targets with a SAM 2 video model, each view in a stream of its own."""

    def __init__(
        self, model: Any, *, device: str = "cpu", dtype: torch.dtype | None = None
    ) -> None:
        """Follow with ``model``; dtype: float32 by default, bfloat16 on a GPU."""
        if dtype is None:
            dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        self._model = model.to(device=device, dtype=dtype).eval()
        self._device, self._dtype = device, dtype
        self._streams: dict[str, _Stream] = {}

    @classmethod
    def load(
        cls, name: str = "sam2", *, image_size: int | None = None, device: str = "cpu"
    ) -> Sam2Segmenter:
        """A segmenter with the weights that ``load_video_model`` finds."""
        return cls(load_video_model(name, image_size), device=device)

    def seed(self, target: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        """Begin to follow ``target`` in the views that ``prompts`` names; see ``Segmenter``."""
        found = {}
        for view, prompt in checked_prompts(frame, prompts).items():
            stream = self._streams.setdefault(view, self._stream())
            found[view] = stream.seed(target, frame.images[view], prompt, frame.stamp)
        return found

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        """Find every target in the next frame; see ``Segmenter``."""
        found: dict[str, Tracked] = {}
        for view, image in frame.images.items():
            if view not in self._streams:
                continue
            for target, region in self._streams[view].follow(image, frame.stamp):
                found.setdefault(target, {})[view] = region
        return found

    def forget(self, target: str | None = None) -> None:
        """Stop following a target, or all."""
        for stream in self._streams.values():
            stream.forget(target)

    def _stream(self) -> _Stream:
        return _Stream(self._model, self._device, self._dtype)


class _Stream:
    """One view's frames, and a session for each target in it."""

    def __init__(self, model: Any, device: str, dtype: torch.dtype) -> None:
        self._model, self._device, self._dtype = model, device, dtype
        self._sessions: dict[str, Any] = {}
        self._cache: Any = None
        self._count = 0

    def seed(
        self, target: str, image: NDArray[np.uint8], prompt: Prompt, stamp: float
    ) -> TrackedRegion:
        session = self._session(image)
        # A frame of its own: on a frame that was followed already, the model would take the prompt
        # for a correction, and remember it no longer than any other frame.
        number = self._next()
        index = session.obj_id_to_idx(_OBJECT)
        if isinstance(prompt, Mask):
            session.add_mask_inputs(index, number, self._mask(prompt))
        else:
            session.add_point_inputs(index, number, self._points(prompt, image))
        session.obj_with_new_inputs = [_OBJECT]
        region = self._step(session, self._pixels(image), number, image, stamp)
        self._sessions[target] = session
        return region

    def follow(self, image: NDArray[np.uint8], stamp: float) -> Iterator[tuple[str, TrackedRegion]]:
        if not self._sessions:
            return
        pixels, number = self._pixels(image), self._next()
        for target, session in self._sessions.items():
            yield target, self._step(session, pixels, number, image, stamp)

    def forget(self, target: str | None) -> None:
        if target is None:
            self._sessions.clear()
        self._sessions.pop(target or "", None)

    def _next(self) -> int:
        self._count += 1
        return self._count - 1

    def _session(self, image: NDArray[np.uint8]) -> Any:
        session = session_class(self._model)(
            video=None,
            video_height=image.shape[0],
            video_width=image.shape[1],
            inference_device=self._device,
            inference_state_device=self._device,
            video_storage_device=self._device,
            dtype=self._dtype,
        )
        if self._cache is None:
            self._cache = session.cache
        session.cache = self._cache
        return session

    def _step(
        self, session: Any, pixels: Tensor, number: int, image: NDArray, stamp: float
    ) -> TrackedRegion:
        out = self._model(inference_session=session, frame=pixels, frame_idx=number)
        prune(session, number, memory_length(self._model.config))
        logits = F.interpolate(
            out.pred_masks.float().reshape(1, 1, *out.pred_masks.shape[-2:]),
            size=image.shape[:2],
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        score = float(torch.sigmoid(out.object_score_logits.float()).reshape(-1)[0])
        region = (logits > 0).cpu().numpy()
        # The model's own judgement that the target is not to be seen, at a logit of zero.
        return TrackedRegion(region if score > 0.5 else np.zeros_like(region), score, stamp)

    def _pixels(self, image: NDArray[np.uint8]) -> Tensor:
        """The image as the network takes it, (1, 3, S, S)."""
        size = self._model.config.image_size
        pixels = torch.from_numpy(image).to(self._device).permute(2, 0, 1)[None].float() / 255
        pixels = F.interpolate(
            pixels, size=(size, size), mode="bilinear", align_corners=False, antialias=True
        )
        mean, std = (pixels.new_tensor(v).view(1, 3, 1, 1) for v in (_MEAN, _STD))
        return ((pixels - mean) / std).to(self._dtype)

    def _points(self, prompt: Box | Points, image: NDArray) -> dict[str, Tensor]:
        """Clicks in the network's pixels; a box is its two corners, labelled 2 and 3."""
        if isinstance(prompt, Box):
            corners = prompt.corners
            points, labels = [corners[:2], corners[2:]], [2, 3]
        else:
            points = [*prompt.on, *prompt.off]
            labels = [1] * len(prompt.on) + [0] * len(prompt.off)
        size = self._model.config.image_size
        scale = np.array([size / image.shape[1], size / image.shape[0]])
        coordinates = torch.tensor(np.array(points) * scale, dtype=self._dtype)
        return {
            "point_coords": coordinates[None, None],
            "point_labels": torch.tensor(labels, dtype=torch.int32)[None, None],
        }

    def _mask(self, prompt: Mask) -> Tensor:
        """The mask in the network's size, (1, 1, S, S), of zeros and ones."""
        size = self._model.config.image_size
        mask = torch.from_numpy(prompt.region)[None, None].float()
        resized = F.interpolate(mask, size=(size, size), mode="bilinear", align_corners=False)
        return (resized >= 0.5).float()


def session_class(model: Any) -> type:
    """The class of a model's inference sessions, SAM 2's or EdgeTAM's."""
    from transformers import EdgeTamVideoInferenceSession, Sam2VideoInferenceSession

    edge = model.config.model_type == "edgetam_video"
    return EdgeTamVideoInferenceSession if edge else Sam2VideoInferenceSession


def memory_length(config: Any) -> int:
    """How many frames back a model looks."""
    return max(int(config.num_maskmem), int(config.max_object_pointers_in_encoder))


def prune(session: Any, number: int, length: int) -> None:
    """Drop from a session what no frame after ``number`` can ask for.

    Kept are, of the last ``length`` frames and of the frames with a prompt, the memories that
    attention reads; of older frames, of all images and of masks in full size nothing is.
    """
    session.processed_frames = None
    for index in session.output_dict_per_obj:
        session.point_inputs_per_obj[index].clear()
        session.mask_inputs_per_obj[index].clear()
        session.frames_tracked_per_obj[index].clear()
        outputs = session.output_dict_per_obj[index]
        followed = outputs["non_cond_frame_outputs"]
        for old in [n for n in followed if n <= number - length]:
            del followed[old]
        for kept in (followed.get(number), outputs["cond_frame_outputs"].get(number)):
            for name in set(kept or ()) - set(_REMEMBERED):
                del kept[name]
