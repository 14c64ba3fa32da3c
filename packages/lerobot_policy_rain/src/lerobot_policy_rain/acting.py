"""Acting in LeRobot's environments as ``rain rollout`` does: subtasks, chunks, transitions.

The observation carries the regions of all subtasks of the task script, so the policy itself moves
on from one to the next by its progress estimate and needs no word back from the environment.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rain.bench.drivers import LookingDriver
from rain.bench.rollouts import PartClock, RolloutConfig
from rain.model.policy import RainPolicy
from rain.types import ACTION_TYPES, Conventions, Observation, RainError, Subtask, TaskScript

IMAGES = "observation.images."
REGIONS = "observation.regions."
STATE = "observation.state"
TYPES = "observation.action_types"


class Shown:
    """One environment as its observations show it: what ``LookingDriver`` asks of a world."""

    def __init__(self, conventions: Conventions) -> None:
        self.conventions = conventions
        self.script = TaskScript("", (Subtask(ACTION_TYPES[0], "0"),))
        self._images: dict[str, NDArray[np.uint8]] = {}
        self._regions: dict[str, NDArray[np.float32]] = {}
        self._state: NDArray[np.float32] = np.zeros(7, np.float32)

    def show(self, batch: dict[str, Any], number: int) -> None:
        """Take in what environment ``number`` of a batch of observations shows now."""
        for view in self.conventions.views:
            # LeRobot divided it by 255.
            image = _array(batch, IMAGES + view, number).transpose(1, 2, 0)
            self._images[view] = np.round(image * 255).astype(np.uint8)
            self._regions[view] = _array(batch, REGIONS + view, number)
        self._state = _array(batch, STATE, number)
        kinds = _array(batch, TYPES, number).astype(int)
        for view, regions in self._regions.items():
            if regions.ndim != 3 or kinds.shape != regions.shape[:1]:
                raise RainError(
                    f"{REGIONS}{view}: expected (B, N, H, W) for the N subtasks of {TYPES} (B, N), "
                    f"got {regions.shape} and {kinds.shape} of one environment"
                )
        subtasks = [Subtask(ACTION_TYPES[kind], str(i)) for i, kind in enumerate(kinds)]
        self.script = TaskScript("", tuple(subtasks))

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        """Observe now, with the regions of ``subtask``, whose target is its number."""
        number = int(subtask.target)
        shown = {view: region[number] for view, region in self._regions.items()}
        return Observation(dict(self._images), shown, self._state, subtask.action_type)

    def held_object(self) -> None:
        """Unknown here; it is only noted."""
        return None

    def proprioception(self) -> NDArray[np.float32]:
        """Not shown; RAIN does not ask for it."""
        raise NotImplementedError

    def step(self, action: NDArray) -> None:
        """LeRobot steps its environments itself."""
        raise NotImplementedError

    def success(self) -> bool:
        """LeRobot's environments judge themselves."""
        raise NotImplementedError


class Actor:
    """One environment's episode."""

    def __init__(self, policy: RainPolicy, config: RolloutConfig) -> None:
        self.shown = Shown(policy.conventions)
        self.policy, self._config = policy, config
        self._driver: LookingDriver | None = None
        self._steps = 0

    def act(self, batch: dict[str, Any], number: int) -> NDArray[np.float32]:
        """The next action, float32 (7,), for environment ``number`` of a batch of observations."""
        self.shown.show(batch, number)
        if self._driver is None:
            clock = PartClock()
            script = self.shown.script
            self._driver = LookingDriver(self.shown, self.policy, script, self._config, clock)
        action = self._driver.action(self._steps)
        self._steps += 1
        return action

    @property
    def subtask(self) -> int:
        """Number of the current subtask."""
        return 0 if self._driver is None else self._driver.index

    @property
    def finished(self) -> bool:
        """Whether the last subtask is complete."""
        return self._driver is not None and self._driver.finished


def _array(batch: dict[str, Any], key: str, number: int) -> NDArray[Any]:
    value = batch.get(key)
    if not isinstance(value, Tensor):
        raise RainError(
            f"the observation has no {key}: RAIN needs images, state, and the task script's "
            "regions and action types (docs/lerobot.md says how an environment gives them)"
        )
    return value[number].detach().cpu().numpy()
