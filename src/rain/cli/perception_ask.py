"""``rain perception ask``: what a reasoner makes of an instruction and an image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from PIL import Image, ImageDraw, UnidentifiedImageError
from rich.console import Console

from rain.perception.prompts import Box
from rain.perception.reasoner.chat import ChatModel, ChatReasoner
from rain.perception.reasoner.cosmos import DEFAULT, LocalModel
from rain.perception.reasoner.endpoint import Endpoint, EndpointOptions
from rain.perception.reasoner.registry import TaskRegistry
from rain.perception.segmenter import Frame
from rain.types import RainError


@dataclass(frozen=True)
class Ask:
    """Decompose an instruction and point at each subtask's target in an image."""

    instruction: Annotated[str, tyro.conf.Positional]
    image: Annotated[Path, tyro.conf.Positional]
    """What the camera sees."""
    vlm: str | None = None
    """Address of an OpenAI-compatible endpoint; without one the model runs here."""
    model: str = DEFAULT
    """Its name there, or on the hub, or a local folder."""
    device: str = "cpu"
    """Where a model that runs here is."""
    registry: Path | None = None
    """Task registry (YAML) that decomposes in place of the model."""
    out: Path | None = None
    """Write the image with the boxes here."""


def run_ask(command: Ask) -> int:
    """Print the subtasks and boxes; 1 where a target is not to be seen."""
    console = Console()
    try:
        picture = Image.open(command.image).convert("RGB")
    except (FileNotFoundError, UnidentifiedImageError):
        raise RainError(f"{command.image} is not there or no image") from None
    image = np.asarray(picture)
    registry = TaskRegistry.load(command.registry) if command.registry else None
    model: ChatModel = (
        Endpoint(EndpointOptions(command.vlm, command.model))
        if command.vlm
        else LocalModel.load(command.model, device=command.device)
    )
    chat = ChatReasoner(model)
    plan = (registry or chat).decompose(command.instruction, {"image": image})
    drawn, missing = ImageDraw.Draw(picture), 0
    for subtask, phrase in zip(plan.script.subtasks, plan.phrases, strict=True):
        box = chat.ground(subtask.target, phrase, Frame({"image": image}, 0.0)).get("image")
        missing += box is None
        where = "not to be seen"
        if isinstance(box, Box):
            where = ", ".join(f"{c:.0f}" for c in box.corners)
            drawn.rectangle(box.corners, outline=(255, 0, 0), width=2)
            drawn.text((box.left + 3, box.top + 1), str(subtask), fill=(255, 0, 0))
        console.print(f"{subtask.action_type} {phrase}: {where}", markup=False, highlight=False)
    if command.out:
        picture.save(command.out)
    return 1 if missing else 0
