"""What tests of the worlds share: scripts in short, LIBERO's scene files without a scene."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.libero import find_task
from rain.worlds.libero.rendering import choose_gl_backend


def script(*lines: str) -> TaskScript:
    """A TaskScript from lines like ``grasp milk_1``."""
    return TaskScript("as told", tuple(Subtask(*line.split(" ", 1)) for line in lines))


def scene_file(suite: str, index: int) -> dict[str, Any]:
    """A task's BDDL file as LIBERO itself parses it."""
    choose_gl_backend()
    with contextlib.redirect_stdout(io.StringIO()):
        from libero.libero.envs import bddl_utils
    return bddl_utils.robosuite_parse_problem(str(find_task(suite, index).bddl))


def start_regions(parsed: dict[str, Any]) -> dict[str, NDArray | None]:
    """Object or fixture -> lowest and highest xy (2, 2), m, of where it starts on the table.

    None where it starts in or on another thing.
    """
    regions: dict[str, NDArray | None] = {}
    for relation, name, *where in parsed["initial_state"]:
        if relation in ("on", "in"):
            ranges = parsed["regions"].get(where[0], {}).get("ranges")
            regions[name] = np.reshape(ranges[0], (2, 2)) if ranges else None
    return regions


def start_opened(parsed: dict[str, Any]) -> frozenset[str]:
    """What stands open at the start."""
    return frozenset(fact[1] for fact in parsed["initial_state"] if fact[0] == "open")
