"""The scripted expert: does a TaskScript with the skills, is pushed about, and recovers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rain.types import Policy, RainError, Subtask, TaskScript
from rain.worlds.demonstration import Attempt, Demonstration, ExpertError, Failure, Step, StuckError
from rain.worlds.libero.experts.layouts import (
    START_ROOM,
    LayoutMix,
    describe,
    sample_layout,
)
from rain.worlds.libero.experts.motion import CLOSED, OPEN, PATIENCE, Style
from rain.worlds.libero.experts.places import lies_in
from rain.worlds.libero.experts.scripts import ScriptMix, propose
from rain.worlds.libero.experts.skills import Skills
from rain.worlds.libero.goals import Predicate, goal_of
from rain.worlds.libero.regions import parse_target
from rain.worlds.libero.world import LiberoWorld

MakePolicy = Callable[[int], Policy]
"""seed -> policy."""

LED_CHUNK = 8
"""Steps of a policy's chunk that are executed while it leads, as in a rollout."""


@dataclass(frozen=True)
class ExpertConfig:
    """How demonstrations are varied.

    horizon: control steps a subtask may take, on average over the script.
    pushed: probability of a burst of random motion in a subtask; missed: probability that the
    hand first closes beside the object; both are recorded as disturbed steps, then recovery.
    led, led_steps: where a policy is given, probability that it begins a subtask, and for at most
    how many steps; those count as disturbed. The expert then goes on from where the policy came to
    (as in DAgger; Ross et al., 2011).
    """

    horizon: int = 200
    pushed: float = 0.5
    missed: float = 0.15
    led: float = 0.8
    led_steps: tuple[int, int] = (8, 120)
    mix: LayoutMix = field(default_factory=LayoutMix)
    scripts: ScriptMix = field(default_factory=ScriptMix)


def demonstrate(
    world: LiberoWorld,
    track: str,
    seed: int,
    config: ExpertConfig,
    make_policy: MakePolicy | None = None,
) -> Demonstration | Failure:
    """Record one demonstration of the world's scene; everything random comes from ``seed``.

    A policy, where one is given, begins some of the subtasks: see ``ExpertConfig.led``.
    """
    rng = np.random.default_rng(seed)
    if track == "protocol":
        world.reset(seed=int(rng.integers(2**31)))
        layout, script = describe(world, "regions"), world.script
    else:
        try:
            layout = sample_layout(world, rng, config.mix)
        except RainError as error:
            return Failure(seed, str(error))
        drawn = propose(world, rng, config.scripts)
        if drawn is None:
            return Failure(seed, "nothing in the layout can be acted on")
        script = drawn
    goal = frozenset(goal_of(script))
    for places in (layout, describe(world, layout.kind)):
        if (held_out := places.held_out(goal)) is not None:
            return Failure(seed, f"the layout with this goal is LIBERO-EX task {held_out}")
    skills = Skills(world, Style.sample(rng), script)
    if track == "open" and rng.random() < config.mix.moved_start:
        _move_start(world, skills, rng)
    attempted = Attempt(world.task, track, seed, script, layout.kind, world.fixture_poses())
    policy = make_policy(seed) if make_policy is not None else None
    try:
        steps = attempt(skills, script, rng, config, policy)
    except ExpertError as error:
        return attempted.recorded(error.steps, str(error))
    alone = all(disturbed for _, _, disturbed, _ in steps)
    reason = "the policy did it alone: nothing to correct" if alone else ""
    return attempted.recorded(steps, reason)


def attempt(
    skills: Skills,
    script: TaskScript,
    rng: np.random.Generator,
    config: ExpertConfig,
    policy: Policy | None = None,
    watch: Callable[[], None] | None = None,
) -> list[Step]:
    """Do ``script`` from the world's present state; ExpertError says why it failed.

    watch: called after every step, to judge what is done by other rules than these.

    Done is what holds at the end, or, where a thing was put somewhere and still is there, what held
    at some step, as LIBERO judges: some things sink a little further when they come to rest.
    The steps of a skill that got stuck and then tried another way count as disturbed.
    """
    world, steps, stalls = skills.world, list[Step](), 0
    goal, passed = set(goal_of(script)), set[Predicate]()
    try:
        for step in _run(skills, script, rng, config, policy):
            if skills.hand.stalls > stalls:
                stalls = skills.hand.stalls
                steps[-PATIENCE:] = [(s, a, True, index) for s, a, _, index in steps[-PATIENCE:]]
            steps.append(step)
            if watch is not None:
                watch()
            if not world.touched_by_both_fingers():
                passed |= goal - set(world.unmet(script))
    except StuckError as error:
        raise ExpertError(str(error), steps) from error
    if len(steps) >= config.horizon * len(script.subtasks):
        raise ExpertError("not done within the horizon", steps)
    unmet = [
        p for p in world.unmet(script) if p not in passed or not _still_there(world, script, p)
    ]
    if unmet:
        raise ExpertError("goal not reached: " + ", ".join(" ".join(p) for p in unmet), steps)
    return steps


def _still_there(world: LiberoWorld, script: TaskScript, predicate: Predicate) -> bool:
    """Say whether an object lies where one of the script's releases put it."""
    if predicate[0] not in ("in", "on"):
        return False
    places = [s.target for s in script.subtasks if s.action_type == "release"]
    return any(
        lies_in(world, predicate[1], place)
        for place in places
        if predicate[2] == parse_target(place).place
    )


def _run(
    skills: Skills,
    script: TaskScript,
    rng: np.random.Generator,
    config: ExpertConfig,
    policy: Policy | None,
) -> Iterator[Step]:
    """Act until the script is done, or the horizon."""
    world = skills.world
    actions = _actions(skills, script, rng, config, policy)
    limit = config.horizon * len(script.subtasks)
    for action, disturbed, subtask in itertools.islice(actions, limit):
        clipped = np.clip(action, -1, 1)
        before = world.get_state()
        world.step(clipped)
        yield before, clipped, disturbed, subtask


def _actions(
    skills: Skills,
    script: TaskScript,
    rng: np.random.Generator,
    config: ExpertConfig,
    policy: Policy | None,
) -> Iterator[tuple[NDArray, bool, int]]:
    world = skills.world
    for index, subtask in enumerate(script.subtasks):
        if policy is not None and rng.random() < config.led:
            for step in _lead(world, policy, subtask, int(rng.integers(*config.led_steps))):
                yield *step, index
            if subtask.action_type == "grasp" and world.held_object() == subtask.target:
                continue
        if subtask.action_type == "grasp" and rng.random() < config.missed:
            for step in _miss(world, skills, subtask, rng):
                yield *step, index
        push_at = int(rng.integers(3, 30)) if rng.random() < config.pushed else -1
        for number, action in enumerate(skills.do(subtask, index)):
            if number == push_at and _may_push(world, subtask):
                for push in _push(action, rng):
                    yield push, True, index
            yield action, skills.hand.mending, index


def _lead(
    world: LiberoWorld, policy: Policy, subtask: Subtask, steps: int
) -> Iterator[tuple[NDArray, bool]]:
    """Let the policy act; a grasp that has begun is left to it until it holds or is lost."""
    grasping = subtask.action_type == "grasp"
    for chunk in range(2 * steps // LED_CHUNK):
        touched = grasping and subtask.target in world.touched_by_both_fingers()
        if grasping and world.held_object() == subtask.target:
            return
        if chunk * LED_CHUNK >= steps and not touched:
            return
        prediction = policy.predict(world.observe(subtask))
        for action in prediction.action_chunk.actions[:LED_CHUNK]:
            yield np.asarray(action, dtype=np.float64), True


def _may_push(world: LiberoWorld, subtask: Subtask) -> bool:
    """No pushes while the fingers are about something that stands on the ground."""
    if subtask.action_type != "grasp":
        return True
    target, _ = world.object_pose(subtask.target)
    return bool(np.linalg.norm(world.ee_pose()[0] - target) > 0.10)


def _push(action: NDArray, rng: np.random.Generator) -> Iterator[NDArray]:
    """A burst of motion in a random direction; the gripper does what it did."""
    direction = rng.normal(size=3)
    direction *= rng.uniform(0.4, 1.0) / np.linalg.norm(direction)
    turn = rng.normal(0, 0.15, 3) * [0.3, 0.3, 1.0]
    for _ in range(int(rng.integers(3, 8))):
        yield np.concatenate([direction, turn, action[6:]])


def _miss(
    world: LiberoWorld, skills: Skills, subtask: Subtask, rng: np.random.Generator
) -> Iterator[tuple[NDArray, bool]]:
    """Close the hand above or beside the target, as a policy that misses it does."""
    angle, radius = rng.uniform(0, 2 * np.pi), rng.uniform(0.0, 0.05)
    beside = radius * np.array([np.cos(angle), np.sin(angle)])
    target, _ = world.object_pose(subtask.target)
    goal = target + [*beside, rng.uniform(0.09, 0.14)]
    for _ in range(50):
        if np.linalg.norm(goal - world.ee_pose()[0]) < 0.02:
            break
        yield skills.hand.toward(goal, None, OPEN), True
    for _ in range(int(rng.integers(6, 14))):
        yield skills.hand.toward(goal, None, CLOSED), True


def _move_start(world: LiberoWorld, skills: Skills, rng: np.random.Generator) -> None:
    """Bring the arm to another start, unrecorded."""
    room = np.array(START_ROOM)
    goal = rng.uniform(room[:, 0], room[:, 1])
    tops = [world.object_pose(n)[0][2] for n in world.objects()]
    goal[2] = max(goal[2], max(tops) + 0.12)
    yaw = rng.normal(0, 0.25)
    for _ in range(45):
        world.step(skills.hand.toward(goal, yaw, OPEN))
        if np.linalg.norm(goal - world.ee_pose()[0]) < 0.02:
            break
    for _ in range(4):
        world.step(skills.hand.toward(world.ee_pose()[0], None, OPEN))
