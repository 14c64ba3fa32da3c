"""A world whose regions are perceived: any world with images, its regions from a RegionLoop.

The policy is then run on what a segmenter follows from frame to frame, seeded once per subtask, in
place of a simulator's own regions; it may even be told by the instruction alone what to do. All
that is judged (success, grasps) is still the world's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.perception.loop import RegionLoop
from rain.perception.options import PerceptionOptions, SegmenterName
from rain.perception.parts import make_loop, make_reasoner
from rain.perception.prompts import Prompt
from rain.perception.reasoner.protocols import PhrasedScript, Reasoner, phrase_from_name
from rain.perception.segmenter import Frame, Tracked
from rain.types import Look, Observation, Subtask, TaskScript

MakeLoop = Callable[[Any], RegionLoop]
"""World -> the loop that finds its targets."""


class PerceivedWorld:
    """Wraps a world: observes with perceived regions, and follows the target between observations.

    What it does not define itself is the world's own.
    """

    def __init__(
        self, world: Any, loop: RegionLoop, *, every: int = 1, reasoner: Reasoner | None = None
    ) -> None:
        """every: control steps between frames that are followed. reasoner: where scripts are made
        from their instructions; without one they are told as they are."""
        self._world, self._loop, self._every, self._reasoner = world, loop, every, reasoner
        self._steps, self._looked, self._proposals = 0, -1, 0
        self._subtask: Subtask | None = None
        self._images: dict[str, NDArray[np.uint8]] = {}
        self._look: Look | None = None
        self._phrased: PhrasedScript | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # while it is copied or unpickled there is no world yet
            raise AttributeError(name)
        return getattr(self._world, name)

    @property
    def pause(self) -> str | None:
        """Why the robot must hold still, as of the latest frame."""
        return None if self._look is None else self._look.pause

    @property
    def knows_targets(self) -> bool:
        """Whether targets are known by name, as by a simulator, and not by what they look like."""
        return self._loop.knows_targets

    @property
    def reasons(self) -> bool:
        """Whether it reads instructions."""
        return self._reasoner is not None

    @property
    def latest(self) -> Look | None:
        """What the loop told of the latest frame."""
        return self._look

    def told(self, script: TaskScript) -> TaskScript:
        """The script itself, or the one that the reasoner makes of its instruction."""
        if self._reasoner is None:
            return script
        self._phrased = self._reasoner.decompose(script.instruction, self._render())
        return self._phrased.script

    def reset(self, **how: Any) -> None:
        """Start again; nothing is followed before the next observation."""
        self._world.reset(**how)
        self._steps, self._looked, self._subtask, self._look = 0, -1, None, None
        self._phrased = None
        self._loop.restart()

    def step(self, action: ArrayLike) -> None:
        """Apply one action."""
        self._world.step(action)
        self._steps += 1

    @property
    def images(self) -> dict[str, NDArray[np.uint8]]:
        """The images of the latest frame that was looked at."""
        return self._images

    def propose(
        self, images: Mapping[str, NDArray[np.uint8]], step: int, prompts: Mapping[str, Prompt]
    ) -> tuple[str, Tracked]:
        """Follow what an operator points at in the images of ``step``, beside the present target.

        Gives it a name of its own; RainError where a prompt does not fit.
        """
        self._proposals += 1
        name = f"pointed-at-{self._proposals}"
        stamp = step / self._world.conventions.rate_hz
        return name, self._loop.propose(name, Frame(images, stamp), prompts)

    def accept(self, subtask: Subtask, tracked: Tracked) -> None:
        """``subtask`` is observed next, whose target was proposed."""
        self._loop.accept(subtask.target, tracked)
        self._subtask, self._looked = subtask, -1

    def withdraw(self, name: str) -> None:
        """Forget what was proposed."""
        self._loop.withdraw(name)

    def follow(self) -> None:
        """Follow the target in the present frame, if one is due."""
        due = self._subtask is not None and self._steps % self._every == 0
        if due and self._looked != self._steps:
            self._look_now()

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        """Observe now with the perceived regions of ``subtask``'s target."""
        if not regions:
            return self._world.observe(subtask, regions=False)
        if subtask != self._subtask:
            self._subtask, self._looked = subtask, -1
            self._loop.begin(subtask.target, self._phrase(subtask.target))
        if self._looked != self._steps:
            self._look_now()
        assert self._look is not None
        return Observation(
            self._images, self._look.regions, self._world.state(), subtask.action_type
        )

    def _phrase(self, target: str) -> str:
        if self._phrased is not None:
            return self._phrased.phrase_of(target)
        return phrase_from_name(target)

    def _look_now(self) -> None:
        self._images = self._render()
        self._looked = self._steps
        self._look = self._loop.look(self._images, self._steps / self._world.conventions.rate_hz)

    def _render(self) -> dict[str, NDArray[np.uint8]]:
        asked = self._world.conventions
        return {view: self._world.render(view, asked.image_size) for view in asked.views}


@dataclass(frozen=True)
class PerceivedWorlds:
    """A source of worlds whose regions are perceived; picklable. worlds: the source it wraps."""

    worlds: Any
    segmenter: SegmenterName
    options: PerceptionOptions

    def suites(self, text: str) -> tuple[str, ...]:
        """As the wrapped source."""
        return self.worlds.suites(text)

    def tasks(self, suite: str) -> dict[int, str]:
        """As the wrapped source."""
        return self.worlds.tasks(suite)

    def facts(self, suite: str, task: int) -> Any:
        """As the wrapped source."""
        return self.worlds.facts(suite, task)

    def settings(self) -> dict[str, Any]:
        """What results depend on: the wrapped source's settings and how regions are made."""
        how = {"segmenter": self.segmenter, "perception": asdict(self.options)}
        return {**self.worlds.settings(), **how}

    def __call__(self, suite: str, task: int, image_size: int, views: tuple[str, ...]) -> Any:
        """The task's world, perceived."""
        world = self.worlds(suite, task, image_size, views)
        try:
            loop = make_loop(world, self.segmenter, self.options)
        except Exception:
            world.close()
            raise
        reasoner = make_reasoner(self.options)
        return PerceivedWorld(world, loop, every=self.options.every, reasoner=reasoner)
