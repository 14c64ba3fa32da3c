"""What served policies mean by images, state and actions, as their own public code has it.

Each preset names the file it was read from. None of the checkpoints was run here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rain.types import HORIZON, RainError

Gripper = Literal["minus_opens", "zero_closes"]
"""minus_opens: −1 opens, +1 closes, as LIBERO has it. zero_closes: 0 closes, 1 opens, as in data
that went through RLDS; made ±1 by its sign about 0.5."""

PROPRIOCEPTION_DIM = 8


@dataclass(frozen=True)
class RemoteConventions:
    """What a served policy takes and gives.

    render_size: side of the world's images, pixels; sent_size: side of the images that are sent.
    mirrored: the policy was trained on LIBERO's images after a half turn. LIBERO's own are upside
        down, so a half turn makes them upright with left and right exchanged.
    images: view -> key. state: key -> numbers of LIBERO's proprioception, see
        ``LiberoWorld.proprioception``. instruction: key.
    gripper: what the last number of an action means.
    execute: actions that are executed before the next look, as the policy's own evaluation does.
    batched: arrays have a batch axis in front, as GR00T has from N1.6 on.
    source: where this was read.
    """

    name: str
    images: tuple[tuple[str, str], ...]
    state: tuple[tuple[str, tuple[int, ...]], ...]
    instruction: str
    gripper: Gripper
    execute: int
    source: str
    render_size: int = 256
    sent_size: int = 256
    mirrored: bool = True
    batched: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.execute <= HORIZON:
            raise RainError(f"execute: expected 1 to {HORIZON} steps, got {self.execute}")
        for name in ("render_size", "sent_size"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")

    def image(self, upright: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A view's upright image (S, S, 3) as the policy expects it, uint8."""
        turned = upright[:, ::-1] if self.mirrored else upright
        size = (self.sent_size, self.sent_size)
        if turned.shape[:2] != size:
            # LIBERO's images are square: openpi's resize-with-pad has nothing to pad.
            picture = Image.fromarray(np.ascontiguousarray(turned))
            turned = np.asarray(picture.resize(size, Image.Resampling.BILINEAR))
        return np.ascontiguousarray(turned)

    def actions(self, answered: NDArray) -> NDArray[np.float32]:
        """The policy's actions (n, 7) as LIBERO's: −1 opens, +1 closes."""
        actions = np.array(answered, dtype=np.float32)
        if self.gripper == "zero_closes":
            actions[:, -1] = np.where(actions[:, -1] > 0.5, -1.0, 1.0)
        return actions

    def changed(self, **changes: object) -> RemoteConventions:
        """A copy with some fields replaced; RainError where one does not fit."""
        return replace(self, **changes)  # type: ignore[arg-type]


_EIGHT = tuple(range(PROPRIOCEPTION_DIM))
"""End-effector position (3, scene's frame), axis-angle (3), both fingers' joints (2)."""

_SPLIT = tuple(
    (f"state.{name}", (index,))
    for index, name in enumerate(("x", "y", "z", "roll", "pitch", "yaw"))
) + (("state.gripper", (6, 7)),)

_OPENPI = RemoteConventions(
    name="openpi-libero",
    images=(("agentview", "observation/image"), ("wrist", "observation/wrist_image")),
    state=(("observation/state", _EIGHT),),
    instruction="prompt",
    gripper="minus_opens",
    execute=5,
    sent_size=224,
    source="Physical-Intelligence/openpi examples/libero/main.py",
)

_LEROBOT = RemoteConventions(
    name="lerobot-libero",
    images=(
        ("agentview", "observation.images.image"),
        ("wrist", "observation.images.image2"),
    ),
    state=(("observation.state", _EIGHT),),
    instruction="task",
    gripper="minus_opens",
    execute=10,
    source="huggingface/lerobot src/lerobot/envs/libero.py, processor/env_processor.py",
)

_GROOT = RemoteConventions(
    name="groot-n1.6-libero",
    images=(("agentview", "video.image"), ("wrist", "video.wrist_image")),
    state=_SPLIT,
    instruction="annotation.human.action.task_description",
    gripper="zero_closes",
    execute=8,
    batched=True,
    source="NVIDIA/Isaac-GR00T gr00t/eval/sim/LIBERO/libero_env.py, gr00t/policy/gr00t_policy.py",
)

_OFT = RemoteConventions(
    name="openvla-oft-libero",
    images=(("agentview", "full_image"), ("wrist", "wrist_image")),
    state=(("state", _EIGHT),),
    instruction="task_description",
    gripper="zero_closes",
    execute=8,
    source="moojink/openvla-oft experiments/robot/libero/libero_utils.py, run_libero_eval.py",
)

PRESETS = {
    preset.name: preset
    for preset in (
        _OPENPI,
        _LEROBOT,
        replace(_LEROBOT, name="smolvla-libero"),
        _GROOT,
        replace(
            _GROOT,
            name="groot-n1.5-libero",
            # Its evaluation looks after every step and executes the first action of the chunk.
            execute=1,
            batched=False,
            source="NVIDIA/Isaac-GR00T (n1.5) examples/Libero/eval/run_libero_eval.py",
        ),
        _OFT,
    )
}
"""Name -> conventions of a family of LIBERO checkpoints."""


def libero_wording(instruction: str) -> str:
    """An instruction as LIBERO's benchmark words its tasks, which served policies were trained on.

    The benchmark takes its words from the names of the scene files; the texts inside, which scripts
    quote, differ in case and in these words. Ours of LIBERO-EX end with a full stop.
    """
    text = instruction.lower().rstrip(".")
    for inside, outside in _WORDS:
        text = text.replace(inside, outside)
    return text


_WORDS = (
    ("pick the ", "pick up the "),
    ("akita black bowl", "black bowl"),
    ("cookies box", "cookie box"),
    ("top layer of the drawer", "top drawer"),
    ("top layer", "top drawer"),
    ("middle layer of the drawer", "middle drawer of the cabinet"),
    ("on the top of the drawer", "on top of the cabinet"),
    ("cream cheese on the bowl", "cream cheese in the bowl"),
)


def preset(name: str) -> RemoteConventions:
    """Find conventions by name; RainError lists those there are."""
    if name not in PRESETS:
        raise RainError(f"conventions {name!r} are unknown; there are {', '.join(PRESETS)}")
    return PRESETS[name]
