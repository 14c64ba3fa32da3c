"""Scripted skills: how an action type is done to a target, as streams of OSC actions.

Each skill looks at the scene as it is at every step instead of following a stored path, so it
recovers from pushes by itself and a policy without memory can imitate it. A skill is bound to an
action type, not to a task: it works on whatever object, place or fixture the type makes sense for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask, TaskScript
from rain.worlds.demonstration import StuckError
from rain.worlds.libero.experts import closing, mechanisms, pushing, releasing
from rain.worlds.libero.experts.grasps import ASIDE, Grasp, Suits, choose_grasp
from rain.worlds.libero.experts.motion import (
    CLOSED,
    FINGERS_BELOW_SITE,
    OPEN,
    PALM_ABOVE_SITE,
    Hand,
    Headway,
    Style,
    turned,
    yaw_of,
)
from rain.worlds.libero.experts.places import Place, find_place
from rain.worlds.libero.experts.reach import Reach
from rain.worlds.libero.experts.shapes import object_box, overhang
from rain.worlds.libero.world import LiberoWorld
from rain.worlds.mujoco_world import LIFTED

ASKEW = 0.3
"""rad from its pose at which the hand does not come down on an object yet."""


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
            return self.release(subtask, index)
        if subtask.action_type == "push":
            return pushing.push(self.hand, target)
        skills = {
            "open": mechanisms.open_part,
            "close": closing.close_part,
            "turn_on": mechanisms.turn_on,
        }
        return skills[subtask.action_type](self.hand, self.reach, target)

    def release(self, subtask: Subtask, index: int | None = None) -> Iterator[NDArray]:
        """Bring what is held to its place; what is lost on the way is taken up again."""
        slot, held = self._slot(subtask, index), self.world.touched_by_both_fingers()
        if not held:
            raise StuckError("nothing is held to be released")
        both = TaskScript("", (Subtask("grasp", held[0]), subtask))
        while True:
            there = False
            for action in releasing.release(self.hand, self.reach, subtask.target, slot):
                yield action
                let_go = held[0] not in self.world.touched_by_both_fingers()
                there = there or (let_go and self.world.script_success(both))
            if there:
                return
            self.hand.mending = True
            lost = StuckError(f"{held[0]} does not come to lie at {subtask.target}")
            yield from self.hand.back_off(lost, [0, 0, 0.06], OPEN)
            yield from self.grasp(held[0], subtask)
            self.hand.mending = False

    def _slot(self, subtask: Subtask, index: int | None) -> float:
        """Where among the objects that the script puts at one place this one comes, -1 … 1."""
        alike = [i for i, other in enumerate(self._subtasks) if other == subtask]
        if index is None or len(alike) < 2:
            return 0.0
        return 2.0 * alike.index(index) / (len(alike) - 1) - 1.0

    # --- grasp ----------------------------------------------------------------------------------

    def grasp(self, name: str, following: Subtask | None = None) -> Iterator[NDArray]:
        """Approach from above, close, lift; try another way when stuck or nothing was caught."""
        rest = float(self.world.object_pose(name)[0][2])
        tried: list[Grasp] = []
        while True:
            suits, must = self._suits(name, following), self._goes_in_sideways(following)
            grasp = choose_grasp(self.world, self.reach, name, suits, tried, must)
            tried.append(grasp)
            rest = min(rest, float(self.world.object_pose(name)[0][2]))  # it may have fallen
            pose = turned(grasp.pose, self.style.twist)
            try:
                yield from self._reach_grasp(name, grasp, pose)
            except StuckError as stuck:
                yield from self.hand.back_off(stuck, 0.08 * grasp.way, OPEN, pose)
                continue
            yield from self._close(pose)
            if name not in self.world.touched_by_both_fingers():
                yield from self.open_hand()
                continue
            yield from self._lift(name, pose, rest)
            if self.world.object_pose(name)[0][2] - rest >= LIFTED:
                yield from self._rise(pose)
                if name in self.world.touched_by_both_fingers():
                    return
            yield from self.open_hand()

    def _rise(self, pose: NDArray) -> Iterator[NDArray]:
        """Rise a little further: a bad grip shows itself while the hand is still near."""
        aim = self.world.ee_pose()[0] + [0, 0, 0.06]
        for _ in range(2):
            yield self.hand.toward(aim, pose, CLOSED)

    def _lift(self, name: str, pose: NDArray, rest: float) -> Iterator[NDArray]:
        """Lift what is held, out from under an open drawer first; stop when it is lost."""
        start = self.world.ee_pose()[0]
        clear = None
        for _ in range(70):
            if self.world.object_pose(name)[0][2] - rest >= LIFTED:
                return
            if name not in self.world.touched_by_both_fingers():
                return
            here = self.world.ee_pose()[0]
            aside = overhang(self.world, name)
            if aside is not None:
                clear, out = None, here + 0.06 * aside
                aim = np.array([*out[:2], start[2] + 0.004])
            else:
                clear = here[:2] if clear is None else clear  # straight up: walls are near
                aim = np.array([*clear, start[2] + LIFTED + 0.04])
            yield self.hand.toward(aim, pose, CLOSED, slow=0.6 if aside is None else 0.4)

    def _goes_in_sideways(self, following: Subtask | None) -> bool:
        """Whether what is grasped goes into a place that is closed above."""
        if following is None or following.action_type != "release":
            return False
        return not find_place(self.world, following.target).from_above

    def _suits(self, name: str, following: Subtask | None) -> Suits:
        """Say of a grasp whether the hand can bring the object to its place and let go there."""
        if following is None or following.action_type != "release":
            return lambda grasp, strict: True
        place = find_place(self.world, following.target, held=name)
        origin, rotation = self.world.object_pose(name)
        bottom = origin[2] - object_box(self.world, name).bottom

        def suits(grasp: Grasp, strict: bool) -> bool:
            aside = ASIDE if strict else ASIDE[:1]
            offset = rotation @ grasp.local
            if not place.from_above:
                points = _sideways(place, grasp, offset, bottom, aside)
            elif place.direction is None:
                points = _lowered(place, offset, bottom)
            else:
                return True  # it is turned along the place first
            return len(points) > 0 and all(
                self.reach.is_free(point, grasp.pose, without=[name], opening=0.06)
                for point in points
            )

        return suits

    def _reach_grasp(self, name: str, grasp: Grasp, pose: NDArray) -> Iterator[NDArray]:
        """Come down on the object; done within 5 mm sideways, 4 mm above and 7 mm below."""
        headway = Headway()
        if grasp.way[2] < 1.0:
            yield from self._come_in(grasp.point(self.world, name), grasp, pose)
        offset = np.array(self.style.offset)
        if grasp.rim:
            offset[2] = min(offset[2], 0.0)  # fingers slip off a rim taken too high
        elif grasp.neck:
            offset[2] = max(offset[2], 0.0)  # the palm comes to rest on a neck taken too low
        else:  # nor may it push a tall thing aside
            palm = object_box(self.world, name).top - PALM_ABOVE_SITE + 0.006
            offset[2] = max(offset[2], palm - grasp.point(self.world, name)[2])
        while True:
            goal = grasp.point(self.world, name) + offset
            position, rotation = self.world.ee_pose()
            error = goal - position
            if np.hypot(*error[:2]) < 0.005 and -0.004 < error[2] < 0.007:
                return
            turn = abs((yaw_of(pose) - yaw_of(rotation) + np.pi) % (2 * np.pi) - np.pi)
            if headway.lost(float(np.linalg.norm(error)) + 0.1 * turn):
                raise StuckError(f"no headway towards {name}")
            clear = self.hand.clearance(position, goal, name, FINGERS_BELOW_SITE + 0.02)
            above = object_box(self.world, name).top + FINGERS_BELOW_SITE + 0.008
            if grasp.way[2] == 1.0 and turn > ASKEW:  # fingers still askew knock it over
                goal[2] = max(goal[2], above)
            yield self.hand.funnel(goal, pose, OPEN, clear, above)

    def _come_in(self, point: NDArray, grasp: Grasp, pose: NDArray) -> Iterator[NDArray]:
        """Come slantwise to an object that something hangs over."""
        outside = point + 0.14 * grasp.way
        yield from self.hand.over(outside, pose, OPEN)
        yield from self.hand.straight(outside, pose, OPEN, near=0.015, angle=0.1)
        yield from self.hand.straight(point, pose, OPEN, slow=self.style.slow, near=0.008)

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


def _lowered(place: Place, offset: NDArray, bottom: float) -> list[NDArray]:
    """Points (3,) at which the hand lets go, or may come to; none if the grasp does not suit.

    offset (3,): from the object's origin to the hand, m; bottom: how far it reaches down, m.
    """
    point = place.centre + offset + [0, 0, bottom + place.fall + 0.008]
    if place.squeezed is None:
        return [point]
    # What hangs from one side swings to that side when it is let go.
    swings = abs(offset @ place.squeezed) > 0.5 * np.hypot(*offset[:2])
    return [] if swings else [point + [*aside, 0.0] for aside in ASIDE]


def _sideways(
    place: Place,
    grasp: Grasp,
    offset: NDArray,
    bottom: float,
    asides: Sequence[tuple[float, float]],
) -> list[NDArray]:
    """Points (3,) of the hand's way into a place that is closed above; none if it does not suit.

    asides (2,): by which the hand may miss its way before the place, m.
    """
    side = float(np.hypot(*offset[:2]))
    leans_in = float(-grasp.pose[:, 2] @ place.entrance) > 0.3
    if not (leans_in and float(offset @ place.entrance) > 0.8 * side > 0.02):
        return []
    inside = releasing.let_go_inside(place, offset, offset[2] + bottom)
    outside = inside + place.entrance * releasing.OUTSIDE
    before = [outside + [*aside, up] for up in (0.0, 0.08) for aside in asides]
    return [inside, (inside + outside) / 2, *before]
