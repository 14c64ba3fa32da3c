"""A world without physics and a policy without a network, importable by spawned workers."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.bench.episode import RolloutConfig
from rain.bench.protocols import TaskFacts
from rain.bench.records import EpisodeRecord, Trial
from rain.bench.rollouts import rollout
from rain.types import (
    ActionChunk,
    Conventions,
    Observation,
    Plan,
    Prediction,
    Progress,
    RainError,
    Subtask,
    TaskScript,
)

CONVENTIONS = Conventions(
    ("agentview", "wrist"), 32, "libero_ee_axis_angle_gripper", "libero_osc_pose_delta", 20.0
)


def script(target: str = "milk_1") -> TaskScript:
    return TaskScript(
        f"pick up {target} and place it in the basket",
        (Subtask("grasp", target), Subtask("release", "basket_1")),
    )


class FakeWorld:
    """The gripper holds what the region of a grasp marked once the policy has acted on it enough.

    success_after: steps after which the goal of whatever is held holds; None: never.
    success_until: steps after which it no longer does. whole_after: steps after which the whole
    task of which this one is a part holds; None: it is no part.
    """

    touches: tuple[str, ...] = ()

    def __init__(
        self,
        success_after: int | None = None,
        conventions: Conventions = CONVENTIONS,
        grasps: Callable[[str], str] = lambda marked: marked,
        success_until: int | None = None,
        whole_after: int | None = None,
    ) -> None:
        self.conventions = conventions
        self.success_after = success_after
        self.grasps = grasps
        self.success_until, self.whole_after = success_until, whole_after
        self.actions: list[NDArray] = []
        self.looks: list[tuple[int, Subtask]] = []
        self.resets: list[tuple[int | None, int | None]] = []
        self.marked = ""
        self.closed = False

    @property
    def script(self) -> TaskScript:
        return script()

    @property
    def init_state_count(self) -> int:
        return 4

    @property
    def development_state_count(self) -> int:
        return 3

    def reset(self, *, init_state: int | None = None, seed: int | None = None) -> None:
        self.resets.append((init_state, seed))
        self.actions, self.looks, self.marked = [], [], ""

    def graspable(self) -> list[str]:
        return ["soup_1", "milk_1", "butter_1", "ketchup_1"]

    def script_for(self, target: str) -> TaskScript:
        return script(target)

    def joint_margin(self) -> float:
        return 1.0

    def pointed_at(self) -> list[str]:
        return ["basket_1", "butter_1", "milk_1", "soup_1"]

    def script_to(self, target: str, turn: int) -> TaskScript | None:
        """Butter cannot be taken; turn picks what goes into the basket."""
        taken = ["milk_1", "soup_1"]
        if target == "basket_1":
            return script(taken[turn % 2])
        return script(target) if target in taken else None

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        self.looks.append((len(self.actions), subtask))
        if subtask.action_type == "grasp":
            self.marked = subtask.target
        size = self.conventions.image_size
        region = np.zeros((size, size), dtype=bool)
        region[8:16, 8:16] = True
        images = {view: self.render(view, size) for view in self.conventions.views}
        masks = dict.fromkeys(self.conventions.views if regions else (), region)
        return Observation(images, masks, np.zeros(7, np.float32), subtask.action_type)

    def render(self, view: str, size: int) -> NDArray[np.uint8]:
        return np.full((size, size, 3), 40, np.uint8)

    def project(self, points: NDArray, view: str) -> NDArray:
        pixels = np.asarray(points)[:, :2] * self.conventions.image_size
        if view == "wrist":
            pixels[0] = np.nan
        return pixels

    def step(self, action: NDArray) -> None:
        self.actions.append(np.array(action))

    def _reached(self) -> bool:
        if self.success_after is None or len(self.actions) < self.success_after:
            return False
        return self.success_until is None or len(self.actions) < self.success_until

    def success(self) -> bool:
        return self._reached() and self.held_object() == "milk_1"

    def script_success(self, asked: TaskScript) -> bool:
        return self._reached() and self.held_object() == asked.subtasks[0].target

    def held_object(self) -> str | None:
        return self.grasps(self.marked) if self.marked and len(self.actions) > 3 else None

    def touched_objects(self) -> list[str]:
        return list(self.touches) if self.actions else []

    @property
    def whole_fails(self) -> bool:
        return self.whole_after is not None

    def full_success(self) -> bool:
        return self.whole_after is not None and len(self.actions) >= self.whole_after

    def close(self) -> None:
        self.closed = True


class FakePolicy:
    """Plays a list of completion scores, one a look; then repeats the last.

    Action j of look k is ``[k, j, 0, 0, 0, 0, 1]``, so that the executed ones can be told apart.
    """

    def __init__(
        self, completions: Sequence[float] = (0.0,), conventions: Conventions = CONVENTIONS
    ) -> None:
        self.conventions = conventions
        self.completions = list(completions)
        self.calls = 0

    def predict(self, observation: Observation) -> Prediction:
        completion = self.completions[min(self.calls, len(self.completions) - 1)]
        actions = np.zeros((16, 7), np.float32)
        actions[:, 0], actions[:, 1], actions[:, 6] = self.calls, np.arange(16), 1.0
        self.calls += 1
        plan = Plan(np.linspace(0.1, 0.9, 8)[:, None].repeat(3, axis=1))
        return Prediction(ActionChunk(actions), plan, Progress(completion, 0.5, 0.25))


class FakeWorldPolicy:
    """Acts on the world itself: of each (subtask, count) so many actions ``[subtask, 0 … 1]``."""

    conventions = CONVENTIONS

    def __init__(self, plan: Sequence[tuple[int, int]] = ((0, 8), (1, 8))) -> None:
        self.plan = plan

    def actions(self, world: Any, script: TaskScript) -> Iterator[tuple[NDArray, int]]:
        for subtask, count in self.plan:
            for _ in range(count):
                yield np.array([subtask, 0, 0, 0, 0, 0, 1], np.float32), subtask


class NoisyPolicy(FakePolicy):
    """Its actions are noise that begins with its seed; ``asked`` counts what was asked together."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def predict(self, observation: Observation) -> Prediction:
        if observation.action_type == "release":
            raise ValueError("it does not let go")
        prediction = super().predict(observation)
        noise = self.rng.uniform(-1, 1, (16, 7)).astype(np.float32)
        return dataclasses.replace(prediction, action_chunk=ActionChunk(noise))


class NoisyPolicies:
    """A source of noisy policies that are asked together."""

    name = "noisy"

    def fingerprint(self) -> str:
        return "noise"

    def __call__(self, seed: int) -> NoisyPolicy:
        return NoisyPolicy(seed)

    def predict_together(
        self, policies: Sequence[Any], observations: Sequence[Observation], size: int
    ) -> list[Prediction]:
        assert len(policies) <= size
        return [p.predict(o) for p, o in zip(policies, observations, strict=True)]


class NoPolicies:
    """A source without a policy."""

    name = "none"

    def fingerprint(self) -> str:
        return "none"

    def __call__(self, seed: int) -> FakePolicy:
        raise RainError("there is no such policy")


class DyingPolicy(FakePolicy):
    """Ends its whole process at the second look."""

    def predict(self, observation: Observation) -> Prediction:
        if self.calls == 1:
            os._exit(11)
        return super().predict(observation)


class DyingPolicies(NoPolicies):
    name = "dying"

    def __call__(self, seed: int) -> FakePolicy:
        return DyingPolicy()


def fake_policy(seed: int) -> FakePolicy:
    return FakePolicy()


def other_conventions_policy(seed: int) -> FakePolicy:
    return FakePolicy(conventions=Conventions(("top",), 32, "other", "other", 30.0))


def fake_world(suite: str, task: int, image_size: int, views: tuple[str, ...]) -> FakeWorld:
    if task == 99:
        raise RainError("there is no task 99")
    return FakeWorld(success_after=10)


class CrashingWorld(FakeWorld):
    """Raises, or ends the whole process, in the episode of init state 1; once if ``marker``."""

    def __init__(self, die: bool, marker: Path | None) -> None:
        super().__init__(success_after=10)
        self.die, self.marker = die, marker

    def step(self, action: NDArray) -> None:
        super().step(action)
        if self.resets[-1][0] != 1 or (self.marker is not None and self.marker.exists()):
            return
        if self.marker is not None:
            self.marker.touch()
        if self.die:
            os._exit(7)
        raise RuntimeError("the simulator is unstable")


def _crashing(
    suite: str,
    task: int,
    image_size: int,
    views: tuple[str, ...],
    *,
    die: bool,
    marker: Path | None,
) -> CrashingWorld:
    return CrashingWorld(die, marker)


def crashing_world(
    die: bool, marker: Path | None = None
) -> Callable[[str, int, int, tuple[str, ...]], CrashingWorld]:
    return partial(_crashing, die=die, marker=marker)


def dead_world(suite: str, task: int, image_size: int, views: tuple[str, ...]) -> FakeWorld:
    os._exit(9)


SETTINGS = {"weights": "abc", "rollout": {"execute": 8}}


def record(
    episode: int = 0,
    *,
    crashed: bool = False,
    settings: dict[str, Any] = SETTINGS,
    **changes: Any,
) -> EpisodeRecord:
    """The record of a short successful episode, or of a crashed one."""
    result = None
    if not crashed:
        world = FakeWorld(success_after=6)
        result = rollout(world, FakePolicy([0.9, 0.9, 0.1]), script(), RolloutConfig(horizon=9))
    fields = {
        "trial": Trial("libero_object", 0, episode),
        "settings": settings,
        "init_state": episode,
        "seed": None,
        "script": script(),
        "marked": "milk_1",
        "result": result,
        "error": "boom" if crashed else None,
    }
    return EpisodeRecord(**(fields | changes))


class FakePolicies:
    """A policy source."""

    name = "fake"

    def fingerprint(self) -> str:
        return "abc"

    def __call__(self, seed: int) -> FakePolicy:
        return FakePolicy()


class FakeWorlds:
    """A world source with a suite of two tasks and one with a part of a task and a broken one."""

    def suites(self, text: str) -> tuple[str, ...]:
        for suite in text.split(","):
            self.tasks(suite)
        return tuple(text.split(","))

    def tasks(self, suite: str) -> dict[int, str]:
        if suite == "parts":
            return {1: "part", 2: "broken"}
        if suite != "kitchen":
            raise RainError(f"suite {suite!r} is unknown")
        return {0: "pick_up_the_milk", 1: "pick_up_the_milk_again"}

    def facts(self, suite: str, task: int) -> TaskFacts:
        name = self.tasks(suite)[task]
        if suite == "parts":
            missing = "no script: (Turnoff stove_1)" if name == "broken" else ""
            return TaskFacts(
                name, "decomposition", "task", "Do a part", 15, {"scene": "abc"}, missing
            )
        return TaskFacts(name, suite, suite, "Pick up <the> milk")

    def settings(self) -> dict[str, Any]:
        return {"rendering": "none"}

    def __call__(self, suite: str, task: int, image_size: int, views: tuple[str, ...]) -> FakeWorld:
        return FakeWorld(success_after=10, whole_after=100 if suite == "parts" else None)
