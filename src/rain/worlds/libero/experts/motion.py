"""How the expert's hand moves: one OSC action at a time toward a pose, from where it is now."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts.shapes import fixture_boxes, object_box, things_on_the_way
from rain.worlds.libero.world import LiberoWorld

OPEN, CLOSED = -1.0, 1.0
FULLY_OPEN = 0.08
"""m between the open fingers."""
METRES_PER_COMMAND = 0.05
RADIANS_PER_COMMAND = 0.5
GRIPPER_DOWN = np.diag([1.0, -1.0, -1.0])
PALM_ABOVE_SITE = 0.04
FINGERS_BELOW_SITE = 0.012
HAND_HALF_WIDTH = 0.105
ELBOW, LONGEST = 3, -0.42
"""Index of the elbow's joint; its angle, rad, above which a longer reach bends it back."""
UNLOCKING = 25
"""Steps that stretching out takes at most."""
DRAWN_IN = 0.15
"""Share of its distance from the base by which a hand that was stretched out is drawn in."""

PATIENCE = 30
"""Steps without headway after which a skill is stuck."""
STALLS = 5
"""How often in one demonstration a stuck skill tries another way."""


class Headway:
    """Notices when a distance stops shrinking."""

    def __init__(self, patience: int = PATIENCE, least: float = 0.002) -> None:
        """Wait ``patience`` steps for the distance to shrink by ``least`` m."""
        self.patience, self.least = patience, least
        self.best, self.since = np.inf, 0

    def lost(self, distance: float) -> bool:
        """Take the distance of this step; True when it has not shrunk for too long."""
        if distance < self.best - self.least:
            self.best, self.since = distance, 0
        self.since += 1
        return self.since > self.patience


@dataclass(frozen=True)
class Style:
    """What differs from one demonstration to the next, as people's do.

    travel: height above the grasp while approaching, m; funnel: horizontal distance at which the
    descent begins, m; gain: of the position controller; slow: speed limit of the last
    centimetres, in commands; sway: sideways bow of the path, fraction of its length; offset (3,):
    grasp point relative to the nominal, m; twist: of the hand, rad; drop: release height above
    the lowest possible, m; aim (2,): release point relative to the place's centre, m.
    """

    travel: float
    funnel: float
    gain: float
    slow: float
    sway: float
    offset: tuple[float, float, float]
    twist: float
    drop: float
    aim: tuple[float, float]

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Style:
        """Draw a style."""
        return cls(
            travel=rng.uniform(0.05, 0.14),
            funnel=rng.uniform(0.06, 0.20),
            gain=rng.uniform(1.4, 2.4),
            slow=rng.uniform(0.35, 0.6),
            sway=rng.normal(0, 0.12),
            offset=tuple(rng.normal(0, [0.002, 0.002, 0.003])),
            twist=rng.normal(0, 0.05),
            drop=rng.uniform(0.0, 0.04),
            aim=tuple(rng.uniform(-0.012, 0.012, 2)),
        )


class Hand:
    """The arm's hand in one world, moved in one style.

    stalls: how often it was stuck or lost something; mending: it makes good such a loss, which is
    nothing to be imitated.
    """

    def __init__(self, world: LiberoWorld, style: Style) -> None:
        """Move the hand of ``world``."""
        self.world = world
        self.style = style
        self.stalls = 0
        self.mending = False

    def toward(
        self,
        position: ArrayLike,
        pose: float | NDArray | None,
        gripper: float,
        slow: float = 1.0,
        brake: float = 1.0,
    ) -> NDArray:
        """One OSC action (7,) toward a position (3,), m, and an orientation.

        pose: rotation (3, 3); a yaw, rad, of a hand that points down; ``None`` keeps the yaw and
        points down. slow: limit of the command; brake: factor on the sideways part.
        """
        here, rotation = self.world.ee_pose()
        command = self.style.gain * (np.asarray(position) - here) / METRES_PER_COMMAND
        command[:2] *= brake
        command *= min(1.0, slow / max(np.abs(command).max(), 1e-9))
        if isinstance(pose, np.ndarray):
            wanted = pose
        else:
            wanted = down_at(yaw_of(rotation) if pose is None else pose)
        turn = rotation_vector(wanted @ rotation.T) / RADIANS_PER_COMMAND
        return np.concatenate([command, np.clip(turn, -0.5, 0.5), [gripper]])

    def hold(self, steps: int, gripper: float, pose: NDArray | None = None) -> Iterator[NDArray]:
        """Stay where the hand is."""
        here = self.world.ee_pose()[0]
        for _ in range(steps):
            yield self.toward(here, pose, gripper)

    def retreat(
        self, way: ArrayLike, gripper: float, steps: int = 10, pose: NDArray | None = None
    ) -> Iterator[NDArray]:
        """Move off along ``way`` (3,), m."""
        goal = self.world.ee_pose()[0] + np.asarray(way)
        for _ in range(steps):
            if np.linalg.norm(goal - self.world.ee_pose()[0]) < 0.01:
                return
            yield self.toward(goal, pose, gripper, slow=0.7)

    def elbow_locked(self) -> bool:
        """Whether the arm went through its longest reach: drawing in would bend it against a stop.

        The elbow's axis lies beside the arm, so the arm is longest while the elbow still is bent.
        """
        elbow = self.world.data.qpos[self.world.env.robots[0]._ref_joint_pos_indexes[ELBOW]]
        return bool(elbow > LONGEST)

    def unlock_elbow(self, gripper: float, pose: NDArray | None = None) -> Iterator[NDArray]:
        """Stretch out, where the elbow falls back to its usual side, and draw in."""
        for _ in range(UNLOCKING):
            here = self.world.ee_pose()[0]
            if not self.elbow_locked():
                break
            outward = here * [1, 1, 0] / np.hypot(*here[:2])
            yield self.toward(here + 0.06 * outward, pose, gripper)
        inward = -DRAWN_IN * self.world.ee_pose()[0] * [1, 1, 0]
        yield from self.retreat(inward + [0, 0, 0.06], gripper, steps=16, pose=pose)

    def back_off(
        self, stuck: StuckError, way: ArrayLike, gripper: float, pose: NDArray | None = None
    ) -> Iterator[NDArray]:
        """Move off along ``way`` (3,), m, to try another way; ``stuck`` after too many stalls."""
        self.stalls += 1
        if self.stalls > STALLS:
            raise stuck
        yield from self.retreat(way, gripper, pose=pose)

    def straight(
        self,
        goal: ArrayLike,
        pose: float | NDArray | None,
        gripper: float,
        *,
        slow: float = 1.0,
        near: float = 0.006,
        angle: float = 0.06,
        patience: int = PATIENCE,
        enough: float = 0.0,
    ) -> Iterator[NDArray]:
        """Go straight to a pose; StuckError when it cannot be reached within ``enough`` m."""
        goal = np.asarray(goal, dtype=np.float64)
        headway = Headway(patience)
        wanted = down_at(pose) if isinstance(pose, int | float) else pose
        line = goal - self.world.ee_pose()[0]
        line = line / max(np.linalg.norm(line), 1e-9)
        if wanted is not None and line @ wanted[:, 2] > 0.95:
            line = wanted[:, 2]  # it comes down on the goal as the fingers point
        while True:
            here, rotation = self.world.ee_pose()
            far = float(np.linalg.norm(goal - here))
            turn = 0.0
            if wanted is not None:
                turn = float(np.linalg.norm(rotation_vector(wanted @ rotation.T)))
            if far < near and turn < angle:
                return
            if headway.lost(far + 0.1 * turn):
                if far < enough:
                    return
                raise StuckError("no headway on a straight path")
            yield self.toward(
                _along(line, here, goal), wanted, gripper, slow if far < 0.06 else 1.0
            )

    def over(
        self,
        goal: ArrayLike,
        pose: float | NDArray | None,
        gripper: float,
        carried: str | None = None,
        near: float = 0.012,
    ) -> Iterator[NDArray]:
        """Travel at a safe height to where ``goal`` can be reached by a straight path down."""
        goal = np.asarray(goal, dtype=np.float64)
        headway, unlocked = Headway(), False
        wanted = down_at(pose) if isinstance(pose, int | float) else pose
        while True:
            here, rotation = self.world.ee_pose()
            far = float(np.hypot(*(goal - here)[:2]))
            turn = 0.0
            if wanted is not None:
                turn = float(np.linalg.norm(rotation_vector(wanted @ rotation.T)))
            if far < near and turn < 0.25:
                return
            if headway.lost(far + 0.1 * turn):
                if not self.elbow_locked() or unlocked:
                    raise StuckError("no headway while travelling")
                unlocked, headway = True, Headway()
                yield from self.unlock_elbow(gripper, wanted)
            below = self.hangs_below(carried)
            aim = goal.copy()
            aim[2] = max(goal[2], self.clearance(here, goal, carried, below + 0.03))
            missing = max(0.0, aim[2] - here[2] - 0.02)
            brake = float(np.clip(1 - missing / 0.05, 0.08, 1))
            yield self.toward(aim, wanted, gripper, 1.0, brake)

    def hangs_below(self, carried: str | None) -> float:
        """How far what is carried, or the fingers, reach below the hand's site, m."""
        if carried is None:
            return FINGERS_BELOW_SITE
        bottom = object_box(self.world, carried).bottom
        return float(self.world.ee_pose()[0][2] - bottom)

    def clearance(
        self, position: NDArray, goal: NDArray, moving: str | None, below: float
    ) -> float:
        """Height at which what hangs ``below`` the site clears all that lies on the way."""
        height = goal[2] + self.style.travel
        along = position[:2] + np.linspace(0, 1, 15)[:, None] * (goal[:2] - position[:2])
        tops = things_on_the_way(self.world, along[:-3], 0.055, moving)
        palm = things_on_the_way(self.world, along[:-3], HAND_HALF_WIDTH + 0.01, moving)
        if moving is not None and moving in self.world.touched_by_both_fingers():
            tops = max(tops, self._below_carried(moving, (goal - position)[:2]))
        return float(max(height, tops + below, palm - PALM_ABOVE_SITE + 0.015))

    def _below_carried(self, carried: str, way: NDArray) -> float:
        """Highest top, m, of the objects that what is carried passes over; it hangs aside of the
        hand. way (2,): m, the last fifth of which does not count.
        """
        box = object_box(self.world, carried)
        path = box.centre + np.linspace(0, 0.8, 12)[:, None] * way
        others = [object_box(self.world, n) for n in self.world.objects() if n != carried]
        near = [b.top for b in others if (b.distance(path) < box.half.max() + 0.01).any()]
        return max(near, default=-np.inf) + 0.03  # by so much the brake lets it pass too low

    def _room(self, position: NDArray, goal: NDArray) -> float:
        """Distance from the goal, m, along the path to it, without a fixture under the hand."""
        path = goal[:2] + np.linspace(0, 1, 21)[:, None] * (position[:2] - goal[:2])
        low, high = fixture_boxes(self.world)
        tall = high[:, 2] > goal[2]
        outside = np.maximum(low[tall, None, :2] - path, path - high[tall, None, :2])
        near = (np.hypot(*np.maximum(outside, 0).transpose(2, 0, 1)) < 0.045).any(axis=0)
        if not near.any():
            return np.inf
        return float(np.hypot(*(path[int(np.argmax(near))] - goal[:2])))

    def funnel(
        self,
        goal: NDArray,
        pose: float | NDArray | None,
        gripper: float,
        travel: float,
        above: float = 0.0,
        inner: float = 0.0,
        outer: float | None = None,
    ) -> NDArray:
        """One step toward ``goal`` from above: high when far away, vertical at the end.

        above: height at which the fingers still clear the target, kept until they are over it.
        """
        position, _ = self.world.ee_pose()
        outer = outer or self.style.funnel
        room = self._room(position, goal)
        tight = room < 0.05
        outer = max(min(outer, room), inner + 0.03)
        to_goal = goal - position
        far = float(np.hypot(*to_goal[:2]))
        rise = np.sqrt(np.clip((far - 0.003 - inner) / (outer - inner), 0, 1))
        aim = goal.copy()
        aim[2] = goal[2] + (travel - goal[2]) * rise
        aligned = np.clip((far - 0.004) / 0.008, 0, 1)
        aim[2] = max(aim[2], goal[2] + (above - goal[2]) * aligned)
        sideways = np.array([-to_goal[1], to_goal[0]]) * self.style.sway
        aim[:2] += sideways * np.clip((far - 0.05) / 0.1, 0, 1)
        # Below the funnel, rise before going sideways.
        missing = max(0.0, aim[2] - position[2] - 0.02)
        brake = float(np.clip(1 - missing / 0.05, 0.08, 1))
        if tight and far < 0.05:  # fast vertical motion pushes the hand 1 to 1.5 cm aside
            aim[2] = max(aim[2], position[2] - 0.012)
        close = far < 0.03 and to_goal[2] > -0.05
        return self.toward(aim, pose, gripper, self.style.slow if close else 1.0, brake)


def _along(line: NDArray, here: NDArray, goal: NDArray) -> NDArray:
    """Where to aim to reach ``goal`` along a direction: beside it, go back onto the line first."""
    ahead = (goal - here) @ line
    beside = goal - here - ahead * line
    off = float(np.linalg.norm(beside))
    return here + beside + line * ahead * float(np.clip(1 - (off - 0.006) / 0.012, 0.1, 1))


def down_at(yaw: float) -> NDArray:
    """Rotation (3, 3) of a hand that points down, turned by yaw; at 0 the fingers open along y."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ GRIPPER_DOWN


def turned(rotation: NDArray, yaw: float) -> NDArray:
    """A rotation (3, 3) turned further about the vertical, rad."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ rotation


def rotation_about(axis: NDArray, angle: float) -> NDArray:
    """Rotation (3, 3) by an angle, rad, about an axis (3,) of any length."""
    x, y, z = axis / np.linalg.norm(axis)
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def yaw_of(rotation: NDArray) -> float:
    """Yaw of a hand that points more or less down."""
    x = rotation[:, 0]
    return float(np.arctan2(x[1], x[0]))


def rotation_vector(rotation: NDArray) -> NDArray:
    """Axis times angle (3,) of a rotation below half a turn."""
    angle = np.arccos(np.clip((np.trace(rotation) - 1) / 2, -1, 1))
    axis = np.array(
        [
            rotation[2, 1] - rotation[1, 2],
            rotation[0, 2] - rotation[2, 0],
            rotation[1, 0] - rotation[0, 1],
        ]
    )
    return axis * (0.5 if angle < 1e-6 else angle / (2 * np.sin(angle) + 1e-12))
