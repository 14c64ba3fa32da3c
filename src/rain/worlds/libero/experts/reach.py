"""Whether the arm can take a pose, tried on a copy of the simulator's state.

Damped least squares over the arm's seven joints; then MuJoCo's own collision check.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.worlds.libero.experts.motion import rotation_vector
from rain.worlds.libero.regions import body_subtree
from rain.worlds.libero.world import LiberoWorld

ITERATIONS = 60
DAMPING = 0.05
NEAR_POSITION, NEAR_ROTATION, NEAR_SWIVEL = 0.004, 0.03, 0.03
"""m, rad, rad a step; what a solution may miss the pose, and rest in its swivel, by."""
SWIVEL = 0.3
"""Share of the way to the usual place that what the pose leaves free goes in one step."""
LIMIT_ROOM = 0.08
"""rad; joints nearer to their limits than this do not count as reached."""
TOUCHING = -0.001
COMFORT = (0.33, 0.755)
"""m from the base, horizontally: nearer or further the arm arrives tilted, or not at all."""
WHOLE = (0.28, 0.86)
"""m from the base, horizontally, beyond which nothing is tried."""


@dataclass(frozen=True)
class Posture:
    """A way to take a pose.

    joints (7,): rad; touched: names of the objects and fixtures that the arm touches there; bodies:
    those of their bodies that it touches; travel: largest way of a joint from where it is now, rad.
    """

    joints: NDArray
    touched: frozenset[str]
    bodies: frozenset[int]
    travel: float


class Reach:
    """Answers for one world; the world itself is not moved."""

    def __init__(self, world: LiberoWorld) -> None:
        """Copy what does not change."""
        import mujoco  # late: it chooses its GL back end when it is imported

        self.world = world
        model = world.model
        self.data = mujoco.MjData(model)
        robot = world.env.robots[0]
        self.qpos = np.asarray(robot._ref_joint_pos_indexes)
        self.dofs = np.asarray(robot._ref_joint_vel_indexes)
        self.fingers = np.asarray(robot._ref_gripper_joint_pos_indexes)
        self.home = np.asarray(robot.init_qpos)
        self.site = robot.eef_site_id
        self.body = model.body(robot.robot_model.eef_name).id
        self.limits = model.jnt_range[[model.dof_jntid[d] for d in self.dofs]]
        arm = body_subtree(model.body_parentid, model.body("robot0_base").id)
        self.arm = np.isin(model.geom_bodyid, list(arm))
        self.names = {
            body: name
            for name, root in world.env.obj_body_id.items()
            for body in body_subtree(model.body_parentid, root)
        }

    def posture(
        self,
        position: NDArray,
        rotation: NDArray,
        *,
        opening: float | None = None,
        joints: Mapping[int, float] | None = None,
        start: NDArray | None = None,
        without: Collection[str] = (),
        ring: tuple[float, float] = COMFORT,
    ) -> Posture | None:
        """Find joints for a pose of the hand in the base frame; ``None`` when there are none.

        opening: finger gap, m, default as now; joints: other joints to set first (qpos address ->
        value), such as a drawer's; start (7,): where the search begins; without: objects that are
        carried, or lie in the drawer, and so move along: they are taken out of the way; ring: least
        and largest horizontal distance from the base, m.
        """
        if not ring[0] < float(np.hypot(*position[:2])) < ring[1]:
            return None
        import mujoco

        model, data = self.world.model, self.data
        data.qpos[:] = self.world.data.qpos
        now = data.qpos[self.qpos].copy()
        if opening is not None:
            data.qpos[self.fingers] = opening / 2 * np.array([1, -1])
        for address, value in (joints or {}).items():
            data.qpos[address] = value
        for name in without:
            joint = self.world.env.objects_dict[name].joints[-1]
            data.qpos[model.joint(joint).qposadr[0] + 2] += 5.0
        if start is not None:
            data.qpos[self.qpos] = start
        goal = np.asarray(position) + self.world.base_position
        if not self._solve(goal, rotation):
            # From where the arm is now the search may run into a limit: begin at its usual place.
            data.qpos[self.qpos] = self.home
            if start is not None or not self._solve(goal, rotation):
                return None
        mujoco.mj_fwdPosition(model, data)
        found = data.qpos[self.qpos].copy()
        bodies = self._touched()
        names = frozenset(self.names.get(b, model.body(b).name) for b in bodies)
        return Posture(found, names, bodies, float(np.abs(found - now).max()))

    def is_free(self, position: NDArray, rotation: NDArray, **given: Any) -> bool:
        """Say whether the hand takes a pose with nothing in its way; ``given``: as ``posture``."""
        posture = self.posture(position, rotation, **given)
        return posture is not None and not posture.touched

    def _solve(self, position: NDArray, rotation: NDArray) -> bool:
        import mujoco

        model, data = self.world.model, self.data
        jacobian, swivel = np.zeros((6, model.nv)), np.zeros(len(self.dofs))
        for _ in range(ITERATIONS):
            mujoco.mj_kinematics(model, data)
            mujoco.mj_comPos(model, data)
            error = np.concatenate([
                position - data.site_xpos[self.site],
                rotation_vector(rotation @ data.xmat[self.body].reshape(3, 3).T),
            ])  # fmt: skip
            if (
                np.linalg.norm(error[:3]) < NEAR_POSITION
                and np.linalg.norm(error[3:]) < NEAR_ROTATION
                and np.abs(swivel).max() < NEAR_SWIVEL
            ):
                q = data.qpos[self.qpos]
                return bool(
                    (q > self.limits[:, 0] + LIMIT_ROOM).all()
                    and (q < self.limits[:, 1] - LIMIT_ROOM).all()
                )
            mujoco.mj_jacSite(model, data, jacobian[:3], jacobian[3:], self.site)
            j = jacobian[:, self.dofs]
            inverse = j.T @ np.linalg.inv(j @ j.T + DAMPING**2 * np.eye(6))
            q = data.qpos[self.qpos]
            # Like the arm's own controller: what the pose leaves free swivels to the usual place.
            free = np.eye(len(q)) - np.linalg.pinv(j, rcond=1e-3) @ j
            swivel = free @ (SWIVEL * (self.home - q))
            q = q + np.clip(inverse @ error, -0.3, 0.3) + np.clip(swivel, -0.15, 0.15)
            data.qpos[self.qpos] = np.clip(q, *self.limits.T)
        return False

    def _touched(self) -> frozenset[int]:
        model, touched = self.world.model, set()
        for contact in self.data.contact:
            if contact.dist > TOUCHING or self.arm[contact.geom1] == self.arm[contact.geom2]:
                continue
            other = contact.geom2 if self.arm[contact.geom1] else contact.geom1
            touched.add(int(model.geom_bodyid[other]))
        return frozenset(touched)
