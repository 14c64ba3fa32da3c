"""Pixels on disk: PNG bytes, and H.264 videos of which each episode is a stretch."""

from __future__ import annotations

import io
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray
from PIL import Image

from rain.types import RainError

GOP = 2
"""Frames between key frames: random access decodes two frames at most, as LeRobot has it."""
CRF = 18
"""x264's quality: lower is better and larger."""


def encode_png(image: NDArray[np.uint8]) -> bytes:
    """Compress an image (S, S, 3) or a label map (S, S), without loss."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, format="PNG", compress_level=6)
    return buffer.getvalue()


def decode_png(data: bytes | None, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Undo ``encode_png``; ValueError where it is none, or not of that shape."""
    if not data:
        raise ValueError("there is no image")
    try:
        with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
            array = np.asarray(image)
    except (OSError, SyntaxError) as error:
        raise ValueError(f"not a readable PNG: {error}") from error
    if array.shape != shape or array.dtype != np.uint8:
        raise ValueError(f"expected uint8 {shape}, got {array.dtype} {array.shape}")
    return array


def encode_video(path: Path, frames: NDArray[np.uint8], fps: float) -> None:
    """Write frames (T, S, S, 3) as H.264 with a key frame every second frame."""
    rate = Fraction(fps).limit_denominator(1000)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        # Without B-frames packets stand in the order of frames, and videos can be joined.
        stream.options = {"g": str(GOP), "crf": str(CRF), "bf": "0"}
        for image in frames:
            for packet in stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def join_videos(parts: Sequence[Path], path: Path, fps: float) -> list[int]:
    """Join videos without coding them again; returns the frames of each."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tick = 1 / Fraction(fps).limit_denominator(1000)
    lengths: list[int] = []
    with av.open(str(path), "w") as out:
        target = None
        for part in parts:
            with av.open(str(part)) as source:
                stream = source.streams.video[0]
                target = target or out.add_stream_from_template(stream)
                before = sum(lengths)
                packets = [packet for packet in source.demux(stream) if packet.size]
                for number, packet in enumerate(packets):
                    packet.stream = target
                    packet.time_base = tick
                    packet.pts = packet.dts = before + number
                    packet.duration = 1
                    out.mux(packet)
                lengths.append(len(packets))
    return lengths


def decode_video(path: Path, start: float, count: int, fps: float, size: int) -> NDArray[np.uint8]:
    """Read ``count`` frames from ``start`` seconds on: uint8 (count, S, S, 3).

    RainError names a video that is missing, damaged or too short.
    """
    found = np.empty((count, size, size, 3), np.uint8)
    first, seen = round(start * fps), 0
    # One for all frames: VideoFrame.to_ndarray makes a new one each time, which costs more than
    # decoding does.
    colours = VideoReformatter()
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            assert stream.time_base is not None
            container.seek(int(start / stream.time_base), stream=stream)
            for frame in container.decode(stream):
                number = round((frame.time or 0.0) * fps) - first
                if 0 <= number < count:
                    found[number] = colours.reformat(frame, format="rgb24").to_ndarray()
                    seen += 1
                if number >= count - 1:
                    break
    except (av.FFmpegError, OSError, IndexError, ValueError) as error:
        raise RainError(
            f"{path}: not a readable video ({error}); restore it or make the dataset again"
        ) from error
    if seen != count:
        raise RainError(f"{path}: {seen} of {count} frames from {start:.2f} s on are there")
    return found
