"""Milliseconds a frame of each tracker by image size, and what a session holds over many frames.

Weights are random: they do not change speed or memory. Models are built as SAM 2.1 tiny is; EdgeTAM
with SAM 2's backbone in place of its own, which needs timm, so its figure is of the rest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro
from common import milliseconds, report

from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Box, Prompt
from rain.perception.sam2 import Sam2Segmenter, session_class, set_image_size, stride_of
from rain.perception.segmenter import Frame, Segmenter

Name = Literal["classical", "sam2", "edgetam"]


@dataclass(frozen=True)
class Options:
    """Measure trackers."""

    segmenters: tuple[Name, ...] = ("classical", "sam2", "edgetam")
    """Which."""
    sizes: tuple[int, ...] = (224, 336, 1024)
    """Sides of the images; SAM 2 works on the next multiple of 32, EdgeTAM of 256."""
    repeats: int = 20
    """Frames to time, of one view and one target."""
    frames: int = 2000
    """Frames of the memory measurement; 0 leaves it out."""
    memory_size: int = 64
    """Side that the model works on in the memory measurement."""
    device: str = "cpu"
    """cpu or cuda."""
    threads: int = 1
    """CPU threads."""
    json: Path | None = None
    """Write the figures here."""


def build(name: Name, size: int, device: str) -> Segmenter:
    return (
        ClassicalSegmenter()
        if name == "classical"
        else Sam2Segmenter(model(name, size), device=device)
    )


def model(name: Name, size: int) -> Any:
    """A video model of random weights that sees its target in every frame."""
    import transformers as t

    torch.manual_seed(0)
    if name == "sam2":
        config: Any = t.Sam2VideoConfig()
    else:
        config = t.EdgeTamVideoConfig(vision_config=t.Sam2VisionConfig())
    stride = stride_of(config)
    set_image_size(config, -(-size // stride) * stride)
    made = (t.Sam2VideoModel if name == "sam2" else t.EdgeTamVideoModel)(config).eval()
    with torch.no_grad():
        made.mask_decoder.pred_obj_score_head.proj_out.bias.fill_(100.0)
    return made


class Film:
    """A bright square that moves over noise."""

    def __init__(self, size: int) -> None:
        self._rng, self._size, self._number = np.random.default_rng(0), size, 0
        self._ground = self._rng.integers(60, 120, (size, size, 3), dtype=np.uint8)

    def frame(self) -> tuple[Frame, dict[str, Prompt]]:
        side, size = self._size // 8, self._size
        left = size // 4 + (self._number // 2) % (size // 4)
        image = self._ground.copy()
        image[size // 2 : size // 2 + side, left : left + side] = (220, 40, 30)
        self._number += 1
        prompts: dict[str, Prompt] = {"view": Box(left, size // 2, left + side, size // 2 + side)}
        return Frame({"view": image}, self._number / 30), prompts


def speeds(options: Options) -> list[dict[str, Any]]:
    rows = []
    for name in options.segmenters:
        for size in options.sizes:
            taken = timed(build(name, size, options.device), size, options.repeats)
            rows.append(
                {
                    "segmenter": name,
                    "image": size,
                    "median ms": float(np.median(taken)),
                    "p90 ms": float(np.percentile(taken, 90)),
                }
            )
    return rows


def timed(segmenter: Segmenter, size: int, repeats: int) -> np.ndarray:
    """Milliseconds of each of ``repeats`` frames of one view with one target."""
    film, warmup = Film(size), 3
    first, prompts = film.frame()
    segmenter.seed("square", first, prompts)
    frames = iter([film.frame()[0] for _ in range(repeats + warmup)])
    return milliseconds(lambda: segmenter.follow(next(frames)), repeats, warmup)


def memory(options: Options) -> list[dict[str, Any]]:
    """MB of tensors in transformers' own session and in ours, after the same frames."""
    size = options.memory_size
    made = model("sam2", size)
    ours, film = Sam2Segmenter(made), Film(size)
    first, prompts = film.frame()
    ours.seed("square", first, prompts)
    theirs = session_class(made)(
        video=None, video_height=size, video_width=size, dtype=torch.float32
    )
    theirs.add_point_inputs(
        theirs.obj_id_to_idx(1),
        0,
        {
            "point_coords": torch.tensor([[[[8.0, 8.0], [24.0, 24.0]]]]),
            "point_labels": torch.tensor([[[2, 3]]], dtype=torch.int32),
        },
    )
    theirs.obj_with_new_inputs = [1]
    rows = []
    marks = {options.frames // 10, options.frames // 2, options.frames}
    for number in range(options.frames + 1):
        frame = film.frame()[0]
        pixels = torch.from_numpy(frame.images["view"]).permute(2, 0, 1)[None].float() / 255
        pixels = torch.nn.functional.interpolate(pixels, size=(made.config.image_size,) * 2)
        made(inference_session=theirs, frame=pixels, frame_idx=number)
        ours.follow(frame)
        if number in marks:
            rows.append(
                {
                    "frames": number,
                    "transformers MB": held(vars(theirs)) / 1e6,
                    "ours MB": sum(held(vars(s)) for s in sessions(ours)) / 1e6,
                }
            )
    return rows


def sessions(segmenter: Sam2Segmenter) -> list[Any]:
    return [s for stream in segmenter._streams.values() for s in stream._sessions.values()]


def held(value: Any) -> int:
    """Bytes of all tensors inside."""
    if isinstance(value, torch.Tensor):
        return value.untyped_storage().nbytes()
    if isinstance(value, Mapping):
        return sum(map(held, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(held, value))
    return held(value._vision_features) if hasattr(value, "_vision_features") else 0


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    where = f"{options.device}, {options.threads} threads, random weights"
    report(f"milliseconds a frame, {where}", speeds(options), options.json)
    if options.frames:
        name = options.json and options.json.with_stem(options.json.stem + "_memory")
        title = f"what sessions hold, SAM 2 tiny at {options.memory_size} px"
        report(title, memory(options), name)


if __name__ == "__main__":
    main(tyro.cli(Options))
