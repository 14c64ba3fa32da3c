"""The simulated OMY-F3M as a world: six joints and a gripper, moved by absolute joint targets.

Positions are in the robot base frame, which is the scene's; metres. The state is what the joints
measure, the action is what the servos are asked for, both in the order of ``arm.NAMES``. In one
control period a servo's setpoint moves straight towards the action, at most as fast as the joint
may turn.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import ACTION_DIM, Conventions, RainError, TaskScript
from rain.worlds.bodies import body_owners, body_subtree, finger_touches
from rain.worlds.mujoco_world import MujocoWorld
from rain.worlds.omy import arm
from rain.worlds.omy.kinematics import forward
from rain.worlds.omy.layouts import Layout, sample_layout
from rain.worlds.omy.scene import CAMERAS, RATE_HZ, SUBSTEPS, scene_xml
from rain.worlds.omy.tasks import find_omy_task, placements, put_on
from rain.worlds.omy.things import find_thing
from rain.worlds.omy.views import Views
from rain.worlds.pointing import pair_with
from rain.worlds.rendering import choose_gl_backend

STATE_MEANING = "omy_joints_gripper"
ACTION_MEANING = "omy_joint_absolute"
DEFAULT_VIEWS = ("third", "top", "wrist")
IMAGE_SIZE = 336
"""px, the paper's deployment."""
SETTLE_STEPS = 10
EVALUATION_STATES, FIRST_EVALUATION_SEED = 50, 2**31
"""Init states for evaluation are the layouts of these seeds, which no demonstration has."""
_LOW = np.append(arm.LIMITS[:, 0], arm.GRIPPER_LIMITS[0])
_HIGH = np.append(arm.LIMITS[:, 1], arm.GRIPPER_LIMITS[1])
_FARTHEST = np.append(np.full(6, arm.SPEED), arm.GRIPPER_SPEED) / RATE_HZ
"""rad in one control period."""


def omy_conventions(
    image_size: int = IMAGE_SIZE, views: tuple[str, ...] = DEFAULT_VIEWS
) -> Conventions:
    """What the arm's observations and actions mean."""
    for view in views:
        if view not in CAMERAS:
            raise RainError(f"view {view!r} is unknown; the arm has {', '.join(CAMERAS)}")
    return Conventions(views, image_size, STATE_MEANING, ACTION_MEANING, RATE_HZ)


@cache
def _compiled(things: tuple[str, ...]) -> Any:
    choose_gl_backend()
    try:
        import mujoco
    except ImportError as error:
        raise RainError(
            f"the simulator is not installed: pip install 'rain-robotics[sim]' ({error})"
        ) from error
    return mujoco.MjModel.from_xml_string(scene_xml(things))


class OmyWorld(MujocoWorld):
    """The arm above a table with the things of one task."""

    _views: Views

    def __init__(
        self,
        suite: str = "omy",
        task: int = 0,
        *,
        image_size: int = IMAGE_SIZE,
        rendering: str = "fast",
        views: tuple[str, ...] = DEFAULT_VIEWS,
    ) -> None:
        """Make the scene of a task; RainError when the task or a view is unknown."""
        self.task = find_omy_task(suite, task)
        self.conventions = omy_conventions(image_size, views)
        self.rendering = rendering
        self.model = _compiled(self.task.things)
        import mujoco

        self._mujoco = mujoco
        self.data = mujoco.MjData(self.model)
        self._views = Views(self.model, self.data, self.task.things, rendering)
        joints = [self.model.joint(name) for name in arm.NAMES]
        self._qpos = np.array([joint.qposadr[0] for joint in joints])
        self._qvel = np.array([joint.dofadr[0] for joint in joints])
        self._bodies = {name: int(self.model.body(name).id) for name in self.task.things}
        self._owners = body_owners(self.model, self._bodies, list(self.task.things))
        self._fingers = {
            body: side
            for side, root in (("left", "l1"), ("right", "r1"))
            for body in body_subtree(self.model.body_parentid, self.model.body(root).id)
        }
        self._rest_height: dict[str, float] = {}
        self.reset(seed=0)

    # --- what it is ---------------------------------------------------------------------------

    @property
    def script(self) -> TaskScript:
        """The task's own script."""
        return self.task.script

    @property
    def init_state_count(self) -> int:
        """How many init states there are that evaluations start from, the first ones."""
        return EVALUATION_STATES

    @property
    def development_state_count(self) -> int:
        """How many init states follow those, for development: none; fresh seeds do."""
        return 0

    def objects(self) -> list[str]:
        """Names of the movable things: all of them."""
        return sorted(self.task.things)

    def graspable(self) -> list[str]:
        """Names of the things that fit between the fingers."""
        return [name for name in self.objects() if find_thing(name).width]

    def places(self) -> list[str]:
        """Names of the things that something can be put on."""
        return [name for name in self.objects() if find_thing(name).place]

    def targets(self) -> tuple[str, ...]:
        """Names of everything that has a region."""
        return tuple(self.objects())

    def script_for(self, target: str) -> TaskScript:
        """The task's script with another thing in place of the one it grasps."""
        if target not in self.graspable():
            raise RainError(f"{target!r} cannot be grasped here: {', '.join(self.graspable())}")
        place = self.task.place
        if target == place:
            raise RainError(f"{target!r} is where things are put in this task")
        return put_on(target, place)

    def pointed_at(self) -> list[str]:
        """Every thing that can be grasped and every place, once each."""
        return sorted({*self.graspable(), *self.places()})

    def script_to(self, target: str, turn: int) -> TaskScript | None:
        """A script that grasps ``target``, or puts something on it where it cannot be grasped."""
        pairs = [
            (thing, place)
            for thing in self.graspable()
            for place in self.places()
            if thing != place and not self.lies_on(thing, place)
        ]
        pair = pair_with(pairs, target, turn)
        return None if pair is None else put_on(*pair)

    @property
    def whole_fails(self) -> bool:
        """Whether the task is a part of a longer one: never."""
        return False

    def full_success(self) -> bool:
        """Say whether the whole of the longer task holds now: there is none."""
        return False

    # --- reset and step -----------------------------------------------------------------------

    def reset(
        self, *, init_state: int | None = None, seed: int | None = None, settle: bool = True
    ) -> None:
        """Start again from init state ``init_state`` or a fresh layout of ``seed``."""
        if (init_state is None) == (seed is None):
            raise RainError("reset: give either init_state or seed")
        if init_state is not None:
            if not 0 <= init_state < EVALUATION_STATES:
                raise RainError(
                    f"{self.task.name} has init states 0 to {EVALUATION_STATES - 1}, "
                    f"not {init_state}"
                )
            seed = FIRST_EVALUATION_SEED + init_state
        assert seed is not None
        self.arrange(sample_layout(self.task.things, np.random.default_rng(seed)), settle=settle)

    def arrange(self, layout: Layout, *, settle: bool = True) -> None:
        """Start again with things and arm where a layout has them."""
        self._mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[self._qpos] = [*layout.joints, 0.0]
        self.data.ctrl[:] = [*layout.joints, 0.0]
        for name, (x, y, yaw) in layout.places.items():
            pose = self.data.joint(name).qpos
            pose[:3] = x, y, find_thing(name).height + 0.001
            pose[3:] = np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)
        self._mujoco.mj_forward(self.model, self.data)
        for _ in range(SETTLE_STEPS if settle else 0):
            self.step(self.setpoint)
        self._rest_height = {name: float(self.object_pose(name)[0][2]) for name in self.objects()}

    def step(self, action: ArrayLike) -> None:
        """Move the servos' setpoints to joint targets (7,) rad, for one period of 1/30 s.

        Targets beyond a joint's limits or farther than it can turn in a period are clipped.
        RainError, and nothing moves, where one is NaN or there are not seven.
        """
        target = np.asarray(action, dtype=np.float64)
        if target.shape != (ACTION_DIM,) or not np.isfinite(target).all():
            raise RainError(f"action: expected {ACTION_DIM} finite numbers, got {target}")
        before = self.setpoint
        change = np.clip(np.clip(target, _LOW, _HIGH) - before, -_FARTHEST, _FARTHEST)
        for substep in range(1, SUBSTEPS + 1):
            self.data.ctrl[:] = before + change * (substep / SUBSTEPS)
            self._mujoco.mj_step(self.model, self.data)
        # Contacts and poses of now, not of the last substep's beginning.
        self._mujoco.mj_forward(self.model, self.data)

    @property
    def setpoint(self) -> NDArray[np.float64]:
        """(7,) rad, what the servos are asked for now."""
        return self.data.ctrl.copy()

    def get_state(self) -> NDArray[np.float64]:
        """The simulator's state: [time, qpos, qvel, setpoints]."""
        data = self.data
        return np.concatenate([[data.time], data.qpos, data.qvel, data.ctrl])

    def set_state(self, state: ArrayLike) -> None:
        """Set what ``get_state`` gave; RainError where it is another scene's."""
        values = np.asarray(state, dtype=np.float64)
        sizes = np.cumsum([1, self.model.nq, self.model.nv, self.model.nu])
        if values.shape != (sizes[-1],):
            raise RainError(
                f"a state of {self.task.name} has {sizes[-1]} numbers, got {values.shape}: "
                "it belongs to another scene"
            )
        time, self.data.qpos[:], self.data.qvel[:], self.data.ctrl[:] = np.split(values, sizes[:-1])
        self.data.time = float(time[0])
        self.data.qacc_warmstart[:] = 0
        self._mujoco.mj_forward(self.model, self.data)

    def fixture_poses(self) -> NDArray[np.float64]:
        """Poses of what stands still beside the state, (0, 7): there is nothing."""
        return np.zeros((0, 7))

    def set_fixture_poses(self, poses: NDArray) -> None:
        """Write back what ``fixture_poses`` gave; RainError where it is another scene's."""
        if np.shape(poses) != (0, 7):
            raise RainError(f"{self.task.name} has no fixtures, got poses {np.shape(poses)}")

    # --- what it shows ------------------------------------------------------------------------

    def state(self) -> NDArray[np.float32]:
        """(7,) rad: six joints and the gripper, as measured."""
        return self.data.qpos[self._qpos].astype(np.float32)

    def velocity(self) -> NDArray[np.float32]:
        """(7,) rad/s: of the same joints."""
        return self.data.qvel[self._qvel].astype(np.float32)

    def proprioception(self) -> NDArray[np.float32]:
        """(7,): the arm has no other state than its joints."""
        return self.state()

    def ee_pose(self) -> tuple[NDArray, NDArray]:
        """Hand position (3,) m and rotation (3, 3), by forward kinematics of the joints."""
        return forward(self.data.qpos[self._qpos[:6]])

    def object_pose(self, name: str) -> tuple[NDArray, NDArray]:
        """A thing's origin (3,) m and rotation (3, 3)."""
        if name not in self._bodies:
            raise RainError(f"{name!r} is not in this scene; it has {', '.join(self.objects())}")
        body = self._bodies[name]
        return self.data.xpos[body].copy(), self.data.xmat[body].reshape(3, 3).copy()

    def project(self, points: ArrayLike, view: str, size: int | None = None) -> NDArray:
        """Project points (N, 3) to pixels (N, 2), u right, v down; NaN when behind."""
        return self._views.project(points, view, size or self.conventions.image_size)

    # --- what is true -------------------------------------------------------------------------

    def success(self) -> bool:
        """Say whether the task's thing lies on its place and the hand has let go of it."""
        return self.script_success(self.script)

    def script_success(self, script: TaskScript) -> bool:
        """Say whether every thing lies where ``script`` leaves it."""
        return all(self.lies_on(thing, place) for thing, place in placements(script).items())

    def lies_on(self, name: str, place: str) -> bool:
        """Whether a thing touches a place, is above it, and no finger touches the thing."""
        (x, y, z), _ = self.object_pose(name)
        (at_x, at_y, at_z), _ = self.object_pose(place)
        spot = find_thing(place)
        above = np.hypot(x - at_x, y - at_y) < spot.radius and z > at_z + spot.place
        return bool(above) and self._touching(name, place) and name not in self._touches()

    def joint_margin(self) -> float:
        """How far the arm's joint that is nearest to a limit of its own is from it, rad."""
        angles = self.data.qpos[self._qpos[:6]]
        return float(np.minimum(angles - arm.LIMITS[:, 0], arm.LIMITS[:, 1] - angles).min())

    def close(self) -> None:
        """Free the GL context."""
        self._views.close()

    def _touches(self) -> dict[str, set[str]]:
        return finger_touches(self.model, self.data, self._fingers, self._owners)

    def _touching(self, one: str, other: str) -> bool:
        bodies = self.model.geom_bodyid[self.data.contact.geom]
        pair = {self._bodies[one], self._bodies[other]}
        return any(set(two) == pair for two in bodies.tolist())
