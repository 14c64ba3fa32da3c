"""``rain masks``: the mask server."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import tyro

from rain.cli.serving_options import ServingOptions, run_server, server_config
from rain.perception.options import PerceptionOptions
from rain.perception.parts import make_reasoner, make_segmenter
from rain.perception.reasoner.chat import ChatReasoner
from rain.perception.reasoner.registry import TaskRegistry
from rain.serving.masks import MaskParts, MaskService
from rain.serving.server import Server
from rain.serving.workers import Workers
from rain.types import RainError

MOST_AT_ONCE = 64
"""Requests taken in at once: as many as may wait, so that only the newest frames are looked at."""


@dataclass(frozen=True)
class Masks:
    """Serve regions: camera images in, stamped regions of the subtask's target out, until Ctrl-C.

    A target is grounded once, where its subtask begins, by a vision-language model or by a person's
    click, and followed from there (rain.client.MaskClient).
    """

    segmenter: Literal["classical", "sam2", "edgetam"] = "classical"
    """What follows the target."""
    weights: str | None = None
    """Of sam2 and edgetam: a name on the hub, or a folder; default: the smallest of its kind."""
    image_size: int | None = None
    """Of sam2 and edgetam: side in pixels that the network works on; default: the model's, 1024."""
    device: str = "cpu"
    """Where the segmenter's network is, and a model that runs here."""
    vlm: str | None = None
    """Address of an OpenAI-compatible endpoint that points at targets and decomposes instructions,
    http://HOST:PORT/v1. Without this and --local-vlm people point."""
    vlm_model: str = PerceptionOptions.vlm_model
    """The model's name there."""
    vlm_timeout_s: float = PerceptionOptions.vlm_timeout_s
    """Seconds an answer may take."""
    local_vlm: str | None = None
    """In place of --vlm, a model that runs here: a name on the hub, or a folder."""
    registry: Path | None = None
    """Task registry (YAML) that decomposes instructions in place of the model."""
    frames: int = MaskParts.frames
    """Latest frames that are kept, in which somebody can point."""
    address: str = "tcp://127.0.0.1:5561"
    """Where to listen. Anything but this machine's loopback needs a token or keys."""
    serving: Annotated[ServingOptions, tyro.conf.arg(name="")] = field(
        default_factory=ServingOptions
    )


def main(args: list[str]) -> int:
    """Run ``rain masks``."""
    options = tyro.cli(Masks, args=args, prog="rain masks")
    config = server_config(options.serving, options.address, MOST_AT_ONCE)
    # A model that runs here answers one question at a time.
    workers = Workers(1 if options.local_vlm else 4)
    service = MaskService(_parts(options), workers)
    with Server(service, config) as server:
        return run_server(server, config, options.serving, options.segmenter, ExitStack())


def _parts(options: Masks) -> MaskParts:
    if options.vlm and options.local_vlm:
        raise RainError("give --vlm or --local-vlm, not both")
    perception = PerceptionOptions(
        weights=options.weights,
        image_size=options.image_size,
        device=options.device,
        vlm=options.vlm,
        vlm_model=options.vlm_model,
        vlm_timeout_s=options.vlm_timeout_s,
    )
    make_segmenter(options.segmenter, perception, None)  # what is missing is missed at the start
    chat = make_reasoner(perception)
    if options.local_vlm:
        from rain.perception.reasoner.cosmos import LocalModel

        chat = ChatReasoner(LocalModel.load(options.local_vlm, device=options.device))
    return MaskParts(
        segmenter=lambda: make_segmenter(options.segmenter, perception, None),
        grounder=chat if isinstance(chat, ChatReasoner) else None,
        reasoner=TaskRegistry.load(options.registry) if options.registry else chat,
        name=options.segmenter,
        frames=options.frames,
    )
