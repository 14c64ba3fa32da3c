"""LIBERO as a world: one scene, its regions, its official init states and its goal.

Keep one world per process: closing one silently corrupts another's images.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import Conventions, RainError, TaskScript
from rain.worlds.bodies import body_owners, body_subtree, finger_touches
from rain.worlds.libero import loading
from rain.worlds.libero.goals import Predicate, goal_of
from rain.worlds.libero.init_states import InitStates
from rain.worlds.libero.suites import find_task
from rain.worlds.libero.views import CAMERAS, Views
from rain.worlds.mujoco_world import MujocoWorld

STATE_MEANING = "libero_ee_axis_angle_gripper"
ACTION_MEANING = "libero_osc_pose_delta"
RATE_HZ = 20.0
SETTLE_STEPS = 20
"""Stored states are unsettled: objects start 5-7 cm above the table."""

IDLE = np.array([0, 0, 0, 0, 0, 0, -1], dtype=np.float64)


def libero_conventions(
    image_size: int, views: tuple[str, ...] = ("agentview", "wrist")
) -> Conventions:
    """What LIBERO's observations and actions mean."""
    for view in views:
        if view not in CAMERAS:
            raise RainError(f"view {view!r} is unknown; LIBERO has {', '.join(CAMERAS)}")
    return Conventions(views, image_size, STATE_MEANING, ACTION_MEANING, RATE_HZ)


class LiberoWorld(MujocoWorld):
    """A LIBERO task's scene. Positions it takes and gives are in the robot base frame, metres."""

    _views: Views

    def __init__(
        self,
        suite: str,
        task: int,
        *,
        image_size: int = 128,
        rendering: str = "fast",
        views: tuple[str, ...] = ("agentview", "wrist"),
    ) -> None:
        """Load the scene of task number ``task``; RainError when suite or task is unknown."""
        self.task = find_task(suite, task)
        self.rendering = rendering
        self.conventions = libero_conventions(image_size, views)
        with self.task.scene_file() as bddl:
            self.env = loading.make_env(bddl)
        self._views = Views(self.env, rendering)
        self._init_states: InitStates | None = None
        self._rest_height: dict[str, float] = {}
        self._geom_ids: dict[str, NDArray[np.int64]] = {}
        self._owners: dict[int, str] = {}
        self._fingers: dict[int, str] = {}
        self.reset(seed=0)

    # --- what it is ---------------------------------------------------------------------------

    @property
    def script(self) -> TaskScript:
        """The task's own script."""
        return self.task.script

    @property
    def init_state_count(self) -> int:
        """How many init states there are that evaluations start from, the first ones."""
        return self._load_init_states().evaluation

    @property
    def development_state_count(self) -> int:
        """How many init states follow those, for development."""
        return self._load_init_states().development

    @property
    def model(self) -> Any:
        """The MjModel."""
        return self.env.sim.model._model

    @property
    def data(self) -> Any:
        """The MjData."""
        return self.env.sim.data._data

    def objects(self) -> list[str]:
        """Names of the movable objects."""
        return sorted(self.env.objects_dict)

    def fixtures(self) -> list[str]:
        """Names of the fixtures but the table or floor that everything is on."""
        return sorted(n for n in self.env.fixtures_dict if n in self.env.obj_body_id)

    def graspable(self) -> list[str]:
        """Names of the movable objects that are not containers."""
        return [name for name in self.objects() if not name.startswith("basket")]

    def script_for(self, target: str) -> TaskScript:
        """The task's own script with another object in place of the one it grasps first."""
        return _pointing().script_for(self, target)

    def pointed_at(self) -> list[str]:
        """Every object that can be grasped and every place, whether or not it can be used now."""
        return _pointing().pointed_at(self)

    def script_to(self, target: str, turn: int) -> TaskScript | None:
        """A grasp and a release that point at one of them in the scene as it is now, or None."""
        return _pointing().script_to(self, target, turn)

    # --- reset and step -----------------------------------------------------------------------

    def reset(
        self, *, init_state: int | None = None, seed: int | None = None, settle: bool = True
    ) -> None:
        """Start again from init state ``init_state`` or a fresh sample with ``seed``.

        A fresh sample draws the same BDDL regions as the init states did. Both settle, but for
        init states that were stored at rest: those are restored to the bit.
        """
        if (init_state is None) == (seed is None):
            raise RainError("reset: give either init_state or seed")
        starts = self._load_init_states() if init_state is not None else None
        if init_state is not None and not 0 <= init_state < len(starts or ()):
            raise RainError(
                f"{self.task.name} has init states 0 to {len(starts or ()) - 1}, not {init_state}"
            )
        # The gripper's command ramp is not part of the simulator's state: only reset clears it.
        loading.seeded_reset(self.env, 0 if seed is None else seed)
        self.task.arrange(self)
        if starts is not None and init_state is not None:
            if starts.fixture_poses is not None:
                self.set_fixture_poses(starts.fixture_poses[init_state])
            self.set_state(starts.states[init_state])
        if starts is not None and starts.settled:
            loading.hold_gripper_open(self.env)
            self.settle(0)
        elif settle:
            self.settle()

    def settle(self, steps: int = SETTLE_STEPS) -> None:
        """Let objects come to rest and remember how high each lies."""
        for _ in range(steps):
            self.env.step(IDLE)
        self._rest_height = {name: float(self.object_pose(name)[0][2]) for name in self.objects()}

    def step(self, action: ArrayLike) -> None:
        """Apply one OSC action (7,) for one control period of 1/20 s."""
        self.env.step(np.clip(np.asarray(action, dtype=np.float64), -1.0, 1.0))

    def get_state(self) -> NDArray[np.float64]:
        """The simulator's state as LIBERO stores it: [time, qpos, qvel]."""
        return self.env.sim.get_state().flatten()

    def set_state(self, state: ArrayLike) -> None:
        """Set [time, qpos, qvel]; fixtures stay where they are (see ``fixture_poses``)."""
        state = np.asarray(state, dtype=np.float64)
        expected = 1 + self.model.nq + self.model.nv
        if state.shape != (expected,):
            raise RainError(
                f"a state of {self.task.name} has {expected} numbers, got {state.shape}: "
                "it belongs to another scene"
            )
        self.env.sim.set_state_from_flattened(state)
        self.env.sim.forward()
        self.env._post_process()

    def place_object(
        self, name: str, xy: ArrayLike, yaw: float = 0.0, z: float | None = None
    ) -> None:
        """Put an object at xy (base frame, m), turned by ``yaw`` about the vertical.

        z: height of its origin, m, base frame; by default it stays as it is.
        """
        joint = self.env.objects_dict[name].joints[-1]
        pose = np.array(self.env.sim.data.get_joint_qpos(joint))
        pose[:2] = np.asarray(xy) + self.base_position[:2]
        if z is not None:
            pose[2] = z + self.base_position[2]
        pose[3:] = loading.turned_about_vertical(pose[3:], yaw)
        self.env.sim.data.set_joint_qpos(joint, pose)
        self.env.sim.data.set_joint_qvel(joint, np.zeros(6))
        self.env.sim.forward()

    def joint_value(self, name: str) -> float:
        """Value of a fixture's joint, m or rad, by its name in the model."""
        return float(self.data.qpos[self.model.joint(name).qposadr[0]])

    def set_joint(self, name: str, value: float) -> None:
        """Set a fixture's joint, m or rad, at rest."""
        joint = self.model.joint(name)
        self.data.qpos[joint.qposadr[0]] = value
        self.data.qvel[joint.dofadr[0]] = 0.0
        self.env.sim.forward()

    def fixture_poses(self) -> NDArray[np.float64]:
        """Poses of the fixtures, (n, 7), in sorted order; not part of the state, so kept beside."""
        ids = [self.env.obj_body_id[name] for name in self.fixtures()]
        return np.array(
            [np.r_[self.model.body_pos[i], self.model.body_quat[i]] for i in ids]
        ).reshape(-1, 7)

    def set_fixture_poses(self, poses: NDArray) -> None:
        """Write back what ``fixture_poses`` gave."""
        names = self.fixtures()
        if np.shape(poses) != (len(names), 7):
            raise RainError(f"expected {len(names)} fixture poses, got {np.shape(poses)}")
        for name, pose in zip(names, poses, strict=True):
            body = self.env.obj_body_id[name]
            self.model.body_pos[body], self.model.body_quat[body] = pose[:3], pose[3:]
        self.env.sim.forward()

    # --- what it shows ------------------------------------------------------------------------

    def state(self) -> NDArray[np.float32]:
        """(7,): end-effector position (m), axis-angle (rad), gripper opening (m)."""
        position, rotation = self.ee_pose()
        angle = loading.axis_angle(rotation)
        return np.concatenate([position, angle, [self.gripper_opening()]]).astype(np.float32)

    def proprioception(self) -> NDArray[np.float32]:
        """(8,): LIBERO's own observations, which other policies were trained on.

        End-effector position (m) in the scene's frame, axis-angle (rad), both finger joints (m).
        """
        # From the body's own quaternion: one made from the matrix may have the other sign, and the
        # axis-angle of the same rotation is then another.
        body = self.model.body(self.env.robots[0].robot_model.eef_name).id
        angle = loading.quaternion_axis_angle(self.data.xquat[body])
        position = self.ee_pose()[0] + self.base_position
        return np.concatenate([position, angle, self._finger_joints()]).astype(np.float32)

    def _finger_joints(self) -> NDArray:
        """Values of the fingers' joints, (2,), m."""
        return self.env.sim.data.qpos[self.env.robots[0]._ref_gripper_joint_pos_indexes]

    def gripper_opening(self) -> float:
        """Distance between the fingers, m."""
        left, right = self._finger_joints()
        return float(left - right)

    def ee_pose(self) -> tuple[NDArray, NDArray]:
        """End-effector position (3,), base frame, and rotation (3, 3)."""
        robot = self.env.robots[0]
        site = self.data.site_xpos[robot.eef_site_id]
        body = self.model.body(robot.robot_model.eef_name).id
        return site - self.base_position, self.data.xmat[body].reshape(3, 3).copy()

    @property
    def base_position(self) -> NDArray:
        """Origin of the robot base frame in the scene, (3,); its axes are the scene's."""
        return self.data.xpos[self.model.body("robot0_base").id].copy()

    def object_pose(self, name: str) -> tuple[NDArray, NDArray]:
        """An object's origin (3,), base frame, and rotation (3, 3)."""
        body = self.env.obj_body_id[name]
        return self.data.xpos[body] - self.base_position, self.data.xmat[body].reshape(3, 3).copy()

    def geoms_of(self, name: str) -> NDArray[np.int64]:
        """Ids of all geoms, visible or not, of an object or fixture."""
        if name not in self._geom_ids:
            root = self.env.obj_body_id[name]
            bodies = body_subtree(self.model.body_parentid, root)
            self._geom_ids[name] = np.flatnonzero(np.isin(self.model.geom_bodyid, list(bodies)))
        return self._geom_ids[name]

    def fixture_geoms(self) -> NDArray[np.int64]:
        """Ids of the solid geoms of all fixtures but the table or floor that everything is on."""
        if "" not in self._geom_ids:
            ids = np.concatenate([np.zeros(0, np.int64), *map(self.geoms_of, self.fixtures())])
            self._geom_ids[""] = ids[self.model.geom_group[ids] == 0]
        return self._geom_ids[""]

    def site_pose(self, name: str) -> tuple[NDArray, NDArray, NDArray]:
        """A LIBERO site's centre (3,), base frame, rotation (3, 3) and half sizes (3,)."""
        site = self.model.site(name).id
        size = np.asarray(self.env.object_sites_dict[name].size, dtype=np.float64)
        return (
            self.data.site_xpos[site] - self.base_position,
            self.data.site_xmat[site].reshape(3, 3).copy(),
            np.resize(size, 3),
        )

    def targets(self) -> tuple[str, ...]:
        """Names of all targets of the scene: objects, fixtures, their parts, places."""
        return self._views.targets()

    def project(self, points: ArrayLike, view: str, size: int | None = None) -> NDArray:
        """Project base-frame points (N, 3) to pixels (N, 2), u right, v down; NaN when behind."""
        scene = np.asarray(points, dtype=np.float64) + self.base_position
        return self._views.project(scene, view, size or self.conventions.image_size)

    # --- what is true -------------------------------------------------------------------------

    def success(self) -> bool:
        """Say whether the task's own BDDL goal holds now."""
        return bool(self.env._check_success())

    @property
    def whole_fails(self) -> bool:
        """Whether doing the whole task of which this one is a part counts as failure."""
        return bool(self.task.full_goal())

    def full_success(self) -> bool:
        """Say whether the whole task holds now of which this one asks for a part; else False.

        Of LIBERO-EX's decomposition tasks; an episode in which it held has failed.
        """
        full = self.task.full_goal()
        return bool(full) and all(self.holds(p) for p in full)

    def script_success(self, script: TaskScript) -> bool:
        """Say whether what ``script`` leads to holds now: each object at its place, each joint."""
        return not self.unmet(script)

    def unmet(self, script: TaskScript) -> list[Predicate]:
        """What ``script`` leads to and does not hold now."""
        return [p for p in goal_of(script) if not self.holds(p)]

    def holds(self, predicate: Predicate) -> bool:
        """Evaluate one of LIBERO's predicates now."""
        return bool(self.env._eval_predicate(list(predicate)))

    def joint_margin(self) -> float:
        """How far the arm's joint that is nearest to a limit of its own is from it, rad."""
        robot = self.env.robots[0]
        angles = self.data.qpos[robot._ref_joint_pos_indexes]
        limits = self.model.jnt_range[robot._ref_joint_indexes]
        return float(np.minimum(angles - limits[:, 0], limits[:, 1] - angles).min())

    def _touches(self) -> dict[str, set[str]]:
        if not self._owners:
            self._owners = body_owners(self.model, self.env.obj_body_id, self.objects())
            self._fingers = loading.finger_bodies(self.model)
        return finger_touches(self.model, self.data, self._fingers, self._owners)

    def close(self) -> None:
        """Free the simulator and its GL context."""
        self._views.close()
        self.env.close()

    # --- inside -------------------------------------------------------------------------------

    def _load_init_states(self) -> InitStates:
        if self._init_states is None:
            self._init_states = self.task.load_init_states()
        return self._init_states


def _pointing() -> ModuleType:
    """The module of scripts that point; it imports the experts, who import this module."""
    from rain.worlds.libero import pointing

    return pointing
