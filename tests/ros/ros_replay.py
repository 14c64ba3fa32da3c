"""A policy that replays the expert's demonstration from wherever in it the arm is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rain.types import ActionChunk, Conventions, Observation, Plan, Prediction, Progress
from rain.worlds.libero.experts.demonstrate import ExpertConfig
from rain.worlds.omy import OmyWorld
from rain.worlds.omy.demonstrate import attempt

AHEAD = 40
"""Steps of the demonstration among which the arm is looked for, from where it was last."""


class Recording:
    """The expert's actions (T, 7), the states (T, 7) before them, and their subtasks (T,)."""

    def __init__(self, task: int, start: int) -> None:
        world = OmyWorld("omy", task)
        world.reset(init_state=start)
        config = ExpertConfig(pushed=0.0)
        steps = attempt(world, world.script, np.random.default_rng(start), config)
        states, actions, _, subtask = zip(*steps, strict=True)
        self.script = world.script
        self.actions, self.subtask = np.array(actions), np.array(subtask)
        self.states = np.array([state[1:][world._qpos] for state in states])


class ReplayPolicy:
    """Finds the observed state in the recording, and goes on from there."""

    def __init__(self, recording: Recording, conventions: Conventions) -> None:
        self.conventions = conventions
        self._recording = recording
        self._at: dict[str, int] = {}

    def reset(self, seed: int) -> None:
        self._at.clear()

    def predict(self, observation: Observation) -> Prediction:
        # Without a region it does not know what to do it to.
        assert any(region.any() for region in observation.regions.values())
        kind, recording = observation.action_type, self._recording
        index = [s.action_type for s in recording.script.subtasks].index(kind)
        steps = np.flatnonzero(recording.subtask == index)
        first, last = steps[0], steps[-1]
        begin = self._at.get(kind, first)
        near = np.arange(begin, min(begin + AHEAD, last + 1))
        distance = np.abs(recording.states[near] - observation.state).max(axis=1)
        # The last of those that are as near: it must not wait where the arm stands.
        here = int(near[np.flatnonzero(distance <= distance.min() + 0.004)[-1]])
        self._at[kind] = here
        rows = np.minimum(np.arange(here, here + 16), last)
        return Prediction(
            ActionChunk(recording.actions[rows]),
            Plan(np.zeros((8, 3))),
            Progress(float(here >= last - 3), 0.5, 0.5),
        )


class Replays:
    """Makes such policies, for a policy server."""

    name = "replay"

    def __init__(self, recording: Recording, conventions: Conventions) -> None:
        self._recording, self._conventions = recording, conventions

    def fingerprint(self) -> str:
        return "replay"

    def __call__(self, seed: int) -> ReplayPolicy:
        return ReplayPolicy(self._recording, self._conventions)

    def predict_together(
        self, policies: Sequence[Any], observations: Sequence[Observation], size: int
    ) -> list[Prediction]:
        return [p.predict(o) for p, o in zip(policies, observations, strict=True)]
