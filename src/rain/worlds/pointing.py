"""Region following: which thing and place go with a target that is pointed at."""

from __future__ import annotations

from collections.abc import Sequence


def pair_with(pairs: Sequence[tuple[str, str]], target: str, turn: int) -> tuple[str, str] | None:
    """Pick of (thing, place) ``pairs`` one with ``target``; None where none has it.

    What is a thing and a place too is taken, or where it cannot be, gets something. ``turn`` goes
    through the pairs that there are.
    """
    for side in (0, 1):
        if found := [pair for pair in pairs if pair[side] == target]:
            return found[turn % len(found)]
    return None
