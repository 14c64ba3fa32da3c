"""What is noted after every step of an episode, and what it comes to."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from rain.bench.drivers import Driver
from rain.bench.episode import EpisodeResult, Grasp, PartClock, Touch
from rain.bench.protocols import RolloutWorld
from rain.types import TaskScript

AT_LIMIT = 0.02
"""rad from its limit within which a joint counts as at it."""


class Milestones:
    """Notes when each subtask was first done, as the world shows it, whatever the policy thinks.

    A grasp is done when its target is held, anything else when what it leads to holds. What holds
    at the start (a drawer that is closed before it is opened) counts once all before it is done.
    """

    def __init__(self, world: RolloutWorld, script: TaskScript) -> None:
        self._world, self._subtasks = world, script.subtasks
        self.steps: list[int | None] = [None] * len(script.subtasks)
        self._parts = [_effect(script, i) for i in range(len(script.subtasks))]
        self._at_start = [self._is_done(i, None) for i in range(len(script.subtasks))]

    def note(self, step: int, held: str | None) -> None:
        """Look once, after ``step`` actions."""
        for i, at in enumerate(self.steps):
            if at is not None or (self._at_start[i] and None in self.steps[:i]):
                continue
            if self._is_done(i, held):
                self.steps[i] = step

    def _is_done(self, index: int, held: str | None) -> bool:
        subtask, effect = self._subtasks[index], self._parts[index]
        if subtask.action_type == "grasp":
            return held == subtask.target
        return effect is not None and self._world.script_success(effect)


def _effect(script: TaskScript, index: int) -> TaskScript | None:
    """A script that leads to what this subtask alone does; None where it only grasps."""
    subtask = script.subtasks[index]
    if subtask.action_type == "grasp":
        return None
    grasps = [s for s in script.subtasks[:index] if s.action_type == "grasp"]
    held = grasps[-1:] if subtask.action_type == "release" else []
    return TaskScript(script.instruction, (*held, subtask))


class Journal:
    """Notes what was reached, spoiled, grasped and touched, and sums it up.

    whole_fails: success is judged at the end, and lost once the whole task has held.
    """

    def __init__(self, world: RolloutWorld, script: TaskScript, whole_fails: bool) -> None:
        self.steps = 0
        self.success_step: int | None = None
        self.spoiled_step: int | None = None
        self._world, self._whole_fails = world, whole_fails
        self._milestones = Milestones(world, script)
        self._reached = False
        self._grasps: list[Grasp] = []
        self._touches: dict[str, int] = {}
        self._actions = hashlib.sha256()
        self._held_until: int | None = None
        self._limit_steps = 0

    @property
    def success(self) -> bool:
        """Whether the episode would be a success if it ended now."""
        if self._whole_fails:
            return self._reached and self.spoiled_step is None
        return self.success_step is not None

    def note(self, action: NDArray, reached: bool, spoiled: bool) -> None:
        """Note one step: its action (7,), whether the goal holds, whether the whole task does."""
        self.steps += 1
        self._actions.update(np.asarray(action, "<f8").tobytes())
        self._reached = reached
        if reached and self.success_step is None:
            self.success_step = self.steps
        if spoiled and self.spoiled_step is None:
            self.spoiled_step = self.steps
        held = self._world.held_object()
        if held is not None and (not self._grasps or self._grasps[-1].object != held):
            self._grasps.append(Grasp(self.steps, held))
        if held is not None:
            self._held_until = self.steps
        self._limit_steps += self._world.joint_margin() < AT_LIMIT
        for name in self._world.touched_objects():
            self._touches.setdefault(name, self.steps)
        self._milestones.note(self.steps, held)

    def result(
        self,
        driver: Driver,
        clock: PartClock,
        told: tuple[str, ...] | None = None,
        stopped: bool = False,
    ) -> EpisodeResult:
        """What the episode came to; told: the subtasks, where the script's were not.

        stopped: an operator ended it.
        """
        failure = "finished" if driver.finished else "stopped" if stopped else "horizon"
        failure = "spoiled" if self.spoiled_step is not None else failure
        rate = self._world.conventions.rate_hz
        return EpisodeResult(
            outcome="success" if self.success else failure,
            success=self.success,
            success_step=self.success_step,
            final_success=self._reached,
            steps=self.steps,
            transitions=tuple(driver.transitions),
            grasps=tuple(self._grasps),
            predictions=driver.predictions,
            seconds=clock.seconds,
            success_s=None if self.success_step is None else self.success_step / rate,
            spoiled_step=self.spoiled_step,
            touches=tuple(Touch(step, name) for name, step in self._touches.items()),
            done=tuple(self._milestones.steps),
            actions_sha256=self._actions.hexdigest(),
            held_until=self._held_until,
            limit_steps=self._limit_steps,
            blind_looks=driver.blind_looks,
            pauses=tuple(driver.pauses),
            told=told,
            interventions=tuple(driver.interventions),
        )
