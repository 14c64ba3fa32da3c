"""``rain perception``: where regions come from when no simulator gives them."""

from __future__ import annotations

from rain.cli.perception_ask import Ask, run_ask
from rain.cli.perception_check import Check, run_check
from rain.cli.subcommands import run_subcommand


def main(args: list[str]) -> int:
    """Run ``rain perception SUBCOMMAND``."""
    return run_subcommand(
        args, "rain perception", {"check": (Check, run_check), "ask": (Ask, run_ask)}
    )
