"""The scripted expert of the arm: does a TaskScript by joint targets, is pushed, and recovers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError, TaskScript
from rain.worlds.demonstration import (
    TRACKS,
    Attempt,
    Demonstration,
    ExpertError,
    Failure,
    Step,
    StuckError,
)
from rain.worlds.libero.experts.demonstrate import ExpertConfig
from rain.worlds.omy.hand import Style
from rain.worlds.omy.layouts import sample_layout
from rain.worlds.omy.skills import Skills
from rain.worlds.omy.tasks import one_after_another, put_on
from rain.worlds.omy.world import OmyWorld

SETTLE = 10
"""Steps in which the hand holds still after the script, and what it released comes to rest."""
PUSH_SPEED = (0.004, 0.010)
"""m a step, of a push."""
PUSH_STEPS = (3, 8)
LONGER = 0.5
"""Share of scripts of the open track that put two things away, where a scene has two places."""
CLEAR = 0.10
"""m; a hand that is lower is not pushed, or it would hit what it is about to grasp."""


def demonstrate(world: OmyWorld, track: str, seed: int, config: ExpertConfig) -> (
    Demonstration | Failure
):  # fmt: skip
    """Record one demonstration; everything random comes from ``seed``.

    track: protocol does the task's own script, open any sensible one of its scene; both in layouts
    of their own. Of ``config`` only ``horizon`` and ``pushed`` count here.
    """
    if track not in TRACKS:
        raise RainError(f"track {track!r} is unknown; known: {', '.join(TRACKS)}")
    # Layouts of evaluation are drawn from a single number: no demonstration has one of them.
    rng = np.random.default_rng([seed, 1])
    world.arrange(sample_layout(world.task.things, rng))
    script = world.script if track == "protocol" else propose(world, rng)
    attempted = Attempt(world.task, track, seed, script, "random")
    try:
        return attempted.recorded(attempt(world, script, rng, config))
    except ExpertError as error:
        return attempted.recorded(error.steps, str(error))


def propose(world: OmyWorld, rng: np.random.Generator) -> TaskScript:
    """Draw a script: any thing that can be grasped, onto any other that has room for it.

    Where there are two places, one script in two then goes on with another thing and place:
    retargeting needs later subtasks in the same episode.
    """
    pairs = [
        (thing, place) for thing in world.graspable() for place in world.places() if thing != place
    ]
    first = pairs[int(rng.integers(len(pairs)))]
    others = [pair for pair in pairs if not {*pair} & {*first}]
    if not others or rng.random() >= LONGER:
        return put_on(*first)
    return one_after_another(put_on(*first), put_on(*others[int(rng.integers(len(others)))]))


def attempt(
    world: OmyWorld,
    script: TaskScript,
    rng: np.random.Generator,
    config: ExpertConfig,
    watch: Callable[[], None] | None = None,
) -> list[Step]:
    """Do ``script`` from the world's present state; ExpertError says why it failed.

    watch: called after every step, e.g. to film.
    """
    steps: list[Step] = []
    try:
        for action, disturbed, index in expert_actions(world, script, rng, config):
            steps.append((world.get_state(), action, disturbed, index))
            world.step(action)
            if watch is not None:
                watch()
            if len(steps) >= config.horizon * len(script.subtasks):
                raise ExpertError("not done within the horizon", steps)
    except StuckError as error:
        raise ExpertError(str(error), steps) from error
    if not world.script_success(script):
        raise ExpertError("goal not reached", steps)
    return steps


def expert_actions(
    world: OmyWorld, script: TaskScript, rng: np.random.Generator, config: ExpertConfig
) -> Iterator[tuple[NDArray[np.float64], bool, int]]:
    """Actions (7,) rad, whether each is a disturbance, and the subtask at work.

    Each must be executed before the next is asked for. StuckError where the arm cannot go on.
    """
    skills = Skills(world, Style.sample(rng), rng)
    for index, subtask in enumerate(script.subtasks):
        push_at = int(rng.integers(3, 30)) if rng.random() < config.pushed else -1
        for number, action in enumerate(skills.do(subtask)):
            yield action, False, index
            if number == push_at and world.ee_pose()[0][2] > CLEAR:
                for push in _push(skills, rng):
                    yield push, True, index
    last = len(script.subtasks) - 1
    for _ in range(SETTLE):
        yield np.append(skills.hand.joints, skills.hand.gripper), False, last


def _push(skills: Skills, rng: np.random.Generator) -> Iterator[NDArray[np.float64]]:
    """A burst of motion in a random direction, not downwards; the gripper does what it did."""
    direction = rng.normal(size=3)
    direction[2] = abs(direction[2])
    direction *= rng.uniform(*PUSH_SPEED) / np.linalg.norm(direction)
    for _ in range(int(rng.integers(*PUSH_STEPS))):
        yield skills.hand.pushed(direction)
