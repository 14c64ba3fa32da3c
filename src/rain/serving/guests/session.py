"""One client of another protocol: asks the policy for it, and finds its regions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from rain.bench.drivers import SubtaskCursor
from rain.client import MaskClient, PolicyClient
from rain.serving.guests.reading import Reader
from rain.types import Observation, Prediction, RainError, TaskScript

THRESHOLD, CONSECUTIVE = 0.7, 2
"""The paper's transition: completion above 0.7 in two looks in a row."""


@dataclass(frozen=True)
class Acted:
    """A prediction, and where the session is. subtask: in words, "" where the client says what is
    to be done; done: whether the last subtask of its instruction is complete."""

    prediction: Prediction
    subtask: str = ""
    done: bool = False


class GuestSession:
    """Acts on what one client sends. Regions come with the observation, from a mask server, or are
    empty where the server was told that this is meant."""

    def __init__(
        self,
        policy: PolicyClient,
        reader: Reader,
        masks: Callable[[], MaskClient] | None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """stopping: whether the server ends, and nothing is waited for any more."""
        self._policy, self._reader, self._stopping = policy, reader, stopping
        self._guide = None if masks is None else _Guide(masks(), reader, stopping)

    def act(self, sent: Mapping[str, Any]) -> Acted:
        """The prediction for what a client sent; RainError says what is wrong with it."""
        reader, guide = self._reader, self._guide
        regions = reader.regions(sent)
        if regions is None and guide is not None:
            seen = guide.regions(sent)
            prediction = self._predict(
                reader.observation(sent, seen, guide.cursor.subtask.action_type)
            )
            guide.update(prediction)
            return Acted(prediction, str(guide.cursor.subtask), guide.cursor.finished)
        if regions is None and not reader.options.empty_regions:
            key = reader.keys.region.format(view=reader.conventions.views[0])
            raise RainError(
                f"there is no region: send {key}, or give the server --guests.masks ADDRESS, or "
                "--guests.empty-regions where none is meant"
            )
        observation = reader.observation(sent, regions or {}, reader.action_type(sent))
        return Acted(self._predict(observation))

    def reset(self) -> None:
        """An episode begins: the noise starts anew, and so does the instruction."""
        self._policy.reset(0)
        if self._guide is not None:
            self._guide.instruction = None

    def close(self) -> None:
        """The client is gone."""
        self._policy.close()
        if self._guide is not None:
            self._guide.masks.close()

    def _predict(self, observation: Observation) -> Prediction:
        number = self._policy.ask(observation)
        while not self._stopping():
            for found, prediction in self._policy.poll():
                if found == number:
                    return prediction
            self._policy.readable.poll(100)
        raise RainError("the server ends")


class _Guide:
    """Takes an instruction apart, and has its targets followed one after the other."""

    cursor: SubtaskCursor

    def __init__(self, masks: MaskClient, reader: Reader, stopping: Callable[[], bool]) -> None:
        self.masks, self._reader, self._stopping = masks, reader, stopping
        self.instruction: str | None = None
        self._phrases: list[str] = []

    def regions(self, sent: Mapping[str, Any]) -> Mapping[str, NDArray]:
        """Regions of the present target; waits while it is grounded."""
        images = self._reader.images(sent)
        instruction = self._reader.instruction(sent)
        if not instruction:
            raise RainError(f"{self._reader.keys.instruction} is missing: say what is to be done")
        if instruction != self.instruction:
            steps = self.masks.decompose(instruction, images)
            script = TaskScript(instruction, tuple(subtask for subtask, _ in steps))
            self._phrases = [phrase for _, phrase in steps]
            self.cursor = SubtaskCursor(script, THRESHOLD, CONSECUTIVE)
            self._begin()
            self.instruction = instruction
        end = time.monotonic() + self._reader.options.patience
        while True:
            look = self.masks.look(images, time.monotonic())
            if look.pause is None:
                return look.regions
            if time.monotonic() > end or self._stopping():
                raise RainError(f"no region: {'; '.join([look.pause, *look.notes])}")
            time.sleep(0.02)

    def update(self, prediction: Prediction) -> None:
        """Go on to the next subtask where this one is complete."""
        if self.cursor.finished:
            return
        if self.cursor.update(prediction.progress.completion) and not self.cursor.finished:
            self._begin()

    def _begin(self) -> None:
        self.masks.begin(self.cursor.subtask.target, self._phrases[self.cursor.index])
