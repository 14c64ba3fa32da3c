"""Which episodes a run consists of, and what each of them asks for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from rain.bench.protocols import TaskWorld
from rain.bench.records import Target, Trial
from rain.types import RainError, TaskScript

Starts = Literal["official", "development", "fresh"]
"""official: the init states for evaluation; development: those beside them (LIBERO-EX has some)."""

FRESH_SEED = 1_000_000
"""First seed of fresh resets in evaluation: far from the small seeds of collecting."""

HORIZONS = {
    "libero_spatial": 220,
    "libero_object": 280,
    "libero_goal": 300,
    "libero_10": 520,
    "libero_90": 400,
}
"""Control steps an episode of each suite may take, as is usual for LIBERO. LIBERO-EX's tasks
declare their own."""

DEFAULT_HORIZON = 520


@dataclass(frozen=True)
class Assignment:
    """What a trial asks for in its world.

    init_state, seed: where it starts, one of them None. marked: the object marked first.
    goal: what success means. whole: what must never hold, the longer task's goal, or None.
    """

    script: TaskScript
    marked: str
    init_state: int | None
    seed: int | None
    goal: Callable[[], bool]
    whole: Callable[[], bool] | None = None


def assign(trial: Trial, world: TaskWorld, starts: Starts = "official") -> Assignment:
    """Resolve a trial; RainError when the scene has no such start or no other object."""
    development = world.development_state_count if starts == "development" else None
    first = 0 if development is None else world.init_state_count
    init_states = world.init_state_count if development is None else development
    if not init_states:
        raise RainError(f"{trial.suite} has no init states for development")
    if trial.target == "own":
        init_state, seed = _start(trial, init_states, starts, 1, first)
        script, goal = world.script, world.success
        whole = world.full_success if world.whole_fails else None
        return Assignment(script, marked_object(script), init_state, seed, goal, whole)
    if trial.target == "scene":
        return _assign_scene(trial, world, init_states, starts, first)
    others = other_objects(world)
    if not others:
        raise RainError(
            f"{trial.suite} task {trial.task}: the scene has no other object to point at"
        )
    init_state, seed = _start(trial, init_states, starts, len(others), first)
    script = world.script_for(others[_turn(trial, init_states, len(others))])
    # The task's own goal says nothing about the marked object.
    goal = partial(world.script_success, script)
    return Assignment(script, marked_object(script), init_state, seed, goal)


def _assign_scene(
    trial: Trial, world: TaskWorld, init_states: int, starts: Starts, first: int
) -> Assignment:
    """Point at the trial's object or place, or at the next that can be used in its start."""
    targets = world.pointed_at()
    init_state, seed = _start(trial, init_states, starts, max(len(targets), 1), first)
    world.reset(init_state=init_state, seed=seed)
    turn = _turn(trial, init_states, max(len(targets), 1))
    for target in [*targets[turn:], *targets[:turn]]:
        script = world.script_to(target, trial.episode)
        if script is not None:
            goal = partial(world.script_success, script)
            return Assignment(script, marked_object(script), init_state, seed, goal)
    raise RainError(
        f"{trial.suite} task {trial.task} episode {trial.episode}: nothing here can be put anywhere"
    )


def other_objects(world: TaskWorld) -> list[str]:
    """The graspable objects that the task's own script does not grasp, in a fixed order."""
    own = {s.target for s in world.script.subtasks if s.action_type == "grasp"}
    return sorted(set(world.graspable()) - own)


def marked_object(script: TaskScript) -> str:
    """The object that the script grasps first; its first target where it grasps nothing."""
    grasped = [s.target for s in script.subtasks if s.action_type == "grasp"]
    return grasped[0] if grasped else script.subtasks[0].target


def _turn(trial: Trial, init_states: int, objects: int) -> int:
    """Which other object an episode points at.

    Neighbouring episodes take neighbouring objects, so that any number of episodes covers them
    evenly; each further round over the init states is shifted by one, so that no pair of init state
    and object comes twice before all have come; tasks begin at different objects.
    """
    rounds, index = divmod(trial.episode, init_states)
    return (index + rounds + trial.task) % objects


def _start(
    trial: Trial, init_states: int, starts: Starts, objects: int, first: int
) -> tuple[int | None, int | None]:
    """Init state, counted from ``first``, and seed of an episode, one of them None."""
    if starts == "fresh":
        return None, FRESH_SEED + trial.episode
    if trial.episode >= init_states * objects:
        raise RainError(
            f"{trial.suite} task {trial.task} has {init_states * objects} different episodes: "
            f"give --episodes {init_states * objects} or fewer"
        )
    return first + trial.episode % init_states, None


def plan_trials(suite: str, tasks: Sequence[int], episodes: int, target: Target) -> list[Trial]:
    """The trials of a run: ``episodes`` for each task."""
    if episodes < 1:
        raise RainError(f"episodes: expected at least 1, got {episodes}")
    return [Trial(suite, task, episode, target) for task in tasks for episode in range(episodes)]


def parse_tasks(text: str, known: Collection[int], suite: str) -> list[int]:
    """Read ``all``, ``3`` or ``0,2,5``; RainError where a task is not among the ``known``."""
    if text == "all":
        return sorted(known)
    try:
        tasks = sorted({int(part) for part in text.split(",")})
    except ValueError:
        raise RainError(f"task: expected all, a number or 0,2,5, got {text!r}") from None
    for task in tasks:
        if task not in known:
            raise RainError(f"task {task}: {suite} has tasks {min(known)} to {max(known)}")
    return tasks


def policy_seed(trial: Trial, seed: int) -> int:
    """The seed of a trial's policy: the same whichever process runs it, and in which order."""
    target = ("own", "another", "scene").index(trial.target)
    words = [seed, trial.task, trial.episode, target]
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def horizon_of(suite: str) -> int:
    """Control steps that an episode of the suite may take; a variant's are its suite's."""
    found = [name for name in HORIZONS if suite == name or suite.startswith(f"{name}_")]
    return HORIZONS[max(found, key=len)] if found else DEFAULT_HORIZON
