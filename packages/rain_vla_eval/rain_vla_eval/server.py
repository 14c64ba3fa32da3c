"""RAIN as a model server of vla-eval: ``python -m rain_vla_eval.server --args.checkpoint …``.

It needs a benchmark that sends regions: ``rain_vla_eval.benchmark:LiberoEx``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vla_eval.model_servers.base import SessionContext
from vla_eval.model_servers.predict import PredictModelServer
from vla_eval.specs import GRIPPER_CLOSE_POS, IMAGE_RGB, POSITION_DELTA, ROTATION_AA, DimSpec
from vla_eval.types import Action
from vla_eval.types import Observation as Sent

from rain.bench.drivers import LookingDriver
from rain.bench.rollouts import PartClock, RolloutConfig
from rain.bench.sources import CheckpointPolicies
from rain.types import Conventions, Observation, RainError, Subtask, TaskScript
from rain_vla_eval.benchmark import REGIONS


class RainModelServer(PredictModelServer):
    """Serves a RAIN checkpoint; every session has its own place in its script.

    Args:
        checkpoint: A checkpoint folder, or the name of a shipped one.
        execute: Actions of a 16-step chunk that are executed before the next look.
        seed: Seed of the policy's noise in the first episode; the next one's is one more.
        threads: CPU threads of the network.
    """

    def __init__(
        self,
        checkpoint: str = "rain-nano",
        execute: int = 8,
        seed: int = 0,
        threads: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._policies = CheckpointPolicies(checkpoint, threads)
        self._config, self._seed = RolloutConfig(execute=execute), seed
        self._conventions = self._policies(seed).conventions
        self._episodes: dict[str, _Episode] = {}
        self._begun = 0

    def get_observation_params(self) -> dict[str, Any]:
        """Upright images in the checkpoint's size, and regions."""
        return {
            "image_size": self._conventions.image_size,
            "rendering": "fast",
            "upright": True,
            "send_regions": True,
            "send_wrist_image": True,
        }

    def get_action_spec(self) -> dict[str, DimSpec]:
        """LIBERO's: deltas, +1 closes."""
        return {
            "position": POSITION_DELTA,
            "rotation": ROTATION_AA,
            "gripper": GRIPPER_CLOSE_POS,
        }

    def get_observation_spec(self) -> dict[str, DimSpec]:
        """Both views and regions."""
        return {"agentview": IMAGE_RGB, "wrist": IMAGE_RGB, "regions": REGIONS}

    def predict(self, obs: Sent, ctx: SessionContext) -> Action:
        """The one action of this control step, (7,); a look only when one is due."""
        if "rain" not in obs:
            raise RainError(
                "RAIN needs regions, which this benchmark does not send: "
                "run rain_vla_eval.benchmark:LiberoEx"
            )
        if ctx.is_first or ctx.session_id not in self._episodes:
            policy = self._policies(self._seed + self._begun)
            self._begun += 1
            self._episodes[ctx.session_id] = _Episode(policy, obs, self._config)
        return {"actions": self._episodes[ctx.session_id].action(obs)}

    async def on_episode_end(self, result: dict[str, Any], ctx: SessionContext) -> None:
        """Forget the episode."""
        self._episodes.pop(ctx.session_id, None)
        await super().on_episode_end(result, ctx)


class _Episode:
    """An episode's driver, with what was sent last in place of a world."""

    def __init__(self, policy: Any, obs: Sent, config: RolloutConfig) -> None:
        said = obs["rain"]
        subtasks = tuple(Subtask(action_type, target) for action_type, target in said["subtasks"])
        script = TaskScript(said["instruction"], subtasks)
        self._world = _SentWorld(policy.conventions, script)
        self._driver = LookingDriver(self._world, policy, script, config, PartClock())
        self._step = 0

    def action(self, obs: Sent) -> NDArray:
        self._world.sent = obs
        action = self._driver.action(self._step)
        self._step += 1
        return np.asarray(action, dtype=np.float32)


class _SentWorld:
    """What a driver asks of a world, answered from the last observation that was sent."""

    def __init__(self, conventions: Conventions, script: TaskScript) -> None:
        self.conventions, self._script = conventions, script
        self.sent: Sent = {}

    def observe(self, subtask: Subtask, *, regions: bool = True) -> Observation:
        number = self._script.subtasks.index(subtask)
        said, views = self.sent["rain"], self.conventions.views
        return Observation(
            {view: np.asarray(self.sent["images"][view]) for view in views},
            {view: np.asarray(said["regions"][view][number]) for view in views} if regions else {},
            np.asarray(said["state"]),
            subtask.action_type,
        )

    def held_object(self) -> str | None:
        return None

    def step(self, action: NDArray) -> None:
        raise NotImplementedError("the benchmark steps its own world")

    def success(self) -> bool:
        return False

    def proprioception(self) -> NDArray[np.float32]:
        raise NotImplementedError("RAIN does not ask for it")


if __name__ == "__main__":
    from vla_eval.model_servers.serve import run_server

    run_server(RainModelServer)
