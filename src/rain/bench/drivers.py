"""What chooses the action of every step: a policy that looks, or one that acts on the world itself.

A driver also knows where in the script it is. It never judges success.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from numpy.typing import NDArray

from rain.bench.cursor import SubtaskCursor
from rain.bench.episode import Intervention, PartClock, Pause, RolloutConfig, Transition
from rain.bench.holding import DELTAS, hold, resting
from rain.bench.protocols import (
    AnyPolicy,
    Needs,
    ObservedWorld,
    PerceivedWorld,
    RolloutWorld,
    WorldPolicy,
    needs_of,
)
from rain.types import Observation, Policy, Prediction, RainError, Subtask, TaskScript

_REFUSED = "this policy acts on the world itself, not on regions: it can be held and stopped only"


class Driver(Protocol):
    """Chooses actions. index: of the current subtask, the last one's when finished.

    blind_looks: looks in which no view showed the target's region; 0 where none is asked for.
    executed: the latest action, (7,), or None.
    subtask: what is asked of the policy now, ``script`` all that is; an operator changes both.
    """

    transitions: list[Transition]
    interventions: list[Intervention]
    pauses: list[Pause]
    predictions: int
    blind_looks: int
    latest: Prediction | None
    executed: NDArray | None

    @property
    def index(self) -> int: ...

    @property
    def finished(self) -> bool: ...

    @property
    def script(self) -> TaskScript: ...

    @property
    def subtask(self) -> Subtask: ...

    def action(self, step: int) -> NDArray:
        """The action of ``step``, (7,)."""

    def still(self, step: int) -> NDArray:
        """An action (7,) that holds the arm still, in place of the policy's."""

    def retarget(self, step: int, target: str | None) -> None:
        """From now on act on another target, with the same action type; None: the script's."""

    def go_to(self, step: int, index: int) -> None:
        """Make another subtask the current one; RainError where there is no such."""

    def tell(self, step: int, script: TaskScript) -> None:
        """Do another script, from its first subtask."""

    def settled(self, steps: int) -> bool:
        """Whether the arm has held still for long enough after the last subtask."""


def make_driver(
    world: RolloutWorld,
    policy: AnyPolicy,
    script: TaskScript,
    config: RolloutConfig,
    clock: PartClock,
) -> Driver:
    """The driver that a policy needs."""
    if isinstance(policy, WorldPolicy):
        return WorldDriver(world, policy, script, config, clock)
    return LookingDriver(world, policy, script, config, clock)


class _Driving:
    """What every driver keeps of an episode."""

    def __init__(self, script: TaskScript, config: RolloutConfig, clock: PartClock) -> None:
        self.transitions: list[Transition] = []
        self.pauses: list[Pause] = []
        self.interventions: list[Intervention] = []
        self.predictions = 0
        self.blind_looks = 0
        self.latest: Prediction | None = None
        self.executed: NDArray | None = None
        self.script = script
        self._config, self._clock = config, clock
        self._finished_at: int | None = None

    def settled(self, steps: int) -> bool:
        """Whether the arm has held still for long enough after the last subtask."""
        return self._finished_at is not None and steps - self._finished_at >= self._config.settle


class LookingDriver(_Driving):
    """Looks when a look is due, else goes on with its chunk. While perception pauses, it holds.."""

    def __init__(
        self,
        world: ObservedWorld,
        policy: Policy,
        script: TaskScript,
        config: RolloutConfig,
        clock: PartClock,
    ) -> None:
        super().__init__(script, config, clock)
        self._cursor = SubtaskCursor(script, config.threshold, config.consecutive)
        self._pointed: str | None = None
        self._world, self._policy = world, policy
        self._needs = needs_of(policy)
        check_execute(self._needs, config)
        self._chunk: NDArray | None = None
        self._chunk_step = 0
        self._paused = False

    @property
    def index(self) -> int:
        """Index of the current subtask; of the last one when finished."""
        return self._cursor.index

    @property
    def finished(self) -> bool:
        """Whether the last subtask is complete, as the policy sees it."""
        return self._cursor.finished

    @property
    def subtask(self) -> Subtask:
        """What is asked of the policy: the script's subtask, or on what an operator pointed at."""
        subtask = self._cursor.subtask
        return subtask if self._pointed is None else replace(subtask, target=self._pointed)

    def retarget(self, step: int, target: str | None) -> None:
        """From now on act on another target, with the same action type; None: the script's."""
        told = "the script's target" if target is None else target
        self._intervene(step, f"{self._cursor.subtask.action_type} {told}")
        self._pointed = target

    def go_to(self, step: int, index: int) -> None:
        """Make another subtask the current one; RainError where there is no such."""
        self._cursor.go_to(index)
        self._intervene(step, f"subtask {index + 1}: {self._cursor.subtask}")

    def tell(self, step: int, script: TaskScript) -> None:
        """Do another script, from its first subtask."""
        self.script = script
        self._cursor = SubtaskCursor(script, self._config.threshold, self._config.consecutive)
        self._intervene(step, f"told: {script.instruction}")

    def _intervene(self, step: int, what: str) -> None:
        """Note it; a chunk of before is no good after it."""
        self.interventions.append(Intervention(step, what))
        self._pointed, self._chunk, self._finished_at = None, None, None
        self._cursor.streak = 0

    def still(self, step: int) -> NDArray:
        """An action (7,) that holds the arm still; the policy looks afresh after it."""
        self.executed = self._resting()
        self._chunk = None
        return self.executed

    def action(self, step: int) -> NDArray:
        """The action of ``step``, float32 (7,)."""
        while not self.finished and self._look_due(step):
            if not self._look(step):
                break
        if self.finished or self._paused:
            self.executed = self._resting()
        else:
            assert self._chunk is not None
            self.executed = self._chunk[step - self._chunk_step]
        return self.executed

    def _resting(self) -> NDArray:
        meaning = self._world.conventions.action
        chunk = self._chunk if meaning == DELTAS else resting(self._world)
        return hold(self.executed, chunk, meaning)

    def _look_due(self, step: int) -> bool:
        if self._chunk is None or self._config.check_every_step or self._pause() is not None:
            return True
        limit = self._config.confirm_after if self._cursor.streak else self._config.execute
        return step - self._chunk_step >= limit

    def _look(self, step: int) -> bool:
        """Observe and predict for the current subtask; say whether that completed it."""
        observation = self._observe()
        if self._pauses_now(step):
            return False
        prediction = self._predict(observation)
        # When every step is checked, most looks are for the progress only.
        progress_only = (
            self._config.check_every_step
            and self._chunk is not None
            and step - self._chunk_step < self._config.execute
        )
        if not progress_only:
            self._chunk, self._chunk_step = prediction.action_chunk.actions, step
        left = self._cursor.index
        if not self._cursor.update(prediction.progress.completion):
            return False
        self._pointed = None
        self.transitions.append(
            Transition(step, left, prediction.progress.completion, self._world.held_object())
        )
        if self.finished:
            self._finished_at = step
        else:
            # A chunk of the subtask that was left says nothing about the next one.
            self._chunk = None
        return True

    def _pause(self) -> str | None:
        return self._world.pause if isinstance(self._world, PerceivedWorld) else None

    def _pauses_now(self, step: int) -> bool:
        """Whether perception makes the robot hold still; a chunk is no good after that."""
        reason = self._pause()
        if reason is not None and not (self._paused and self.pauses[-1].reason == reason):
            self.pauses.append(Pause(step, reason))
        self._paused = reason is not None
        if self._paused:
            self._chunk = None
        return self._paused

    def _observe(self) -> Observation:
        with self._clock("rendering"):
            observation = self._world.observe(self.subtask, regions=self._needs.regions)
        if self._needs.instruction:
            observation = replace(observation, instruction=self.script.instruction)
        if self._needs.proprioception:
            observation = replace(observation, proprioception=self._world.proprioception())
        return observation

    def _predict(self, observation: Observation) -> Prediction:
        with self._clock("network"):
            self.latest = self._policy.predict(observation)
        self.predictions += 1
        if self._needs.regions:
            self.blind_looks += not any(region.any() for region in observation.regions.values())
        return self.latest


def check_execute(needs: Needs, config: RolloutConfig) -> None:
    """RainError where a policy's chunks are to be executed otherwise than the policy says."""
    if needs.execute not in (None, config.execute):
        raise RainError(
            f"execute: the policy gives {needs.execute} actions to execute before the next look, "
            f"the run is set to {config.execute}"
        )


class WorldDriver(_Driving):
    """Takes a policy's actions as they come; nothing is looked at, so nothing is rendered."""

    def __init__(
        self,
        world: RolloutWorld,
        policy: WorldPolicy,
        script: TaskScript,
        config: RolloutConfig,
        clock: PartClock,
    ) -> None:
        super().__init__(script, config, clock)
        self.index, self.finished = 0, False
        self._world = world
        self._actions = policy.actions(world, script)
        self._count = len(script.subtasks)

    def action(self, step: int) -> NDArray:
        """The action of ``step``, (7,)."""
        if not self.finished:
            with self._clock("network"):
                found = next(self._actions, None)
            if found is not None:
                self._move_on(step, found[1])
                self.executed = found[0]
                return self.executed
            self._move_on(step, self._count)
            self.finished, self._finished_at = True, step
        return self.still(step)

    @property
    def subtask(self) -> Subtask:
        """The script's subtask that the policy is at."""
        return self.script.subtasks[self.index]

    def still(self, step: int) -> NDArray:
        """An action (7,) that holds the arm still."""
        self.executed = hold(self.executed, resting(self._world), self._world.conventions.action)
        return self.executed

    def retarget(self, step: int, target: str | None) -> None:
        """Refused: see ``_REFUSED``."""
        raise RainError(_REFUSED)

    def go_to(self, step: int, index: int) -> None:
        """Refused: see ``_REFUSED``."""
        raise RainError(_REFUSED)

    def tell(self, step: int, script: TaskScript) -> None:
        """Refused: see ``_REFUSED``."""
        raise RainError(_REFUSED)

    def _move_on(self, step: int, index: int) -> None:
        for left in range(self.index, index):
            self.transitions.append(Transition(step, left, 1.0, self._world.held_object()))
        self.index = min(index, self._count - 1)
