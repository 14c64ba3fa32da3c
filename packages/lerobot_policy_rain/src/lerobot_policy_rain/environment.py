"""LIBERO as a LeRobot environment that shows regions: ``--env.type=rain``.

LeRobot's own LIBERO environment has no regions. Environments named ``libero`` are taken by it, so
this one is named after what it adds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from lerobot.configs.types import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from numpy.typing import NDArray

from rain.types import ACTION_DIM, ACTION_TYPES, STATE_DIM, RainError

GYM_ID = "lerobot_policy_rain/Libero-v0"
VIEWS = ("agentview", "wrist")


@EnvConfig.register_subclass("rain")
@dataclass
class RainEnv(EnvConfig):
    """A LIBERO task with the regions of its task script.

    task: SUITE/NUMBER. target: another object to point at in place of the task's own, to measure
    region following. starts: ``init`` takes the official init states, in the order of seeds,
    ``fresh`` samples the same regions. image_size: the policy's. horizon: control steps.
    """

    task: str | None = "libero_object/0"
    fps: int = 20
    target: str | None = None
    starts: str = "init"
    image_size: int = 128
    horizon: int = 280

    def __post_init__(self) -> None:
        if self.starts not in ("init", "fresh"):
            raise RainError(f"starts: expected init or fresh, got {self.starts!r}")
        size = (self.image_size, self.image_size, 3)
        for view in VIEWS:
            self.features[f"pixels/{view}"] = PolicyFeature(FeatureType.VISUAL, size)
            self.features_map[f"pixels/{view}"] = f"observation.images.{view}"
        self.features["agent_pos"] = PolicyFeature(FeatureType.STATE, (STATE_DIM,))
        self.features["action"] = PolicyFeature(FeatureType.ACTION, (ACTION_DIM,))
        self.features_map |= {"agent_pos": "observation.state", "action": "action"}

    @property
    def package_name(self) -> str:
        """Where the environment is registered."""
        return __package__ or "lerobot_policy_rain"

    @property
    def gym_id(self) -> str:
        """Gymnasium's name of the environment."""
        return GYM_ID

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """What the environment is made with."""
        suite, _, number = (self.task or "").partition("/")
        if not number.isdigit():
            raise RainError(
                f"env.task: expected SUITE/NUMBER, e.g. libero_object/0, not {self.task}"
            )
        return {
            "suite": suite,
            "task": int(number),
            "target": self.target,
            "starts": self.starts,
            "image_size": self.image_size,
            "max_episode_steps": self.horizon,
        }


class ScriptEnv(gym.Env):
    """A world with a task script, as LeRobot expects environments to be.

    Observations: ``pixels`` (view -> uint8 (S, S, 3)), ``agent_pos`` (7,), and under
    ``robot_state``, which LeRobot passes on, ``regions`` (view -> uint8 (N, S, S), one for each
    subtask's target) and ``action_types`` (N,), indices in ``rain.types.ACTION_TYPES``.
    world: a LiberoWorld, or anything with what is used of it. An episode ends when the goal holds.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 20}  # noqa: RUF012 - gymnasium's
    render_mode = "rgb_array"

    def __init__(self, world: Any, target: str | None = None, starts: str = "init") -> None:
        self.world, self._starts = world, starts
        self.script = world.script if target is None else world.script_for(target)
        self._goal = world.success if target is None else lambda: world.script_success(self.script)
        self.task = self.task_description = self.script.instruction
        self._next = 0
        size, views = world.conventions.image_size, world.conventions.views
        count = len(self.script.subtasks)
        picture = spaces.Box(0, 255, (size, size, 3), np.uint8)
        region = spaces.Box(0, 1, (count, size, size), np.uint8)
        kinds = spaces.Box(0, len(ACTION_TYPES) - 1, (count,), np.int64)
        told = {"regions": spaces.Dict(dict.fromkeys(views, region)), "action_types": kinds}
        self.observation_space = spaces.Dict(
            {
                "pixels": spaces.Dict(dict.fromkeys(views, picture)),
                "agent_pos": spaces.Box(-np.inf, np.inf, (STATE_DIM,), np.float32),
                "robot_state": spaces.Dict(told),
            }
        )
        self.action_space = spaces.Box(-1, 1, (ACTION_DIM,), np.float32)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin at the start that ``seed`` names, or at the one after the last."""
        super().reset(seed=seed)
        number = self._next if seed is None else seed
        self._next = number + 1
        if self._starts == "init":
            self.world.reset(init_state=number % self.world.init_state_count)
        else:
            self.world.reset(seed=number)
        return self._observe(), {"is_success": False}

    def step(
        self, action: NDArray[np.float32]
    ) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Apply one action, (7,)."""
        self.world.step(action)
        success = bool(self._goal())
        return self._observe(), float(success), success, False, {"is_success": success}

    def render(self) -> NDArray[np.uint8]:
        """The first view, uint8 (S, S, 3)."""
        conventions = self.world.conventions
        return self.world.render(conventions.views[0], conventions.image_size)

    def close(self) -> None:
        """Free the world."""
        self.world.close()

    def _observe(self) -> dict[str, Any]:
        views = self.world.conventions.views
        targets = [subtask.target for subtask in self.script.subtasks]
        kinds = [ACTION_TYPES.index(subtask.action_type) for subtask in self.script.subtasks]
        # All regions of a view come from one segmentation.
        regions = {view: self.world.regions(targets, view).astype(np.uint8) for view in views}
        return {
            "pixels": {
                view: self.world.render(view, self.world.conventions.image_size) for view in views
            },
            "agent_pos": self.world.state(),
            "robot_state": {"regions": regions, "action_types": np.array(kinds)},
        }


def make_libero(
    suite: str, task: int, target: str | None, starts: str, image_size: int
) -> ScriptEnv:
    """Make a LIBERO task's environment; needs RAIN's ``sim`` extra."""
    from rain.worlds.libero.world import LiberoWorld

    return ScriptEnv(LiberoWorld(suite, task, image_size=image_size), target, starts)


gym.register(GYM_ID, entry_point=f"{__name__}:make_libero")
