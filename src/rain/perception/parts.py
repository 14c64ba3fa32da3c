"""The parts that PerceptionOptions name: segmenters, grounders, reasoners, the loop of them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from rain.perception.loop import LoopOptions, RegionLoop
from rain.perception.options import PerceptionOptions, SegmenterName
from rain.perception.reasoner.chat import ChatReasoner
from rain.perception.reasoner.endpoint import Endpoint, EndpointOptions
from rain.perception.reasoner.libero import TruthGrounder
from rain.perception.reasoner.protocols import Grounder, Reasoner
from rain.perception.segmenter import Segmenter
from rain.perception.truth import TruthSegmenter


def make_segmenter(name: SegmenterName, options: PerceptionOptions, world: Any) -> Segmenter:
    """The segmenter; ``world`` is asked only by ``truth``. RainError where weights are missing."""
    if name == "truth":
        return TruthSegmenter(world)
    if name == "classical":
        from rain.perception.classical import ClassicalSegmenter

        return ClassicalSegmenter()
    from rain.perception.sam2 import Sam2Segmenter

    model = _video_model(options.weights or name, options.image_size)
    return Sam2Segmenter(model, device=options.device)


@lru_cache(maxsize=1)
def _video_model(name: str, image_size: int | None) -> Any:
    """A process loads a model once, however many worlds it opens."""
    from rain.perception.sam2 import load_video_model

    return load_video_model(name, image_size)


def make_grounder(options: PerceptionOptions, world: Any) -> Grounder:
    """What points at targets: the VLM where there is one, else the simulator."""
    return _chat(options) or TruthGrounder(world, options.prompt)


def make_reasoner(options: PerceptionOptions) -> Reasoner | None:
    """What decomposes instructions: the VLM where there is one."""
    return _chat(options)


def make_loop(world: Any, name: SegmenterName, options: PerceptionOptions) -> RegionLoop:
    """The loop for a simulated world: it waits for grounding, and no camera freezes."""
    settings = LoopOptions(
        frozen_after_s=None,
        late_every_s=options.late_every_s,
        max_age_s=max(0.5, 2 * options.every / world.conventions.rate_hz),
    )
    segmenter = make_segmenter(name, options, world)
    return RegionLoop(segmenter, make_grounder(options, world), settings)


def _chat(options: PerceptionOptions) -> ChatReasoner | None:
    if options.vlm is None:
        return None
    asked = EndpointOptions(
        url=options.vlm, model=options.vlm_model, timeout_s=options.vlm_timeout_s
    )
    return ChatReasoner(Endpoint(asked))
