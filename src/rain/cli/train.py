"""``rain train``: train a network on datasets, or continue a run."""

from __future__ import annotations

import argparse
import dataclasses

import tyro

from rain.training.config import TrainConfig
from rain.training.loop import train
from rain.training.recipes import recipe


def main(args: list[str]) -> int:
    """Run ``rain train``."""
    config = parse(args)
    result = train(config)
    if result.finished:
        print(f"trained in {result.seconds / 60:.1f} min; checkpoint: {result.checkpoint}")
    else:
        print(
            f"stopped in stage {result.stage} after step {result.step}; the same command "
            f"continues; checkpoint so far: {result.checkpoint}"
        )
        if config.stop_after_minutes is None:
            # By Ctrl-C, whose exit code the command line sets.
            raise KeyboardInterrupt
    return 0


def parse(args: list[str]) -> TrainConfig:
    """Read the options; the preset named among them decides the defaults of all others."""
    return tyro.cli(TrainConfig, prog="rain train", args=args, default=defaults(args))


def defaults(args: list[str]) -> TrainConfig:
    """The defaults of all options: those of the preset that is named among ``args``."""
    first = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    first.add_argument("--preset", default="rain-nano")
    known, _ = first.parse_known_args(args)
    return dataclasses.replace(recipe(known.preset), data=tyro.MISSING, out=tyro.MISSING)
