"""Which segmenter, and how it is seeded and run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rain.types import RainError

SegmenterName = Literal["truth", "classical", "sam2", "edgetam"]
"""truth: the simulator's own regions; classical: colour and motion, without weights; sam2, edgetam:
models."""

PromptKind = Literal["box", "mask", "point"]


@dataclass(frozen=True)
class PerceptionOptions:
    """How targets are pointed at and followed."""

    weights: str | None = None
    """Of sam2 and edgetam: a name on the hub, or a folder; default: the smallest of its kind."""
    image_size: int | None = None
    """Of sam2 and edgetam: side in pixels that the network works on; default: the model's, 1024."""
    device: str = "cpu"
    """Where the segmenter's network is."""
    prompt: PromptKind = "box"
    """What the simulator gives to seed with, where no VLM points."""
    every: int = 1
    """Control steps between frames that are followed."""
    late_every_s: float | None = None
    """Seconds between further looks for a target in views that did not show it when its subtask
    began; default: none, seeded once."""
    vlm: str | None = None
    """Address of an OpenAI-compatible endpoint, http://HOST:PORT/v1. It decomposes the instruction
    and points at targets; the simulator's annotations are then not used."""
    vlm_model: str = "nvidia/Cosmos-Reason2-2B"
    """The model's name there."""
    vlm_timeout_s: float = 60.0
    """Seconds an answer may take."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise RainError(f"perception: every: expected at least 1, got {self.every}")
        if self.late_every_s is not None and self.late_every_s <= 0:
            raise RainError(f"perception: late_every_s: expected above 0, got {self.late_every_s}")
