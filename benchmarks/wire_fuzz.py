"""Feeds the wire's decoders with broken messages; anything but a refusal in one line is a crash.

Real messages are cut, changed, doubled, dropped and put out of order, headers are written with
strange arrays, and bytes are drawn; what is read goes on to the checks of its words.
"""

from __future__ import annotations

import random
import resource
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import tyro

from rain.bench.remote import groot, openpi
from rain.client.wire import Message, read
from rain.messages import (
    FRAME,
    conventions_in,
    look_in,
    look_out,
    observation_in,
    observation_out,
    prediction_in,
    prediction_out,
)
from rain.types import (
    ActionChunk,
    Look,
    Observation,
    Plan,
    Prediction,
    Progress,
    RainError,
)

DTYPES = ("|u1", "<f4", "<f8", "|b1", "<i8", "|O", "<U4", "<M8[s]", ">f4", "", 3, None)
WORDS = (
    ("images", "regions", "state", "action_type"),
    ("images", "regions", "state", "action_type", "instruction", "proprioception"),
    ("stamp", "regions", "stamps", "scores", "pause", "notes"),
    ("actions", "waypoints", "completion", "distance", "alignment"),
    ("views", "image_size", "state", "action", "rate_hz"),
    ("wrist", "top"),
)


@dataclass(frozen=True)
class Options:
    """Try many inputs and count what they did."""

    inputs: int = 200_000
    """Inputs to try."""
    seed: int = 0
    """Other seeds try others."""


def main(options: Options) -> int:
    draw = random.Random(options.seed)
    targets = _targets()
    counts = {name: [0, 0, 0] for name in targets}  # read, refused, crashed
    np.seterr(all="ignore")  # what is read is strange on purpose
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    for _ in range(options.inputs):
        name = draw.choice(list(targets))
        seeds, decode = targets[name]
        how = draw.random()
        frames = (
            _broken(draw, draw.choice(seeds)) if how < 0.5
            else _made(draw) if how < 0.7
            else [bytes(f) for f in Message("predict", 1, _value(draw, 0, _array)).frames()]
        )  # fmt: skip
        try:
            decode(frames)
            counts[name][0] += 1
        except RainError:
            counts[name][1] += 1
        except Exception:
            counts[name][2] += 1
            if counts[name][2] <= 3:
                print(f"{name}: {[bytes(f)[:40] for f in frames[:4]]}")
                traceback.print_exc()
    took = time.perf_counter() - start
    for name, (fine, refused, crashed) in counts.items():
        print(f"{name:12} read {fine:8}  refused {refused:8}  crashes {crashed}")
    crashes = sum(crashed for _, _, crashed in counts.values())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"inputs {options.inputs}, crashes {crashes}, {took:.0f} s, at most {peak} MiB")
    return 1 if crashes else 0


def _targets() -> dict[str, tuple[list[list[bytes]], Callable[[list[bytes]], Any]]]:
    """Name -> real messages as frames, and what reads them."""
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
    seen = Observation({"top": image}, {"top": image[..., 0] > 99}, np.zeros(7), "grasp")
    told = Prediction(ActionChunk(np.zeros((16, 7))), Plan(np.zeros((8, 3))), Progress(0, 0, 0))
    look = Look(1.0, {"top": image[..., 0] > 99}, {"top": 1.0}, {"top": 0.5}, None, ("a",))
    contents = (observation_out(seen), prediction_out(told), look_out(look))
    messages = [[bytes(f) for f in Message("predict", 7, content).frames()] for content in contents]
    flat = {"observation/image": image, "observation/state": np.zeros(8), "prompt": "go"}

    def wire(frames: list[bytes]) -> None:
        content, words = read(frames).content, 0
        for reader in (observation_in, prediction_in, look_in, conventions_in):
            try:
                reader(content)
                words += 1
            except RainError:
                continue
        if not words:
            raise RainError("none of our words")

    return {
        "wire": (messages, wire),
        "openpi": ([[openpi.pack(flat)]], lambda frames: openpi.unpack(frames[0])),
        "gr00t": ([[groot.pack(flat)]], lambda frames: groot.unpack(frames[0])),
    }


def _broken(draw: random.Random, frames: list[bytes]) -> list[bytes]:
    frames = list(frames)
    for _ in range(draw.randint(1, 4)):
        i, how = draw.randrange(len(frames)), draw.randrange(6)
        frame = frames[i]
        at = draw.randrange(len(frame) + 1)
        if how == 0:
            frames[i] = frame[:at]
        elif how == 1:
            frames[i] = frame[:at] + draw.randbytes(draw.randint(0, 4)) + frame[at + 1 :]
        elif how == 2:
            frames.insert(i, frame)
        elif how == 3 and len(frames) > 1:
            del frames[i]
        elif how == 4:
            draw.shuffle(frames)
        else:
            other = draw.randrange(len(frame) + 1)
            frames[i] = frame[:at] + frame[other:]
    return frames


def _made(draw: random.Random) -> list[bytes]:
    """A header with arrays that cannot be, or bytes."""
    if draw.random() < 0.3:
        return [draw.randbytes(draw.randint(0, 40)) for _ in range(draw.randint(1, 4))]
    version, number = draw.choice([1, 1, 1, 2, "1"]), draw.randint(-2, 9)
    header = msgpack.packb([version, "predict", number, _value(draw, 0, _head)])
    return [header, *[draw.randbytes(draw.randint(0, 16)) for _ in range(2)]]


def _value(draw: random.Random, depth: int, array: Callable[[random.Random], Any]) -> Any:
    """What a message may hold, often by the names of our words; ``array`` makes its arrays."""
    kind = draw.randrange(8 if depth < 5 else 5)
    if depth == 0 or kind >= 6:
        names = draw.choice(WORDS)
        return {name: _value(draw, depth + 1, array) for name in names if draw.random() < 0.97}
    if kind == 0:
        return draw.choice([None, True, 2**63, -1, 0.5, float("nan"), 1e308, "grasp", b"x"])
    if kind in (1, 2):
        return array(draw)
    if kind in (3, 4):
        return draw.choice(["push", "wrist", "∞", ""])
    return [_value(draw, depth + 1, array) for _ in range(draw.randint(0, 4))]


def _head(draw: random.Random) -> msgpack.ExtType:
    """An array's head with any type and shape."""
    shape = [draw.choice([0, 1, 2, 7, -1, 2**31, 2**62]) for _ in range(draw.randint(0, 4))]
    head = msgpack.packb((draw.choice(DTYPES), [1] * 70 if draw.random() < 0.1 else shape))
    return msgpack.ExtType(draw.choice([FRAME, 1, 5]), head + draw.randbytes(draw.choice([0, 4])))


def _array(draw: random.Random) -> np.ndarray:
    """An array that can be, of a type and shape that our words have or have not."""
    shape = draw.choice([(), (0,), (7,), (6, 6), (6, 6, 3), (16, 7), (8, 3), (6, 5), (1, 6, 6, 3)])
    dtype = draw.choice(["|b1", "|u1", "<i4", "<f4", "<f8"])
    return np.full(shape, draw.choice([0, 1, 300, -1, np.nan, np.inf]), "<f8").astype(dtype)


if __name__ == "__main__":
    raise SystemExit(main(tyro.cli(Options)))
