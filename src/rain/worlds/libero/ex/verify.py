"""Whether the frozen init states of LIBERO-EX are what they were, and fit the scenes made here."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from rain.types import RainError
from rain.worlds.libero.ex.checks import stirs, unfit
from rain.worlds.libero.ex.freeze import signature_of
from rain.worlds.libero.ex.states import (
    DEVELOPMENT,
    EVALUATION,
    FrozenStates,
    read_states,
    states_file,
    wrong_sum,
)
from rain.worlds.libero.ex.tasks import EX_SUITE, ExTask, ex_task
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.processes import run_jobs


@dataclass(frozen=True)
class VerifyReport:
    """One task's result; faults: one line each, none where all is well."""

    id: str
    states: int
    faults: tuple[str, ...]
    seconds: float


def verify(
    tasks: Sequence[ExTask], folder: Path, workers: int, scenes: bool = True
) -> Iterator[VerifyReport]:
    """Verify tasks and yield a report as each is done; without ``scenes`` only the files."""
    if not scenes:
        yield from (verify_task(task.id, folder, False) for task in tasks)
        return
    yield from run_jobs(verify_task, [(task.id, folder, True) for task in tasks], workers)


def verify_task(task_id: str, folder: Path, scenes: bool) -> VerifyReport:
    """Verify one task: checksum, declaration, model, and every state in the scene made anew."""
    began = time.perf_counter()
    task = ex_task(task_id)
    found, states = [], 0
    if (wrong := wrong_sum(folder, task.id)) is not None:
        found.append(wrong)
    else:
        frozen = read_states(states_file(folder, task.id))
        states = len(frozen.starts)
        found += file_faults(task, frozen)
        if scenes and not found:
            found += _scene_faults(task, folder, frozen)
    return VerifyReport(task.id, states, tuple(found), time.perf_counter() - began)


def file_faults(task: ExTask, frozen: FrozenStates) -> list[str]:
    """What is wrong with stored states that shows without a simulator."""
    found, starts = [], frozen.starts
    if (starts.evaluation, starts.development) != (EVALUATION, DEVELOPMENT):
        found.append(
            f"{starts.evaluation} + {starts.development} states instead of "
            f"{EVALUATION} + {DEVELOPMENT}"
        )
    if frozen.signature.bddl != task.digest():
        found.append("the states belong to another declaration of the scene, or another LIBERO")
    if len(np.unique(starts.states, axis=0)) != len(starts):
        found.append("two states are the same")
    return found


def _scene_faults(task: ExTask, folder: Path, frozen: FrozenStates) -> list[str]:
    world = LiberoWorld(EX_SUITE, int(task.id))
    world.task = replace(world.task, init_states=states_file(folder, task.id))
    try:
        made, stored = asdict(signature_of(world, task)), asdict(frozen.signature)
        different = [name for name in stored if made[name] != stored[name]]
        if different:
            return [f"the scene's model differs from the stored one: {', '.join(different)}"]
        return restored_faults(world, frozen)
    except RainError as error:
        return [str(error)]
    finally:
        world.close()


def restored_faults(world: LiberoWorld, frozen: FrozenStates) -> list[str]:
    """Restore every state in its world and look at it as when it was frozen."""
    found, reach = [], Reach(world)
    assert frozen.starts.fixture_poses is not None
    for number, (state, poses) in enumerate(
        zip(frozen.starts.states, frozen.starts.fixture_poses, strict=True)
    ):
        world.reset(init_state=number)
        if not np.array_equal(world.get_state(), state):
            found.append(f"state {number} is not restored to the bit")
        if not np.array_equal(world.fixture_poses(), poses):
            found.append(f"state {number}: fixtures are not restored to the bit")
        if (fault := unfit(world, reach)) is not None:
            found.append(f"state {number} is unfit: {fault}")
        if stirs(world):
            found.append(f"state {number} does not stay at rest")
    return found
