"""One episode in closed loop: predict a chunk, execute part of it, move on when progress says so.

**Chunks.** A prediction holds 16 actions; the first ``execute`` of them are executed, then the
policy looks again.

**Transitions.** The paper moves to the next subtask when the completion score exceeds 0.7 for two
consecutive timesteps. It does not say what a timestep is when the policy looks only every few
control steps. Here a timestep is a look: normally there is one every ``execute`` steps, but a look
above the threshold is followed by the next one ``confirm_after`` steps later, so that the two that
agree are near each other and a finished subtask is left at once. One look below the threshold
starts the count again. ``check_every_step`` looks at every control step instead (one network call
per step) while chunks are still replaced every ``execute`` steps: the literal reading, about eight
times the network cost.

**The end.** After the last subtask the arm holds still, with the gripper as it was, for ``settle``
steps: a released object needs them to come to rest. The goal is judged after every step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from rain.bench.protocols import Needs, RolloutWorld, needs_of
from rain.types import HORIZON, Policy, Prediction, RainError, Subtask, TaskScript

PARTS = ("physics", "rendering", "network", "judging", "video")
"""What an episode's seconds are spent on."""


@dataclass(frozen=True)
class RolloutConfig:
    """How an episode is run.

    execute: actions of a 16-step chunk that are executed before the next look.
    threshold, consecutive: a subtask is complete when this many looks in a row give a completion
        above the threshold.
    confirm_after: control steps between a look above the threshold and the next one.
    check_every_step: look at every control step (one network call each).
    horizon: control steps after which the episode ends.
    settle: control steps to hold still after the last subtask before the episode ends.
    stop_on_success: end the episode at the first step at which the goal holds.
    """

    execute: int = 8
    threshold: float = 0.7
    consecutive: int = 2
    confirm_after: int = 1
    check_every_step: bool = False
    horizon: int = 280
    settle: int = 20
    stop_on_success: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.execute <= HORIZON:
            raise RainError(f"execute: expected 1 to {HORIZON} steps, got {self.execute}")
        if not 0.0 <= self.threshold <= 1.0:
            raise RainError(f"threshold: expected a value in [0, 1], got {self.threshold}")
        if not 1 <= self.confirm_after <= self.execute:
            raise RainError(
                f"confirm-after: expected 1 to execute ({self.execute}), got {self.confirm_after}"
            )
        for name in ("consecutive", "horizon", "settle"):
            if getattr(self, name) < 1:
                raise RainError(f"{name}: expected at least 1, got {getattr(self, name)}")


@dataclass(frozen=True)
class Transition:
    """The policy left a subtask: after ``step`` actions, with ``held`` between the fingers."""

    step: int
    subtask: int
    completion: float
    held: str | None


@dataclass(frozen=True)
class Grasp:
    """After ``step`` actions the gripper held ``object`` (a different one than before)."""

    step: int
    object: str


@dataclass(frozen=True)
class EpisodeResult:
    """What happened in one episode.

    outcome: ``success``, ``finished`` (the policy said that it was done, the goal did not hold) or
        ``horizon`` (it ran out of steps).
    success: the goal held after some step, as LIBERO counts; success_step: actions executed by
        then; final_success: the goal held after the last step.
    steps: actions executed. predictions: network calls. seconds: by part, see ``PARTS``.
    """

    outcome: str
    success: bool
    success_step: int | None
    final_success: bool
    steps: int
    transitions: tuple[Transition, ...]
    grasps: tuple[Grasp, ...]
    predictions: int
    seconds: dict[str, float] = field(compare=False)


@dataclass(frozen=True)
class Moment:
    """What a watcher of a rollout is told after every step.

    subtask: index of the current subtask, or of the last one when ``finished``.
    """

    step: int
    subtask: int
    finished: bool
    prediction: Prediction
    success: bool
    last: bool


class PartClock:
    """Wall-clock seconds by part."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        """Add the time of the ``with`` block to ``part``."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[part] += time.perf_counter() - start


class SubtaskCursor:
    """Where in its script the policy is; moves on after enough consecutive complete looks."""

    def __init__(self, script: TaskScript, threshold: float, consecutive: int) -> None:
        self._subtasks = script.subtasks
        self._threshold = threshold
        self._consecutive = consecutive
        self._index = 0
        self.streak = 0

    @property
    def finished(self) -> bool:
        """Whether the last subtask is complete."""
        return self._index == len(self._subtasks)

    @property
    def index(self) -> int:
        """Index of the current subtask; of the last one when finished."""
        return min(self._index, len(self._subtasks) - 1)

    @property
    def subtask(self) -> Subtask:
        """The current subtask; the last one when finished."""
        return self._subtasks[self.index]

    def update(self, completion: float) -> bool:
        """Count one look at the current subtask; say whether it moved on to the next."""
        self.streak = self.streak + 1 if completion > self._threshold else 0
        if self.streak < self._consecutive:
            return False
        self._index += 1
        self.streak = 0
        return True


class LookingDriver:
    """Chooses the action of every step: looks when a look is due, else goes on with its chunk."""

    def __init__(
        self,
        world: RolloutWorld,
        policy: Policy,
        script: TaskScript,
        config: RolloutConfig,
        clock: PartClock,
    ) -> None:
        self.cursor = SubtaskCursor(script, config.threshold, config.consecutive)
        self.transitions: list[Transition] = []
        self.predictions = 0
        self._latest: Prediction | None = None
        self._finished_at: int | None = None
        self._world, self._policy, self._config, self._clock = world, policy, config, clock
        self._needs, self._instruction = needs_of(policy), script.instruction
        check_execute(self._needs, config)
        self._chunk: NDArray | None = None
        self._chunk_step = 0
        self._action: NDArray | None = None

    def action(self, step: int) -> NDArray:
        """The action of ``step``, float32 (7,)."""
        while not self.cursor.finished and self._look_due(step):
            if not self._look(step):
                break
        if self.cursor.finished:
            self._action = hold(self._action, self._chunk, self._world.conventions.action)
        else:
            assert self._chunk is not None
            self._action = self._chunk[step - self._chunk_step]
        return self._action

    def settled(self, steps: int) -> bool:
        """Whether the arm has held still for long enough after the last subtask."""
        return self._finished_at is not None and steps - self._finished_at >= self._config.settle

    def moment(self, journal: _Journal, last: bool) -> Moment:
        """What a watcher is told now."""
        assert self._latest is not None
        cursor, success = self.cursor, journal.success_step is not None
        return Moment(journal.steps, cursor.index, cursor.finished, self._latest, success, last)

    def _look_due(self, step: int) -> bool:
        if self._chunk is None or self._config.check_every_step:
            return True
        limit = self._config.confirm_after if self.cursor.streak else self._config.execute
        return step - self._chunk_step >= limit

    def _look(self, step: int) -> bool:
        """Observe and predict for the current subtask; say whether that completed it."""
        prediction = self._predict()
        # When every step is checked, most looks are for the progress only.
        progress_only = (
            self._config.check_every_step
            and self._chunk is not None
            and step - self._chunk_step < self._config.execute
        )
        if not progress_only:
            self._chunk, self._chunk_step = prediction.action_chunk.actions, step
        left = self.cursor.index
        if not self.cursor.update(prediction.progress.completion):
            return False
        self.transitions.append(
            Transition(step, left, prediction.progress.completion, self._world.held_object())
        )
        if self.cursor.finished:
            self._finished_at = step
        else:
            # A chunk of the subtask that was left says nothing about the next one.
            self._chunk = None
        return True

    def _predict(self) -> Prediction:
        with self._clock("rendering"):
            observation = self._world.observe(self.cursor.subtask)
        if self._needs.instruction:
            observation = replace(observation, instruction=self._instruction)
        if self._needs.proprioception:
            observation = replace(observation, proprioception=self._world.proprioception())
        with self._clock("network"):
            self._latest = self._policy.predict(observation)
        self.predictions += 1
        return self._latest


def check_execute(needs: Needs, config: RolloutConfig) -> None:
    """RainError where a policy's chunks are to be executed otherwise than the policy says."""
    if needs.execute not in (None, config.execute):
        raise RainError(
            f"execute: the policy gives {needs.execute} actions to execute before the next look, "
            f"the run is set to {config.execute}"
        )


def hold(last: NDArray | None, chunk: NDArray | None, meaning: str) -> NDArray:
    """The action that keeps the arm and the gripper as they are, float32 (7,).

    What "still" is depends on what an action means, so there is no default: an unknown meaning
    raises RainError. ``chunk`` is used where no action was executed yet.
    """
    if last is None:
        assert chunk is not None
        last = chunk[0]
    if meaning != "libero_osc_pose_delta":
        raise RainError(f"rollout: how to hold still with actions of {meaning!r} is not known")
    still = np.zeros_like(last)
    still[-1] = last[-1]
    return still


class _Journal:
    """Notes after every step what was reached and grasped, and sums it up."""

    def __init__(self) -> None:
        self.steps = 0
        self.success_step: int | None = None
        self._reached = False
        self._grasps: list[Grasp] = []

    def note(self, reached: bool, held: str | None) -> None:
        self.steps += 1
        self._reached = reached
        if reached and self.success_step is None:
            self.success_step = self.steps
        if held is not None and (not self._grasps or self._grasps[-1].object != held):
            self._grasps.append(Grasp(self.steps, held))

    def result(self, driver: LookingDriver, clock: PartClock) -> EpisodeResult:
        success = self.success_step is not None
        return EpisodeResult(
            outcome="success" if success else "finished" if driver.cursor.finished else "horizon",
            success=success,
            success_step=self.success_step,
            final_success=self._reached,
            steps=self.steps,
            transitions=tuple(driver.transitions),
            grasps=tuple(self._grasps),
            predictions=driver.predictions,
            seconds=clock.seconds,
        )


def rollout(
    world: RolloutWorld,
    policy: Policy,
    script: TaskScript,
    config: RolloutConfig | None = None,
    *,
    goal: Callable[[], bool] | None = None,
    watch: Callable[[Moment], None] | None = None,
) -> EpisodeResult:
    """Run one episode from the world's present state.

    goal: judged after every step; the world's own ``success`` if not given.
    watch: called after every step, e.g. to film.
    Raises ConventionError where world and policy do not mean the same.
    """
    config = config or RolloutConfig()
    goal = goal or world.success
    policy.conventions.check(world.conventions, "the policy", "the world")
    clock = PartClock()
    driver = LookingDriver(world, policy, script, config, clock)
    journal = _Journal()
    last = False
    while not last:
        action = driver.action(journal.steps)
        with clock("physics"):
            world.step(action)
        with clock("judging"):
            reached = bool(goal())
            journal.note(reached, world.held_object())
        last = (
            journal.steps >= config.horizon
            or driver.settled(journal.steps)
            or (reached and config.stop_on_success)
        )
        if watch is not None:
            with clock("video"):
                watch(driver.moment(journal, last))
    return journal.result(driver, clock)
