"""``rain model describe``: a preset's parameters; ``rain model export``: a smaller checkpoint."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rain.cli.subcommands import run_subcommand
from rain.model import describe, load_checkpoint, preset
from rain.model.checkpoint import save_checkpoint


@dataclass(frozen=True)
class Describe:
    """Print the parameters of a preset by part; nothing is downloaded."""

    preset: Annotated[str, tyro.conf.Positional]
    """rain-l, rain-s or rain-nano."""
    json: bool = False
    """Print JSON instead of a table."""


@dataclass(frozen=True)
class Export:
    """Write a checkpoint again with bf16 weights, half the size, to ship or to send."""

    checkpoint: Annotated[Path, tyro.conf.Positional]
    """Folder of a checkpoint."""
    out: Annotated[Path, tyro.conf.Positional]
    """Folder to write."""


def main(args: list[str]) -> int:
    """Run ``rain model SUBCOMMAND``."""
    return run_subcommand(
        args, "rain model", {"describe": (Describe, _describe), "export": (Export, _export)}
    )


def _export(command: Export) -> int:
    found = load_checkpoint(command.checkpoint)
    save_checkpoint(
        command.out, found.net, found.normaliser, found.conventions, found.extra, dtype="bfloat16"
    )
    size = sum(file.stat().st_size for file in command.out.iterdir())
    print(f"{command.out}: {size / 1e6:.1f} MB")
    return 0


def _describe(command: Describe) -> int:
    config = preset(command.preset)
    parts = describe(config)
    total, trainable = sum(p.total for p in parts), sum(p.trainable for p in parts)
    if command.json:
        report = {
            "preset": command.preset,
            "parts": [asdict(part) for part in parts],
            "total": total,
            "trainable": trainable,
            "config": config.to_dict(),
        }
        print(json.dumps(report, indent=2))
        return 0
    print(f"{'part':<20}{'total':>14}{'trainable':>14}")
    for part in parts:
        print(f"{part.part:<20}{part.total:>14,}{part.trainable:>14,}")
    print(f"{'total':<20}{total:>14,}{trainable:>14,}")
    return 0
