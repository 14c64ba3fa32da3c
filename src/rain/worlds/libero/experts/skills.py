"""Scripted skills: how an action type is done to a target, as streams of OSC actions.

Each skill looks at the scene as it is at every step instead of following a stored path, so it
recovers from pushes by itself and a policy without memory can imitate it. A skill is bound to an
action type, not to a task: it works on whatever object, place or fixture the type makes sense for.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.libero.experts import mechanisms, pushing
from rain.worlds.libero.experts.grasps import Grasp, Suits, choose_grasp, nearest_yaw
from rain.worlds.libero.experts.motion import (
    CLOSED,
    FINGERS_BELOW_SITE,
    OPEN,
    PALM_ABOVE_SITE,
    Hand,
    Headway,
    StuckError,
    Style,
    down_at,
    rotation_vector,
    turned,
    yaw_of,
)
from rain.worlds.libero.experts.places import NARROW, Place, find_place
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.experts.shapes import object_box, overhang
from rain.worlds.libero.world import LIFTED, LiberoWorld

NEAR_ENOUGH = 0.02
"""m from where an object should come at which it is let go when a rim keeps it from there."""
UPRIGHT = -0.96
"""z of the hand's own z axis from which on it leans on purpose."""


class Skills:
    """The skills for one world, done in one style."""

    def __init__(self, world: LiberoWorld, style: Style, script: TaskScript | None = None) -> None:
        """Act in ``world``; a script lets a skill look ahead to what follows it."""
        self.world = world
        self.style = style
        self.hand = Hand(world, style)
        self.reach = Reach(world)
        self._subtasks = script.subtasks if script is not None else ()

    def do(self, subtask: Subtask, index: int | None = None) -> Iterator[NDArray]:
        """Stream the actions of ``subtask`` until it is done; index: its place in the script."""
        target = subtask.target
        following = self._subtasks[index + 1 :] if index is not None else ()
        if subtask.action_type == "grasp":
            return self.grasp(target, following[0] if following else None)
        if subtask.action_type == "release":
            return self.release(target, self._slot(subtask, index))
        if subtask.action_type == "push":
            return pushing.push(self.hand, target)
        skills = {
            "open": mechanisms.open_part,
            "close": mechanisms.close_part,
            "turn_on": mechanisms.turn_on,
        }
        return skills[subtask.action_type](self.hand, self.reach, target)

    def _slot(self, subtask: Subtask, index: int | None) -> float:
        """Where among the objects that the script puts at one place this one comes, -1 … 1."""
        alike = [i for i, other in enumerate(self._subtasks) if other == subtask]
        if index is None or len(alike) < 2:
            return 0.0
        return 2.0 * alike.index(index) / (len(alike) - 1) - 1.0

    # --- grasp ----------------------------------------------------------------------------------

    def grasp(self, name: str, following: Subtask | None = None) -> Iterator[NDArray]:
        """Approach from above, close, lift; open and try again when nothing was caught."""
        rest = float(self.world.object_pose(name)[0][2])
        while True:
            grasp = choose_grasp(self.world, self.reach, name, self._suits(name, following))
            pose = turned(grasp.pose, self.style.twist)
            yield from self._reach_grasp(name, grasp, pose)
            yield from self._close(pose)
            if name not in self.world.touched_by_both_fingers():
                yield from self.open_hand()
                continue
            yield from self._lift(name, pose, rest)
            if self.world.object_pose(name)[0][2] - rest >= LIFTED:
                return
            yield from self.open_hand()

    def _lift(self, name: str, pose: NDArray, rest: float) -> Iterator[NDArray]:
        """Lift what is held, out from under an open drawer first; stop when it is lost."""
        start = self.world.ee_pose()[0]
        for _ in range(70):
            if self.world.object_pose(name)[0][2] - rest >= LIFTED:
                return
            if name not in self.world.touched_by_both_fingers():
                return
            aside = overhang(self.world, name)
            if aside is None:
                aim = np.array([*self.world.ee_pose()[0][:2], start[2] + LIFTED + 0.04])
                yield self.hand.toward(aim, pose, CLOSED)
            else:
                here = self.world.ee_pose()[0]
                aim = np.array([*(here + 0.06 * aside)[:2], start[2] + 0.012])
                yield self.hand.toward(aim, pose, CLOSED, slow=0.7)

    def _suits(self, name: str, following: Subtask | None) -> Suits:
        """Say of a grasp whether the hand can bring the object to its place and let go there."""
        if following is None or following.action_type != "release":
            return lambda grasp: True
        place = find_place(self.world, following.target)
        origin, rotation = self.world.object_pose(name)
        height = origin[2] - object_box(self.world, name).bottom + 0.02

        def suits(grasp: Grasp) -> bool:
            offset = rotation @ grasp.local
            if not place.from_above:
                side = float(np.hypot(*offset[:2]))
                leans_in = float(-grasp.pose[:, 2] @ place.entrance) > 0.3
                return leans_in and float(offset @ place.entrance) > 0.8 * side > 0.02
            if place.direction is not None:
                return True
            point = place.centre + offset + [0, 0, height]
            posture = self.reach.posture(point, grasp.pose, without=name, opening=0.06)
            return posture is not None and not posture.touched

        return suits

    def _reach_grasp(self, name: str, grasp: Grasp, pose: NDArray) -> Iterator[NDArray]:
        """Come down on the object; done within 5 mm sideways and 7 mm in height."""
        headway = Headway()
        while True:
            goal = grasp.point(self.world, name) + self.style.offset
            position, _ = self.world.ee_pose()
            error = goal - position
            if np.hypot(*error[:2]) < 0.005 and abs(error[2]) < 0.007:
                return
            if headway.lost(float(np.linalg.norm(error))):
                raise StuckError(f"no headway towards {name}")
            clear = self.hand.clearance(position, goal, name, FINGERS_BELOW_SITE + 0.02)
            above = object_box(self.world, name).top + FINGERS_BELOW_SITE + 0.008
            yield self.hand.funnel(goal, pose, OPEN, clear, above)

    def _close(self, pose: NDArray) -> Iterator[NDArray]:
        """Hold still until the fingers stop: thin parts take 11 to 13 steps."""
        target, before = self.world.ee_pose()[0], np.inf
        for step in range(20):
            opening = self.world.gripper_opening()
            if step >= 5 and before - opening < 0.0008:
                return
            before = opening
            yield self.hand.toward(target, pose, CLOSED)

    def open_hand(self) -> Iterator[NDArray]:
        """Open and rise a little."""
        target = self.world.ee_pose()[0] + [0, 0, 0.03]
        for _ in range(8):
            yield self.hand.toward(target, None, OPEN)

    # --- release --------------------------------------------------------------------------------

    def release(self, name: str, slot: float = 0.0) -> Iterator[NDArray]:
        """Carry what is held to the place, lower or push it in, let go, withdraw."""
        held = self.world.touched_by_both_fingers()
        if not held:
            return
        place = find_place(self.world, name, slot, held[0])
        if not place.from_above:
            yield from self._insert(held[0], name)
            return
        yield from self._carry(held[0], name, slot)
        target, now = self.world.ee_pose()
        pose = now if now[2, 2] > UPRIGHT else None
        for _ in range(7):
            yield self.hand.toward(target, pose, OPEN)
        for _ in range(10):
            yield self.hand.toward(target + [0, 0, 0.10], pose, OPEN, slow=0.7)

    def _carry(self, held: str, name: str, slot: float) -> Iterator[NDArray]:
        """Bring the held object above the place; stop early when it is lost."""
        headway = Headway()
        pose = self._carried_pose(held, find_place(self.world, name, slot, held))
        while held in self.world.touched_by_both_fingers():
            place = find_place(self.world, name, slot, held)
            goal, below = self._release_point(held, place)
            position, rotation = self.world.ee_pose()
            error = goal - position
            turn = float(np.linalg.norm(rotation_vector(pose @ rotation.T)))
            if np.hypot(*error[:2]) < 0.010 and error[2] > -0.012 and turn < 0.1:
                return
            if headway.lost(float(np.linalg.norm(error))):
                lowest = -0.10 if place.inside else -0.03
                if np.hypot(*error[:2]) < NEAR_ENOUGH and lowest < error[2] < 0.03:
                    return
                raise StuckError(f"no headway towards {name}")
            clear = self.hand.clearance(position, goal, held, below + 0.03)
            clear = max(place.rim + below + 0.03, clear)
            yield self.hand.funnel(goal, pose, CLOSED, clear, inner=0.01, outer=0.06)

    def _carried_pose(self, held: str, place: Place) -> NDArray:
        """Rotation (3, 3) of the hand at the place: as it is, or with a long object along it."""
        now = self.world.ee_pose()[1]
        box = object_box(self.world, held)
        long = int(np.argmax(box.half))
        if place.direction is None or box.half[long] < NARROW * box.half[1 - long]:
            return now if now[2, 2] > UPRIGHT else down_at(yaw_of(now))
        lies = float(np.arctan2(*box.axes[long][::-1]))
        return down_at(nearest_yaw(yaw_of(now) + place.direction - lies, 0.0))

    def _release_point(self, held: str, place: Place) -> tuple[NDArray, float]:
        """Where to open (3,), and how far the held object hangs below the hand, m."""
        position, _ = self.world.ee_pose()
        origin, _ = self.world.object_pose(held)
        below = self.hand.hangs_below(held)
        low = max(place.rim + 0.012 - PALM_ABOVE_SITE, place.centre[2] + below + 0.012)
        drop = self.style.drop if place.inside else 0.3 * self.style.drop
        aim = np.array(self.style.aim) * (1.0 if place.inside else 0.5)
        xy = place.centre[:2] + (position - origin)[:2] + aim
        return np.array([*xy, low + drop]), below

    def _insert(self, held: str, name: str) -> Iterator[NDArray]:
        """Push what is held sideways into a place that is closed above, let go, draw back."""
        place = find_place(self.world, name)
        position, rotation = self.world.ee_pose()
        offset = position - self.world.object_pose(held)[0]
        below = self.hand.hangs_below(held)
        inside = place.centre + offset
        inside[2] = place.centre[2] + below + 0.012
        edge = float(np.abs(place.half @ np.abs(place.entrance)))
        inside += place.entrance * (edge - 0.025)
        outside = inside + place.entrance * 0.16
        yield from self.hand.over(outside, rotation, CLOSED, held)
        yield from self.hand.straight(outside, rotation, CLOSED, near=0.012)
        yield from self.hand.straight(
            inside, rotation, CLOSED, slow=self.style.slow, near=0.010, patience=12, enough=0.02
        )
        yield from self.hand.hold(8, OPEN, rotation)
        yield from self.hand.retreat(place.entrance * 0.15, OPEN, steps=16, pose=rotation)
        yield from self.hand.retreat([0, 0, 0.12], OPEN)
