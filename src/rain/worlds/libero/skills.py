"""Scripted skills: how an action type is done to a target, as streams of OSC actions.

Each skill looks at the scene as it is at every step instead of following a stored path, so it
recovers from pushes by itself and a policy without memory can imitate it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError, Subtask
from rain.worlds.libero.regions import parse_target
from rain.worlds.libero.shapes import GRASP_ABOVE_ORIGIN, GRASP_SIDES, Box, object_box
from rain.worlds.libero.world import LIFTED, LiberoWorld

OPEN, CLOSED = -1.0, 1.0
METRES_PER_COMMAND = 0.05
RADIANS_PER_COMMAND = 0.5
GRIPPER_DOWN = np.diag([1.0, -1.0, -1.0])
PALM_ABOVE_SITE = 0.04
HAND_HALF_WIDTH = 0.105
FINGERS_BELOW_SITE = 0.012


class StuckError(Exception):
    """A skill makes no headway: something is in the way, or the arm is at its limits."""


class Headway:
    """Notices when a distance stops shrinking."""

    def __init__(self, patience: int = 30, least: float = 0.002) -> None:
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


class Skills:
    """The skills for one world, done in one style."""

    def __init__(self, world: LiberoWorld, style: Style) -> None:
        """Act in ``world``."""
        self.world = world
        self.style = style

    def do(self, subtask: Subtask) -> Iterator[NDArray]:
        """Stream the actions of ``subtask`` until it is done."""
        skills = {"grasp": self.grasp, "release": self.release}
        if subtask.action_type not in skills:
            raise RainError(f"no scripted skill yet for {subtask}")
        return skills[subtask.action_type](subtask.target)

    # --- grasp ----------------------------------------------------------------------------------

    def grasp(self, name: str) -> Iterator[NDArray]:
        """Approach from above, close, lift; open and try again when nothing was caught."""
        rest = float(self.world.object_pose(name)[0][2])
        while True:
            pinch = choose_pinch(self.world, name)
            yaw = pinch.yaw + self.style.twist
            yield from self._reach_grasp(name, yaw, pinch.shift)
            yield from self._close()
            if name not in self.world.touched_by_both_fingers():
                yield from self.open_hand()
                continue
            start = self.world.ee_pose()[0]
            for _ in range(40):
                risen = self.world.object_pose(name)[0][2] - rest
                if risen >= LIFTED:
                    return
                if name not in self.world.touched_by_both_fingers():
                    break
                yield self.toward(start + [0, 0, LIFTED + 0.04], yaw, CLOSED)
            yield from self.open_hand()

    def _reach_grasp(self, name: str, yaw: float, shift: NDArray) -> Iterator[NDArray]:
        """Come down on the object; done within 5 mm sideways and 7 mm in height."""
        headway = Headway()
        while True:
            goal = self._grasp_point(name)
            goal[:2] += shift
            position, _ = self.world.ee_pose()
            error = goal - position
            if np.hypot(*error[:2]) < 0.005 and abs(error[2]) < 0.007:
                return
            if headway.lost(float(np.linalg.norm(error))):
                raise StuckError(f"no headway towards {name}")
            clear = self._clearance(position, goal, name, FINGERS_BELOW_SITE + 0.02)
            above = object_box(self.world, name).top + FINGERS_BELOW_SITE + 0.008
            yield self._funnel(goal, yaw, OPEN, clear, above)

    def _grasp_point(self, name: str) -> NDArray:
        origin, _ = self.world.object_pose(name)
        category = name.rsplit("_", 1)[0]
        height = GRASP_ABOVE_ORIGIN.get(category)
        if height is None:
            raise RainError(f"no known grasp for {category}")
        box = object_box(self.world, name)
        return np.array([*box.centre, origin[2] + height]) + self.style.offset

    def _close(self) -> Iterator[NDArray]:
        """Hold still until the fingers stop: thin parts take 11 to 13 steps."""
        target, before = self.world.ee_pose()[0], np.inf
        for step in range(20):
            opening = self.world.gripper_opening()
            if step >= 5 and before - opening < 0.0008:
                return
            before = opening
            yield self.toward(target, None, CLOSED)

    def open_hand(self) -> Iterator[NDArray]:
        """Open and rise a little."""
        target = self.world.ee_pose()[0] + [0, 0, 0.03]
        for _ in range(8):
            yield self.toward(target, None, OPEN)

    # --- release --------------------------------------------------------------------------------

    def release(self, name: str) -> Iterator[NDArray]:
        """Carry what is held over the place, lower it, let go, withdraw upwards."""
        held = self.world.touched_by_both_fingers()
        if not held:
            return
        yield from self._carry(held[0], name)
        target = self.world.ee_pose()[0]
        for _ in range(7):
            yield self.toward(target, None, OPEN)
        for _ in range(10):
            yield self.toward(target + [0, 0, 0.10], None, OPEN, slow=0.7)

    def _carry(self, held: str, place: str) -> Iterator[NDArray]:
        """Bring the held object above the place; stop early when it is lost."""
        below = self.world.ee_pose()[0][2] - object_box(self.world, held).bottom
        headway = Headway()
        while held in self.world.touched_by_both_fingers():
            goal, rim = self._release_point(place, below)
            position, _ = self.world.ee_pose()
            error = goal - position
            if np.hypot(*error[:2]) < 0.010 and error[2] > -0.012:
                return
            if headway.lost(float(np.linalg.norm(error))):
                raise StuckError(f"no headway towards {place}")
            clear = max(rim + below + 0.03, self._clearance(position, goal, held, below + 0.03))
            yield self._funnel(goal, None, CLOSED, clear, inner=0.02, outer=0.07)

    def _release_point(self, place: str, below: float) -> tuple[NDArray, float]:
        """Where to open (3,), and the height of the place's rim, m."""
        target = parse_target(place)
        box = object_box(self.world, target.owner)
        floor, rim = box.bottom, box.top
        if target.site is not None:
            centre, _, half = self.world.site_pose(target.site)
            floor = centre[2] - half[2]
        else:
            centre = np.array([*box.centre, 0.0])
        low = max(rim + 0.012 - PALM_ABOVE_SITE, floor + below + 0.015)
        xy = centre[:2] + self.style.aim
        return np.array([*xy, low + self.style.drop]), rim

    # --- moving ---------------------------------------------------------------------------------

    def _clearance(self, position: NDArray, goal: NDArray, moving: str, below: float) -> float:
        """Height at which what hangs ``below`` the site clears all that lies on the way."""
        height = goal[2] + self.style.travel
        along = position[:2] + np.linspace(0, 1, 15)[:, None] * (goal[:2] - position[:2])
        for name in self.world.objects():
            if name == moving:
                continue
            box = object_box(self.world, name)
            if (box.distance(along[:-3]) < 0.055).any():
                height = max(height, box.top + below)
        return height

    def _funnel(
        self,
        goal: NDArray,
        yaw: float | None,
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
        close = far < 0.03 and to_goal[2] > -0.05
        return self.toward(aim, yaw, gripper, self.style.slow if close else 1.0, brake)

    def toward(
        self,
        position: NDArray,
        yaw: float | None,
        gripper: float,
        slow: float = 1.0,
        brake: float = 1.0,
    ) -> NDArray:
        """One OSC action toward a position (3,) and yaw; ``None`` keeps the hand as it points.

        slow: limit of the command; brake: factor on the sideways part.
        """
        here, rotation = self.world.ee_pose()
        command = self.style.gain * (np.asarray(position) - here) / METRES_PER_COMMAND
        command[:2] *= brake
        command *= min(1.0, slow / max(np.abs(command).max(), 1e-9))
        wanted = down_at(yaw) if yaw is not None else down_at(yaw_of(rotation))
        turn = rotation_vector(wanted @ rotation.T) / RADIANS_PER_COMMAND
        return np.concatenate([command, np.clip(turn, -0.5, 0.5), [gripper]])


def down_at(yaw: float) -> NDArray:
    """Rotation (3, 3) of a hand that points down, turned by yaw; at 0 the fingers open along y."""
    c, s = np.cos(yaw), np.sin(yaw)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ GRIPPER_DOWN


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


@dataclass(frozen=True)
class Pinch:
    """How to take an object from above: hand yaw, rad, and shift from its centre (2,), m."""

    yaw: float
    shift: NDArray
    crowding: float


def choose_pinch(world: LiberoWorld, name: str) -> Pinch:
    """Pinch a thin side of the object, away from neighbours, with little turning."""
    box = object_box(world, name)
    others = [object_box(world, other) for other in world.objects() if other != name]
    candidates = []
    for side in GRASP_SIDES.get(name.rsplit("_", 1)[0], (0, 1)):
        if box.half[side] > box.half.min() * 1.25:
            continue
        along = box.axes[1 - side] * box.half[1 - side]
        angle = np.arctan2(box.axes[side][1], box.axes[side][0]) - np.pi / 2
        for turn in (0.0, -0.2, 0.2):
            for part in (0.0, -0.3, 0.3, -0.5, 0.5):
                yaw = (angle + turn + np.pi / 2) % np.pi - np.pi / 2
                crowding = _crowding(box, box.centre + part * along, yaw, others)
                cost = abs(yaw) + abs(turn) + abs(part) + 60 * crowding
                candidates.append((cost, Pinch(yaw, part * along, crowding)))
    return min(candidates, key=lambda candidate: candidate[0])[1]


def _crowding(box: Box, centre: NDArray, yaw: float, others: list[Box]) -> float:
    """How far neighbours reach into the room that open fingers and hand need, m."""
    axis = np.array([-np.sin(yaw), np.cos(yaw)])
    fingers = centre + np.outer([-1, 1], axis) * 0.052
    hand = centre + np.outer(np.linspace(-1, 1, 9), axis) * HAND_HALF_WIDTH
    total = 0.0
    for other in others:
        total += float(np.maximum(0.018 - other.distance(fingers), 0).sum())
        if other.top > box.top + 0.02:
            total += float(np.maximum(0.035 - other.distance(hand), 0).max())
    return total


def crowded(world: LiberoWorld, name: str) -> bool:
    """Say whether neighbours leave no room for any grasp of the object."""
    return choose_pinch(world, name).crowding > 0.006
