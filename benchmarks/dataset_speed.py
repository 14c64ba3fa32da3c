"""Samples per second out of a dataset, by where they come from, and bytes per frame.

The same episodes are kept as PNG and as video. Each is read with images decoded (our reader, and
lerobot's own loader where ``make test-lerobot`` has made its environment), from unpacked
memory-mapped pixels and from the feature cache, as training does. A sample has the images of all
views, or their features, and the regions of its target; lerobot's has images and label maps. It
decodes videos with PyAV, through torchvision.
"""

from __future__ import annotations

import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from common import report
from training_speed import real_batches

from rain.demos.augment import AugmentOptions
from rain.demos.dataset import Dataset, DatasetWriter
from rain.demos.info import summarise
from rain.model import RainNet
from rain.training.config import TrainConfig
from rain.training.recipes import recipe

Reader = tuple[str, str, Callable[[], float]]
"""Storage, name, and what measures its samples per second."""

SIDE = Path(".venv-lerobot/bin/python")


@dataclass(frozen=True)
class Options:
    """Measure reading a dataset."""

    data: Path
    """Dataset folder."""
    episodes: int = 20
    """Take so many of its episodes, evenly."""
    backbone: str = "efficientnet-lite0"
    """Frozen backbone whose features are cached."""
    batch: int = 64
    """Samples in a batch."""
    seconds: float = 5.0
    """Time each reader for so long."""
    rounds: int = 3
    """Rounds over all readers; the median is reported, and the slowest and fastest."""
    threads: int = 1
    """CPU threads of torch."""
    lerobot: Path = SIDE
    """Python of an environment with lerobot; left out where there is none."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as scratch:
        folders = {
            storage: copy(options, storage, Path(scratch) / storage) for storage in ("png", "video")
        }
        readers = [
            reader for name, folder in folders.items() for reader in decoding(options, name, folder)
        ]
        readers += cached(options, folders["png"], Path(scratch) / "cache")
        rates = [[measure() for _, _, measure in readers] for _ in range(options.rounds)]
        rows = [
            {
                "storage": storage,
                "reader": reader,
                "samples/s": float(np.median(found)),
                "slowest": min(found),
                "fastest": max(found),
            }
            for (storage, reader, _), found in zip(readers, zip(*rates, strict=True), strict=True)
        ]
        report(f"samples per second from {options.data.name}", rows, options.json)
        sizes = [size_row(storage, folder) for storage, folder in folders.items()]
        report(
            f"bytes per frame of {options.data.name} (all views)",
            sizes,
            options.json and options.json.with_suffix(".bytes.json"),
        )


def copy(options: Options, storage: str, folder: Path) -> Path:
    """The same episodes in another storage."""
    source = Dataset.open(options.data)
    header = source.stores[0].header
    chosen = np.linspace(0, len(source) - 1, min(options.episodes, len(source))).astype(int)
    with DatasetWriter(
        folder, header.conventions, header.track, header.progress_alpha, storage
    ) as writer:
        for number, index in enumerate(chosen.tolist()):
            writer.append(source.episode(index), number)
    return folder


def decoding(options: Options, storage: str, folder: Path) -> Iterator[Reader]:
    yield storage, "ours, episode by episode", partial(episode_rate, options, folder)
    if not options.lerobot.exists():
        return
    for order in ("random", "sequential"):
        yield storage, f"lerobot, frames {order}", partial(lerobot_rate, options, folder, order)


def lerobot_rate(options: Options, folder: Path, order: str) -> float:
    script = Path(__file__).with_name("lerobot_loader.py")
    settings = (folder, order, options.batch, options.seconds, options.threads)
    command = [str(word) for word in (options.lerobot, script, *settings)]
    answer = subprocess.run(command, check=True, capture_output=True)
    return float(answer.stdout.splitlines()[-1])


def episode_rate(options: Options, folder: Path) -> float:
    """Whole episodes in random order, with every region a subtask of theirs names."""
    data, rng = Dataset.open(folder), np.random.default_rng(0)
    data.episode(0)
    start, samples = time.perf_counter(), 0
    while time.perf_counter() - start < options.seconds:
        episode = data.episode(int(rng.integers(len(data))))
        for frame in range(len(episode.frames)):
            episode.region(frame, episode.targets[0])
        samples += len(episode.frames)
    return samples / (time.perf_counter() - start)


def cached(options: Options, folder: Path, cache: Path) -> Iterator[Reader]:
    base = recipe("rain-nano")
    for name, backbone in (("unpacked pixels", "stem"), ("cached features", options.backbone)):
        size = Dataset.open(folder).conventions.image_size
        model = replace(
            base.model, backbone=backbone, stem_region=backbone == "stem", image_size=size
        )
        stage = replace(base.stage1, batch=options.batch)
        config: TrainConfig = replace(
            base, data=(folder,), model=model, stage1=stage, cache=cache, augment=AugmentOptions()
        )
        start = time.perf_counter()
        make = real_batches(config, RainNet(model), 1, cached=backbone != "stem")
        print(f"{name}: filled in {time.perf_counter() - start:.1f} s")
        yield "cache", f"ours, {name}", partial(batch_rate, options, make)


def batch_rate(options: Options, make: Callable[[int], Any]) -> float:
    make(0)
    start, step = time.perf_counter(), 0
    while time.perf_counter() - start < options.seconds:
        step += 1
        make(step)
    return step * options.batch / (time.perf_counter() - start)


def size_row(storage: str, folder: Path) -> dict[str, Any]:
    info = summarise([folder])
    sizes = {name: round(size) for name, size in info.bytes_per_frame.items()}
    return {"storage": storage, "episodes": info.episodes, "frames": info.frames, **sizes}


if __name__ == "__main__":
    main(tyro.cli(Options))
