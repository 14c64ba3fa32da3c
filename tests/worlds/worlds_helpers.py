"""What tests of the worlds share: scripts in short, LIBERO's scene files without a scene."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.libero import find_task
from rain.worlds.rendering import choose_gl_backend


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


def freeze_and_spoil(number: int) -> dict[str, Any]:
    """In a process of its own, which may draw: freeze two states, verify them, spoil them.

    ok: faults of the states as they are; spoilt: name of what was spoilt -> faults; frozen: the
    states' shape, largest speed, and whether another run from the same samples gives the same.
    """
    from dataclasses import replace

    from rain.worlds.libero import LiberoWorld
    from rain.worlds.libero.ex.freeze import freeze_world
    from rain.worlds.libero.ex.states import FrozenStates
    from rain.worlds.libero.ex.tasks import ex_tasks
    from rain.worlds.libero.ex.verify import restored_faults

    task, world = ex_tasks()[number - 1], LiberoWorld("libero_ex", number)
    frozen = freeze_world(world, task, 1, 2)
    again = freeze_world(world, task, 1, 2)

    def faults(states: np.ndarray) -> list[str]:
        spoilt: FrozenStates = replace(frozen, starts=replace(frozen.starts, states=states))
        world._init_states = spoilt.starts
        return restored_faults(world, spoilt)

    states = frozen.starts.states
    lifted, finished = states.copy(), states.copy()
    # Of a scene with one microwave: a plate in the air, and the door shut, which is the goal.
    plate = world.model.joint(world.env.objects_dict["plate_1"].joints[-1]).qposadr[0]
    lifted[1, 1 + plate + 2] += 0.05
    finished[0, 1 + world.model.joint("microwave_1_microjoint").qposadr[0]] = 0.0
    result = {
        "shape": states.shape,
        "speed": float(np.abs(states[:, 1 + world.model.nq :]).max()),
        "same": np.array_equal(again.starts.states, states),
        "origins": frozen.origins.tolist(),
        "ok": faults(states),
        "lifted": faults(lifted),
        "finished": faults(finished),
    }
    world.close()
    return result
