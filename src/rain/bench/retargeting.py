"""Whether retargeted interactions work in physics: references executed from displaced starts.

A reference is a subtask of a scripted demonstration in its own scene. Its start is displaced, the
approach synthesised and executed, then the recorded actions; what counts is whether the subtask's
own aim is reached. Every mode is tried from the same starts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rain.bench.displaced import KINDS, Start, displace, remember_gripper
from rain.demos.annotate import Trace, aim_holds, annotate, trace
from rain.retarget import (
    DeltaController,
    Reference,
    References,
    RetargetOptions,
    Trajectories,
    synthesise,
)
from rain.retarget.options import Mode
from rain.types import ACTION_TYPES, RainError, SubtaskSpan
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero.experts.demonstrate import ExpertConfig, demonstrate
from rain.worlds.libero.experts.motion import rotation_vector
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.suites import SUITES, find_task, suite_tasks
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.processes import stream_jobs

CALM = ExpertConfig(pushed=0.0, missed=0.0)
PER_REFERENCE = 4
"""Starts that one reference is tried from."""
REFERENCES = 40
"""Demonstrations of one scene that are made at most."""
SETTLE = 12
"""Steps, at most, in which a hand that trails behind comes to the junction."""
NEAR = (0.005, 0.06)
"""m, rad from the junction at which it is there."""
AFTER = 10
"""Recorded steps past the subtask's end that are executed too: a lift may end a little later."""


@dataclass(frozen=True)
class RetargetTrials:
    """How ``rain retarget check`` tries modes; every mode gets the same starts."""

    suite: str = "all"
    trials: int = 40
    """Starts for each action type, in fours: half of them about the reference's start, half about
    the interaction point."""
    modes: tuple[Mode, ...] = ("rrs", "linear", "mimicgen", "none")
    types: tuple[str, ...] = ACTION_TYPES
    seed: int = 0
    workers: int = 2
    correct: bool = False
    """Ours: the recorded actions also bring the hand back onto the reference, which the approach
    misses by some mm; without it they are replayed unchanged, as in the paper. It is nothing for
    mode none, which knows no path."""
    options: RetargetOptions = field(default_factory=RetargetOptions)

    def __post_init__(self) -> None:
        if self.trials < 1 or self.workers < 1:
            raise RainError("trials and workers must be at least 1")
        for kind in self.types:
            if kind not in ACTION_TYPES:
                raise RainError(f"types: expected some of {', '.join(ACTION_TYPES)}, not {kind!r}")
        if self.suite != "all":
            suite_tasks(self.suite)


@dataclass(frozen=True)
class RetargetResult:
    """One execution: which reference, from what start, in which mode, and whether it worked."""

    suite: str
    task: int
    action_type: str
    target: str
    reference: int
    kind: str
    distance: float
    mode: Mode
    success: bool


@dataclass(frozen=True)
class SceneDone:
    """All of a scene's results have come."""

    suite: str
    task: int


def run_retarget_trials(
    trials: RetargetTrials, done: Collection[SceneDone] = ()
) -> Iterator[RetargetResult | SceneDone]:
    """Yield results as they come, and of each scene that it is done; leave out scenes ``done``."""
    jobs = [job for job in plan_scenes(trials) if SceneDone(job[1], job[2]) not in done]
    yield from stream_jobs(_try_scene, jobs, trials.workers)


def plan_scenes(trials: RetargetTrials) -> list[tuple[RetargetTrials, str, int, dict[str, int]]]:
    """Share out the references of each action type over the scenes whose task has it."""
    suites = SUITES if trials.suite == "all" else (trials.suite,)
    tasks = [find_task(suite, i) for suite in suites for i in range(len(suite_tasks(suite)))]
    rng = np.random.default_rng(trials.seed)
    wanted: dict[tuple[str, int], dict[str, int]] = {}
    for kind in trials.types:
        having = [t for t in tasks if kind in {s.action_type for s in t.script.subtasks}]
        if not having:
            raise RainError(f"{trials.suite}: no task has a subtask of type {kind}")
        order = rng.permutation(len(having))
        for i in range(-(-trials.trials // PER_REFERENCE)):
            task = having[order[i % len(having)]]
            counts = wanted.setdefault((task.suite, task.index), {})
            counts[kind] = counts.get(kind, 0) + 1
    return [(trials, *scene, counts) for scene, counts in wanted.items()]


def _try_scene(
    trials: RetargetTrials, suite: str, task: int, counts: dict[str, int]
) -> Iterator[RetargetResult | SceneDone]:
    world = LiberoWorld(suite, task)
    try:
        left = dict(counts)
        for number in range(REFERENCES):
            if not any(left.values()):
                yield SceneDone(suite, task)
                return
            seed = int(np.random.SeedSequence([trials.seed, task, number]).generate_state(1)[0])
            made = demonstrate(world, "protocol", seed, CALM)
            if not isinstance(made, Demonstration) or made.disturbed.any():
                continue
            seen = trace(world, made.states, made.script)
            spans = annotate(made.script, seen, made.actions)
            for j, span in enumerate(spans):
                if left.get(span.subtask.action_type, 0):
                    left[span.subtask.action_type] -= 1
                    yield from _try_reference(trials, world, made, seen, spans[: j + 1])
        raise RainError(f"{suite} {task}: {REFERENCES} demonstrations are too few references")
    finally:
        world.close()


def _try_reference(
    trials: RetargetTrials,
    world: LiberoWorld,
    made: Demonstration,
    seen: Trace,
    spans: tuple[SubtaskSpan, ...],
) -> Iterator[RetargetResult]:
    """Try the last of ``spans`` from displaced starts, in every mode."""
    span, reach = spans[-1], Reach(world)
    reference = Reference.from_span(seen.states[:, :3], seen.rotation, made.actions, span)
    rng = np.random.default_rng([trials.seed, made.seed, len(spans)])
    for i in range(PER_REFERENCE):
        kind = KINDS[i % len(KINDS)]
        start = displace(world, reach, rng, made.states[span.start], span, kind)
        if start is None:
            continue
        for mode in trials.modes:
            options = replace(trials.options, mode=mode)
            run = _Run(world, made, span, len(spans) - 1, options, trials.correct)
            yield RetargetResult(
                made.suite, made.task, span.subtask.action_type, span.subtask.target,
                made.seed, kind, start.distance, mode, run.succeeds(start, reference),
            )  # fmt: skip


@dataclass(frozen=True)
class _Run:
    """One reference's execution in one mode."""

    world: LiberoWorld
    made: Demonstration
    span: SubtaskSpan
    number: int
    options: RetargetOptions
    correct: bool
    controller: DeltaController = field(default_factory=DeltaController)

    def succeeds(self, start: Start, reference: Reference) -> bool:
        """Execute from ``start``; True when the subtask's aim is reached, or just after its end."""
        world = self.world
        world.set_state(start.state)
        before = self.made.actions[: self.span.start, 6]
        remember_gripper(world, float(before[-1]) if len(before) else -1.0)
        position, rotation = world.ee_pose()
        references = References.pack([reference])
        path = synthesise(position[None], rotation[None], references, options=self.options)
        for action in self._actions(path):
            world.step(action)
        for action in self.made.actions[self.span.end : self.span.end + AFTER]:
            if self._reached():
                return True
            world.step(action)
        return self._reached()

    def _actions(self, path: Trajectories) -> Iterator[NDArray[np.float64]]:
        """The approach, its targets expressed anew at each step, then what was recorded."""
        approach, positions, rotations = int(path.approach[0]), path.positions[0], path.rotations[0]
        # A hand that trails behind its approach comes to the junction before it goes on.
        ways = [(i, i + 1) for i in range(approach)]
        for now, following in ways + [(approach, approach)] * (SETTLE if approach else 0):
            here, turned = self.world.ee_pose()
            if now == approach and self._is_at(positions[now], rotations[now]):
                break
            action = path.actions[0, max(following - 1, 0)].astype(np.float64)
            action[:3] = self.controller.command(here, positions[now], positions[following])
            action[3:6] = self.controller.turn_command(turned, rotations[now], rotations[following])
            yield action
        for i in range(approach, int(path.length[0])):
            action = path.actions[0, i].astype(np.float64)
            if self.correct and self.options.mode != "none":
                here, turned = self.world.ee_pose()
                action[:3] += self.controller.command(here, positions[i], positions[i])
                action[3:6] += self.controller.turn_command(turned, rotations[i], rotations[i])
            yield action

    def _is_at(self, position: NDArray, rotation: NDArray) -> bool:
        here, turned = self.world.ee_pose()
        turn = np.linalg.norm(rotation_vector(rotation @ turned.T))
        return bool(np.linalg.norm(position - here) < NEAR[0] and turn < NEAR[1])

    def _reached(self) -> bool:
        if self.span.subtask.action_type == "grasp":
            return self.world.held_object() == self.span.subtask.target
        return aim_holds(self.world, self.made.script, self.number)
