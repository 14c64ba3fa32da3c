"""Observations and predictions as bytes, for pipes and sockets: msgpack, and never a pickle.

An array is an extension of msgpack's with its dtype, its shape and its memory (``encode``), or with
the number of a frame of its own that holds the memory (``to_frames``), which a socket sends without
another copy. Only truth values and numbers are read. The words are checked where they are rebuilt,
as everywhere (``rain.types``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import msgpack
import numpy as np
from numpy.typing import NDArray

from rain.types import (
    ActionChunk,
    Conventions,
    Look,
    Observation,
    Plan,
    Prediction,
    Progress,
    RainError,
)

ARRAY, FRAME = 1, 2
"""msgpack's codes of the extensions: an array with its memory, and one whose memory is a frame."""


DTYPES = ("|b1", "|u1", "<i4", "<i8", "<f4", "<f8")
"""What arrays may hold."""


class MessageError(RainError):
    """Bytes that are no message, or a message that is not what was asked for."""


def encode(value: Any) -> bytes:
    """Plain values, mappings with text keys, lists, arrays; MessageError for anything else."""
    return _packed(value, lambda a: msgpack.ExtType(ARRAY, _head(a) + a.tobytes()))


def decode(data: bytes) -> Any:
    """What ``encode`` got (tuples as lists); MessageError where the bytes are something else.

    Arrays are read-only views of ``data``.
    """
    return _unpacked(data, _array, ARRAY)


def to_frames(value: Any) -> list[bytes | memoryview]:
    """As ``encode``, with every array's memory in a frame of its own after the first."""
    frames: list[bytes | memoryview] = []

    def put(array: NDArray) -> msgpack.ExtType:
        frames.append(np.ascontiguousarray(array).data.cast("B") if array.size else b"")
        return msgpack.ExtType(FRAME, _head(array))

    return [_packed(value, put), *frames]


def from_frames(frames: Sequence[bytes | memoryview]) -> Any:
    """What ``to_frames`` got; MessageError where the frames are something else.

    Arrays take the frames in their order, and every frame must be taken.
    """
    if not frames:
        raise MessageError("not a message (no frame)")
    rest = iter(frames[1:])

    def take(head: tuple, inline: memoryview) -> NDArray:
        if len(inline):
            raise ValueError("an array of two places")
        return _array(head, memoryview(next(rest)))

    value = _unpacked(bytes(frames[0]), take, FRAME)
    if next(rest, None) is not None:
        raise MessageError("not a message (more frames than arrays)")
    return value


def observation_out(observation: Observation) -> dict[str, Any]:
    """An observation's fields, for ``encode``."""
    return {
        "images": dict(observation.images),
        "regions": dict(observation.regions),
        "state": observation.state,
        "action_type": observation.action_type,
        "instruction": observation.instruction,
        "proprioception": observation.proprioception,
    }


def observation_in(content: Any) -> Observation:
    """The observation with these fields; RainError where it is none."""
    known = _named(content, Observation, optional=("instruction", "proprioception"))
    reading = known.get("proprioception")
    if reading is not None and not isinstance(reading, np.ndarray):
        raise MessageError("Observation.proprioception: expected an array")
    if not isinstance(known.get("instruction", ""), str):
        raise MessageError("Observation.instruction: expected a text")
    return Observation(**known)


def prediction_out(prediction: Prediction) -> dict[str, Any]:
    """A prediction's fields, for ``encode``."""
    return {
        "actions": prediction.action_chunk.actions,
        "waypoints": prediction.plan.waypoints,
        **asdict(prediction.progress),
    }


def prediction_in(content: Any) -> Prediction:
    """The prediction with these fields; RainError where it is none."""
    names = {"actions", "waypoints", "completion", "distance", "alignment"}
    if not isinstance(content, Mapping) or set(content) != names:
        raise MessageError(f"expected a prediction, got {_shown(content)}")
    rest = dict(content)
    chunk, plan = ActionChunk(rest.pop("actions")), Plan(rest.pop("waypoints"))
    try:
        return Prediction(chunk, plan, Progress(**rest))
    except (TypeError, ValueError) as error:
        raise MessageError(f"expected a prediction's progress: {error}") from error


def look_out(look: Look) -> dict[str, Any]:
    """A look's fields, for ``encode``."""
    return {field.name: getattr(look, field.name) for field in fields(Look)}


def look_in(content: Any) -> Look:
    """The look with these fields; MessageError where it is none."""
    known = _named(content, Look)
    for view, region in known["regions"].items():
        if not isinstance(region, np.ndarray) or region.dtype != np.bool_ or region.ndim != 2:
            raise MessageError(f"Look.regions[{view}]: expected bool (H, W)")
    try:
        known["stamp"], known["notes"] = float(known["stamp"]), tuple(map(str, known["notes"]))
        for name in ("stamps", "scores"):
            known[name] = {str(view): float(number) for view, number in known[name].items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise MessageError(f"Look: {error}") from error
    if not known["stamps"].keys() & known["scores"].keys() >= known["regions"].keys():
        raise MessageError("Look: expected a stamp and a score of every region")
    if known["pause"] is not None and not isinstance(known["pause"], str):
        raise MessageError("Look.pause: expected a text or nothing")
    return Look(**known)


def conventions_out(conventions: Conventions) -> dict[str, Any]:
    """Conventions' fields, for ``encode``."""
    return asdict(conventions)


def conventions_in(content: Any) -> Conventions:
    """The conventions with these fields; RainError where they are none."""
    known = _named(content, Conventions)
    views, size = known["views"], known["image_size"]
    if not isinstance(views, list | tuple) or not all(isinstance(view, str) for view in views):
        raise MessageError("Conventions.views: expected names")
    if type(size) is not int or type(known["rate_hz"]) not in (int, float):
        raise MessageError("Conventions.image_size, rate_hz: expected numbers")
    if not isinstance(known["state"], str) or not isinstance(known["action"], str):
        raise MessageError("Conventions.state, action: expected names of a meaning")
    return Conventions(**known)


def _named(content: Any, kind: type, optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """The fields of a dataclass as a message has them; MessageError for missing or other ones."""
    known = {field.name for field in fields(kind)}
    what = kind.__name__
    if not isinstance(content, Mapping):
        raise MessageError(f"expected {what}, got {_shown(content)}")
    if strange := set(content) - known:
        raise MessageError(f"{what}: unknown fields {', '.join(sorted(map(str, strange)))}")
    if missing := known - set(content) - set(optional):
        raise MessageError(f"{what}: missing fields {', '.join(sorted(missing))}")
    for name in ("images", "regions"):
        if name in content and not isinstance(content[name], Mapping):
            raise MessageError(f"{what}.{name}: expected a mapping, got {_shown(content[name])}")
    return dict(content)


def _packed(value: Any, put: Callable[[NDArray], msgpack.ExtType]) -> bytes:
    def out(value: Any) -> Any:
        if isinstance(value, np.generic):
            return value.item()
        if not isinstance(value, np.ndarray):
            raise TypeError(f"{type(value).__name__} is no plain value and no array")
        if value.dtype.str not in DTYPES:
            raise TypeError(f"an array of {value.dtype}")
        return put(value)

    try:
        return msgpack.packb(value, default=out)
    except (TypeError, ValueError, OverflowError) as error:
        raise MessageError(f"this cannot be sent: {error}") from error


def _unpacked(data: bytes, take: Callable[[tuple, memoryview], NDArray], code: int) -> Any:
    def ext(found: int, inner: bytes) -> NDArray:
        if found != code:
            raise ValueError(f"unknown extension {found}")
        head = msgpack.Unpacker()
        head.feed(inner[:128])
        return take(head.unpack(), memoryview(inner)[head.tell() :])

    try:
        return msgpack.unpackb(data, ext_hook=ext)
    except Exception as error:  # msgpack raises a dozen unrelated types on broken input
        raise MessageError(f"not a message ({type(error).__name__}: {error})") from error


def _head(array: NDArray) -> bytes:
    return msgpack.packb((array.dtype.str, array.shape))


def _array(head: Any, memory: memoryview) -> NDArray:
    """An array from its dtype and shape and its memory, as a read-only view."""
    dtype, shape = head
    if dtype not in DTYPES or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"an array of {dtype!r} {shape!r}")
    if len(memory) != math.prod(shape) * np.dtype(dtype).itemsize:
        raise ValueError(f"{len(memory)} bytes are no {dtype} {shape}")
    return np.frombuffer(memory.toreadonly(), dtype).reshape(shape)


def _shown(content: Any) -> str:
    text = repr(content) if not isinstance(content, Mapping) else f"fields {sorted(content)}"
    return text if len(text) <= 80 else text[:77] + "..."
