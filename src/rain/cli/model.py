"""``rain model describe PRESET [--json]``: the parameters of a preset, by part."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Annotated

import tyro

from rain.model import describe, preset


@dataclass(frozen=True)
class Describe:
    """Print the parameters of a preset by part; nothing is downloaded."""

    preset: Annotated[str, tyro.conf.Positional]
    """rain-l, rain-s or rain-nano."""
    json: bool = False
    """Print JSON instead of a table."""


def main(args: list[str]) -> int:
    """Run ``rain model``."""
    # One subcommand today: the wrapper keeps its name on the command line.
    command = tyro.extras.subcommand_cli_from_dict(
        {"describe": Describe}, args=args, prog="rain model"
    )
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
