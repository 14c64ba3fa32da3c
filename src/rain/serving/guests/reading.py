"""What clients of other protocols send, read as an Observation, and the answer in their words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rain.bench.remote.conventions import PROPRIOCEPTION_DIM, Gripper, preset
from rain.types import (
    ACTION_DIM,
    ACTION_TYPES,
    STATE_DIM,
    Conventions,
    Observation,
    Prediction,
    RainError,
)


@dataclass(frozen=True)
class GuestOptions:
    """What clients of other protocols mean, and where their regions come from."""

    conventions: str | None = None
    """What they mean by images, state and actions: a preset of docs/policies.md such as
    openpi-libero; by default the checkpoint's own, keys named by view (docs/serving.md)."""
    base: tuple[float, float, float] | None = None
    """Place of the robot's base in the frame of their positions, m: makes a state of LIBERO's 8
    numbers the checkpoint's 7. Without it such a state is refused."""
    empty_regions: bool = False
    """A client that sends no region means an empty one; otherwise that is refused."""
    masks: str | None = None
    """Address of a mask server (rain masks) that decomposes their instructions and gives regions
    to clients that send none. A token is taken from RAIN_TOKEN."""
    masks_curve: Path | None = None
    """Folder of a client's keys for the mask server."""
    patience: float = 20.0
    """Seconds that a client waits for its target to be grounded, then it gets an error."""
    host: str = "127.0.0.1"
    """Where these ports listen. Anything but this machine's loopback needs RAIN_TOKEN."""

    def __post_init__(self) -> None:
        if self.patience <= 0:
            raise RainError(f"patience: expected more than 0 s, got {self.patience}")
        if self.conventions is not None:
            preset(self.conventions)


@dataclass(frozen=True)
class Keys:
    """Where a protocol has what RAIN needs.

    images: view -> key. state: keys, in order. region: key with {view} in it. actions: key -> the
    numbers of an action under it. mirrored, gripper: see ``RemoteConventions``.
    """

    images: tuple[tuple[str, str], ...]
    state: tuple[str, ...]
    region: str
    instruction: str
    actions: tuple[tuple[str, tuple[int, ...]], ...]
    mirrored: bool = False
    gripper: Gripper = "minus_opens"

    action_type: str = "action_type"


def openpi_keys(conventions: Conventions, options: GuestOptions) -> Keys:
    """openpi's keys: ``observation/image``, or by view where no preset is named."""
    images = tuple((view, f"observation/{view}") for view in conventions.views)
    whole = (("actions", tuple(range(ACTION_DIM))),)
    keys = Keys(images, ("observation/state",), "observation/region/{view}", "prompt", whole)
    return keys if options.conventions is None else _of_preset(keys, options.conventions)


def groot_keys(conventions: Conventions, options: GuestOptions) -> Keys:
    """GR00T's keys: ``video.image``, or by view where no preset is named."""
    images = tuple((view, f"video.{view}") for view in conventions.views)
    state = ("state.single_arm", "state.gripper")
    arm = (("action.single_arm", tuple(range(ACTION_DIM - 1))), ("action.gripper", (6,)))
    keys = Keys(images, state, "region.{view}", "annotation.human.task_description", arm)
    if options.conventions is None:
        return keys
    names = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
    single = tuple((f"action.{name}", (number,)) for number, name in enumerate(names))
    keys = Keys(keys.images, keys.state, keys.region, keys.instruction, single)
    return _of_preset(keys, options.conventions)


def _of_preset(keys: Keys, name: str) -> Keys:
    means = preset(name)
    state = tuple(key for key, _ in means.state)
    return Keys(
        means.images, state, keys.region, means.instruction, keys.actions, means.mirrored,
        means.gripper,
    )  # fmt: skip


@dataclass(frozen=True)
class Reader:
    """Reads flat mappings of arrays and texts; RainError says what is missing or wrong."""

    keys: Keys
    conventions: Conventions
    options: GuestOptions

    def observation(
        self, sent: Mapping[str, Any], regions: Mapping[str, NDArray], action_type: str
    ) -> Observation:
        """The observation with these regions, which fit the images that ``images`` gives."""
        return Observation(self.images(sent), regions, self.state(sent), action_type)

    def images(self, sent: Mapping[str, Any]) -> dict[str, NDArray[np.uint8]]:
        """View -> upright image (S, S, 3), uint8, S the checkpoint's size."""
        found = {}
        for view, key in self.keys.images:
            if view not in self.conventions.views:
                continue
            image = _array(sent, key)
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
                raise RainError(f"{key}: expected uint8 (H, W, 3), got {image.dtype} {image.shape}")
            found[view] = self._fitted(key, image, Image.Resampling.BILINEAR)
        return found

    def regions(self, sent: Mapping[str, Any]) -> dict[str, NDArray] | None:
        """View -> region (S, S) as they were sent; None where there is none of any view."""
        found = {}
        for view in self.conventions.views:
            key = self.keys.region.format(view=view)
            if key in sent:
                region = _array(sent, key)
                while region.ndim > 2 and region.shape[0] == 1:
                    region = region[0]
                if region.ndim != 2:
                    raise RainError(f"{key}: expected (H, W), got {region.shape}")
                soft = region.dtype.kind == "f"
                plain = region.astype(np.float32) if soft else region != 0
                found[view] = self._fitted(key, plain, Image.Resampling.NEAREST)
        return found or None

    def action_type(self, sent: Mapping[str, Any]) -> str:
        """The action type that was sent; RainError where there is none."""
        said = text_of(sent.get(self.keys.action_type))
        if not said:
            raise RainError(f"{self.keys.action_type} is missing: one of {', '.join(ACTION_TYPES)}")
        return said

    def instruction(self, sent: Mapping[str, Any]) -> str:
        """The task's words; "" where there are none."""
        return text_of(sent.get(self.keys.instruction))

    def state(self, sent: Mapping[str, Any]) -> NDArray[np.float32]:
        """The state (7,) in the checkpoint's meaning."""
        parts = [_array(sent, key) for key in self.keys.state]
        if any(part.dtype.kind not in "fiu" for part in parts):
            raise RainError(f"{', '.join(self.keys.state)}: expected numbers")
        state = np.concatenate([part.ravel() for part in parts]).astype(np.float64)
        if state.shape == (STATE_DIM,):
            return state.astype(np.float32)
        if state.shape != (PROPRIOCEPTION_DIM,):
            raise RainError(
                f"{', '.join(self.keys.state)}: expected {STATE_DIM} numbers, got {len(state)}"
            )
        if self.options.base is None:
            raise RainError(
                "the state has LIBERO's 8 numbers, in the scene's frame: give the server the "
                "place of the robot's base in it (--guests.base X Y Z), or send RAIN's 7"
            )
        position, fingers = state[:3] - np.asarray(self.options.base), state[6] - state[7]
        return np.concatenate([position, shortest(state[3:6]), [fingers]]).astype(np.float32)

    def answer(self, prediction: Prediction) -> dict[str, NDArray[np.float32]]:
        """Key -> the 16 actions' numbers (16, n), with the clients' gripper."""
        actions = np.array(prediction.action_chunk.actions)
        if self.keys.gripper == "zero_closes":
            actions[:, -1] = np.where(actions[:, -1] > 0, 0.0, 1.0)
        return {key: np.ascontiguousarray(actions[:, list(n)]) for key, n in self.keys.actions}

    def _fitted(self, key: str, picture: NDArray, resampling: Image.Resampling) -> NDArray:
        """Upright, not mirrored, in the checkpoint's size."""
        height, width = picture.shape[:2]
        size = self.conventions.image_size
        if height != width:
            raise RainError(f"{key}: expected a square image, got {height} x {width}")
        turned = picture[:, ::-1] if self.keys.mirrored else picture
        if height == size:
            return np.ascontiguousarray(turned)
        mask = turned.dtype == np.bool_
        plain = np.ascontiguousarray(turned.astype(np.uint8) if mask else turned)
        resized = np.asarray(Image.fromarray(plain).resize((size, size), resampling))
        return resized.astype(bool) if mask else resized


def text_of(value: Any) -> str:
    """A text, or the only one in lists around it, as GR00T's batches are."""
    while isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else ""


def shortest(axis_angle: NDArray) -> NDArray:
    """The same rotation (3,) by an angle of at most π, as RAIN's state has it."""
    angle = float(np.linalg.norm(axis_angle))
    return axis_angle if angle <= np.pi else axis_angle * (1 - 2 * np.pi / angle)


def _array(sent: Mapping[str, Any], key: str) -> NDArray:
    if key not in sent:
        there = ", ".join(sorted(map(str, sent))) or "nothing"
        raise RainError(f"{key} is missing; sent were {there[:300]}")
    value = np.asarray(sent[key])
    if value.dtype.kind not in "biuf" or not value.size:
        raise RainError(f"{key}: expected an array of numbers")
    return value
