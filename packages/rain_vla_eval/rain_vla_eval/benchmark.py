"""LIBERO-EX for vla-eval's runner: 75 tasks, 10 frozen init states each.

The observations are those of vla-eval's own LIBERO benchmark (the same keys, the half turn, 256
pixels, the same state), so that its model servers for LIBERO run on it unchanged; RAIN's server
asks for upright images and regions instead.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from vla_eval.benchmarks.base import StepBenchmark, StepResult
from vla_eval.render import configure_mujoco_render
from vla_eval.rotation import matrix_to_quat, quat_to_axisangle
from vla_eval.specs import (
    GRIPPER_CLOSE_POS,
    IMAGE_RGB,
    LANGUAGE,
    POSITION_DELTA,
    ROTATION_AA,
    STATE_EEF_POS_AA_GRIP,
    DimSpec,
)
from vla_eval.types import Action, EpisodeResult, Observation, Task

from rain.bench.remote.conventions import libero_wording
from rain.types import RainError
from rain.worlds.libero.ex.tasks import ex_tasks
from rain_vla_eval.scene import Scene

REGIONS = DimSpec("regions", 0, "rain_regions_of_every_subtask")
"""What RAIN's server asks for: under ``rain``, script, state and regions."""

EPISODES = 10
"""Init states a task that are for evaluation."""


class LiberoEx(StepBenchmark):
    """LIBERO-EX: object grounding, layout, task comprehension.

    An episode of a decomposition task (a part of a longer task) goes on when the part is done,
    because doing the whole fails: it succeeds if the goal holds at its end and the whole never
    held.

    Args:
        image_size: Side of the images, pixels.
        rendering: ``official`` as LIBERO renders, ``fast`` without reflections.
        upright: Upright images; else after LIBERO's half turn, as VLAs were trained.
        send_regions: Also the script and the regions of its subtasks (RAIN's server asks for it).
        send_wrist_image, send_state, absolute_action, quat_no_antipodal: as in vla-eval's LIBERO.
        horizon: Control steps an episode may take; None: each task's own.
    """

    render_backends = frozenset({"gpu", "cpu"})

    @classmethod
    def configure_render(cls, mode: str) -> dict[str, str]:
        """EGL or OSMesa, as for vla-eval's own LIBERO."""
        return configure_mujoco_render(mode)

    def __init__(
        self,
        image_size: int = 256,
        rendering: str = "official",
        upright: bool = False,
        send_regions: bool = False,
        send_wrist_image: bool = False,
        send_state: bool = False,
        absolute_action: bool = False,
        quat_no_antipodal: bool = False,
        horizon: int | None = None,
    ) -> None:
        super().__init__()
        self._size, self._rendering, self._upright = image_size, rendering, upright
        self._regions, self._wrist, self._state = send_regions, send_wrist_image, send_state
        self._absolute, self._raw_angle = absolute_action, quat_no_antipodal
        self._horizon = horizon
        self._tasks = {int(task.id): task for task in ex_tasks()}
        self._scene: Scene | None = None
        self._number = 0
        self._steps = 0
        self._spoiled = False

    def cleanup(self) -> None:
        """End the simulator's process."""
        if self._scene is not None:
            self._scene.close()
            self._scene = None

    def get_tasks(self) -> list[Task]:
        """All 75; ``suite`` is the category, so that ``tasks: [layout]`` picks one."""
        return [
            {
                "name": f"{task.id} {libero_wording(task.instruction)}",
                "suite": task.category,
                "type": task.type,
                "number": number,
                "instruction": libero_wording(task.instruction),
            }
            for number, task in self._tasks.items()
        ]

    def reset(self, task: Task) -> Any:
        """Start an episode from its frozen init state."""
        episode = int(task.get("episode_idx", 0))
        if not 0 <= episode < EPISODES:
            raise RainError(f"LIBERO-EX has {EPISODES} episodes a task, not {episode + 1}")
        if self._scene is None or self._number != task["number"]:
            self.cleanup()
            self._number = task["number"]
            self._scene = Scene(self._number, self._size, self._rendering)
        self._steps, self._spoiled = 0, False
        self._scene.reset(episode, self._absolute)
        seen = self._scene.look(self._regions)
        self._recorder.record_video(self._picture(seen, "agentview"))
        return seen

    def step(self, action: Action) -> StepResult:
        """Apply one action (7,); RainError, which vla-eval records as an error, when it is none."""
        assert self._scene is not None
        given = np.asarray(action.get("actions", action.get("action")), dtype=np.float64)
        if given.shape != (7,) or not np.isfinite(given).all():
            raise RainError(f"expected 7 finite numbers for an action, got {given.shape}")
        given[-1] = -1.0 if given[-1] < 0 else 1.0
        reached, whole = self._scene.step(given)
        self._steps += 1
        self._spoiled = self._spoiled or whole
        seen = self._scene.look(self._regions)
        success = reached and not self._spoiled
        done = self._spoiled or (success and not self._is_part()) or self._out_of_time()
        self._recorder.record_video(self._picture(seen, "agentview"))
        self._recorder.record_step(
            reward=float(success), done=done, success=success, action=given.astype(np.float32)
        )
        return StepResult(obs=seen, reward=float(success), done=done, info={"success": success})

    def make_obs(self, raw_obs: Any, task: Task) -> Observation:
        """What the model server gets."""
        views = ("agentview", "wrist") if self._wrist else ("agentview",)
        said: dict[str, Any] = {
            "images": {view: self._picture(raw_obs, view) for view in views},
            "task_description": task["instruction"],
        }
        if self._state:
            state = np.array(raw_obs["proprioception"])
            if not self._raw_angle:
                state[3:6] = shortest(state[3:6])
            position, matrix = raw_obs["controller"]
            angle = quat_to_axisangle(matrix_to_quat(matrix))
            said["states"] = state
            said["controller_states"] = np.concatenate([position, angle, state[6:]]).astype("f4")
        if self._regions:
            script = self._tasks[self._number].script
            said["rain"] = {
                "instruction": script.instruction,
                "subtasks": [[s.action_type, s.target] for s in script.subtasks],
                "state": raw_obs["state"],
                "regions": raw_obs["regions"],
            }
        return said

    def get_step_result(self, step_result: StepResult) -> EpisodeResult:
        """Whether the episode succeeded."""
        return {"success": bool(step_result.info.get("success", False))}

    def get_metadata(self) -> dict[str, Any]:
        """The longest horizon; each task's own ends its episodes."""
        longest = self._horizon or max(task.horizon for task in self._tasks.values())
        return {"max_steps": longest, "max_episodes_per_task": EPISODES, "suite": "libero_ex"}

    def get_action_spec(self) -> dict[str, DimSpec]:
        """LIBERO's: deltas, +1 closes."""
        return {
            "position": POSITION_DELTA,
            "rotation": ROTATION_AA,
            "gripper": GRIPPER_CLOSE_POS,
        }

    def get_observation_spec(self) -> dict[str, DimSpec]:
        """What ``make_obs`` sends."""
        spec = {"agentview": IMAGE_RGB, "language": LANGUAGE}
        if self._wrist:
            spec["wrist"] = IMAGE_RGB
        if self._state:
            spec["state"] = STATE_EEF_POS_AA_GRIP
        if self._regions:
            spec["regions"] = REGIONS
        return spec

    def _picture(self, seen: dict[str, Any], view: str) -> NDArray[np.uint8]:
        image = seen["images"][view]
        return np.ascontiguousarray(image if self._upright else image[:, ::-1])

    def _is_part(self) -> bool:
        return bool(self._tasks[self._number].full_goal())

    def _out_of_time(self) -> bool:
        return self._steps >= (self._horizon or self._tasks[self._number].horizon)


def shortest(axis_angle: NDArray) -> NDArray:
    """The axis-angle (3,) of the same rotation that is at most π long."""
    angle = float(np.linalg.norm(axis_angle))
    return axis_angle if angle <= np.pi else axis_angle * (angle - 2 * np.pi) / angle
