"""What the expert can do: grasp any thing that fits, release it on any place."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from rain.types import Subtask
from rain.worlds.demonstration import StuckError
from rain.worlds.mujoco_world import LIFTED
from rain.worlds.omy import arm
from rain.worlds.omy.hand import Hand, Style
from rain.worlds.omy.things import Thing, find_thing
from rain.worlds.omy.world import OmyWorld

NEAR = 0.012
"""m from a waypoint at which the hand goes on to the next one, without a stop."""
ARRIVED = 0.002
"""m from a goal at which the hand is there."""
PATIENCE = 90
"""Steps after which a motion that has not arrived is stuck."""
GRASP_TRIES = 3
FINGER = 0.016
"""m, a finger's half size with some room."""
PAD_TIP = 0.0355
"""m, a pad's tip before the joint it hangs on."""
WITHDRAW = 0.09
"""m, how far the hand goes up after it let go."""
YAWS = np.linspace(-np.pi, np.pi, 24, endpoint=False)
"""Tried where a thing can be grasped from all sides."""

Actions = Iterator[NDArray[np.float64]]


class Skills:
    """One demonstration's skills; the world is stepped between two actions."""

    def __init__(self, world: OmyWorld, style: Style, rng: np.random.Generator) -> None:
        """Act in ``world`` with a style; ``rng`` draws where on a place a thing is put."""
        self.world, self.style = world, style
        self.hand = Hand(world, style)
        self._angle = rng.uniform(0, 2 * np.pi)

    def do(self, subtask: Subtask) -> Actions:
        """Actions (7,) rad of one subtask; StuckError where it cannot be done."""
        if subtask.action_type == "grasp":
            return self.grasp(subtask.target)
        if subtask.action_type == "release":
            return self.release(subtask.target)
        raise StuckError(f"{subtask}: the simulated arm only grasps and releases")

    # --- grasp --------------------------------------------------------------------------------

    def grasp(self, name: str) -> Actions:
        """Take a thing from above and lift it, again where it slips."""
        thing = find_thing(name)
        if not thing.width:
            raise StuckError(f"{name} does not fit between the fingers")
        rest = self.world.object_pose(name)[0][2]
        for _ in range(GRASP_TRIES):
            yield from self._take(name, thing, rest)
            if self._is_lifted(name, rest):
                return
            yield from self._let_go()
        raise StuckError(f"{name} slipped {GRASP_TRIES} times")

    def _take(self, name: str, thing: Thing, rest: float) -> Actions:
        yaw, opened = self._choose_yaw(name, thing)
        goal = self._grasp_point(name, thing, yaw)
        yield from self._move(goal + [0, 0, self.style.hover], yaw, opened, NEAR)
        yield from self._move(goal, yaw, opened, ARRIVED, slow=True)
        closed = min(arm.gripper_at(thing.width) + self.style.squeeze, arm.GRIPPER_LIMITS[1])
        for _ in range(PATIENCE):
            yield self.hand.toward(goal, yaw, closed)
            still = abs(self.world.velocity()[6]) < 0.05
            if self.hand.gripper == closed and still:
                break
        above = goal + [0, 0, self.style.lift]
        for action in self._move(above, yaw, closed, NEAR, slow=True):
            yield action
            if self._is_lifted(name, rest):
                return  # the way goes on from here without a stop

    def _is_lifted(self, name: str, rest: float) -> bool:
        held = name in self.world.touched_by_both_fingers()
        return held and self.world.object_pose(name)[0][2] > rest + LIFTED

    def _let_go(self) -> Actions:
        up = self.hand.position + [0, 0, self.style.hover]
        yield from self._move(up, self.hand.yaw, self.style.open, NEAR)

    def _grasp_point(self, name: str, thing: Thing, yaw: float) -> NDArray[np.float64]:
        """Where the hand is when it closes: finger tips just above what the thing lies on."""
        position, _ = self.world.object_pose(name)
        along = np.array([np.cos(yaw), np.sin(yaw)])
        tips = _tips_beyond(arm.gripper_at(thing.width))
        height = position[2] - thing.height + self.style.low + tips
        return np.array([*(position[:2] + self.style.off * along), height])

    def _choose_yaw(self, name: str, thing: Thing) -> tuple[float, float]:
        """Yaw of the hand and opening, rad, with room for the fingers; the least turned of them."""
        _, rotation = self.world.object_pose(name)
        own = float(np.arctan2(rotation[1, 0], rotation[0, 0]))
        turns = YAWS if thing.round else np.array([*thing.turns])
        yaws = [float(np.remainder(own + turn + np.pi, 2 * np.pi) - np.pi) for turn in turns]
        choices = [
            (self._room(name, yaw, opened) < 0, abs(yaw), opened, yaw)
            for yaw in yaws
            for opened in (self.style.open, 0.5 * (0.2 + arm.gripper_at(thing.width)))
        ]
        _, _, opened, yaw = min(choices)
        return yaw, opened

    def _room(self, name: str, yaw: float, opened: float) -> float:
        """m between the fingers and other things, as they go down; negative where they touch."""
        position, _ = self.world.object_pose(name)
        across = np.array([-np.sin(yaw), np.cos(yaw)]) * (arm.opening(opened) / 2 + 0.004)
        low = position[2] - find_thing(name).height
        room = np.inf
        for other in self.world.objects():
            at, _ = self.world.object_pose(other)
            thing = find_thing(other)
            if other == name or at[2] + thing.height < low + 0.004:  # the place it lies on
                continue
            for finger in (position[:2] + across, position[:2] - across):
                room = min(room, float(np.linalg.norm(at[:2] - finger)) - thing.radius - FINGER)
        return room

    # --- release ------------------------------------------------------------------------------

    def release(self, place: str) -> Actions:
        """Carry what is held above a place, put it down and withdraw."""
        spot = find_thing(place)
        held = self.world.touched_by_both_fingers()
        if not held:
            raise StuckError("nothing is held")
        name, yaw, closed = held[0], self.hand.yaw, self.hand.gripper
        high = max(self.style.carry, self.hand.position[2])
        # Up first, then across: the way bends, as far as the goal still is.
        for _ in range(PATIENCE):
            self._check_held(name)
            above = self._above(name, place, high)
            if self.hand.far(above) < 3 * NEAR:
                break
            yield self.hand.toward(above, yaw, closed)
        else:
            raise StuckError(f"{name} does not come over {place}")
        down = self._above(name, place, 0.0)
        down[2] = self._resting_height(name, place, spot) + self.style.drop
        yield from self._move(down, yaw, closed, ARRIVED, slow=True)
        # Farther than it was open before, by little: things beside the place are not hit.
        opened = max(arm.gripper_at(find_thing(name).width + 0.03), self.style.open)
        for _ in range(PATIENCE):
            yield self.hand.toward(down, yaw, opened)
            if self.hand.gripper == opened and name not in self.world.touched_objects():
                break
        yield from self._move(down + [0, 0, WITHDRAW], yaw, opened, NEAR)

    def _above(self, name: str, place: str, height: float) -> NDArray[np.float64]:
        """Where the hand is when the thing it holds is above the place."""
        at, _ = self.world.object_pose(place)
        thing, _ = self.world.object_pose(name)
        here, _ = self.world.ee_pose()
        beside = self.style.beside * np.array([np.cos(self._angle), np.sin(self._angle)])
        return np.array([*(at[:2] + beside + (here - thing)[:2]), height])

    def _resting_height(self, name: str, place: str, spot: Thing) -> float:
        """Height of the hand when the thing it holds touches the place."""
        thing, _ = self.world.object_pose(name)
        here, _ = self.world.ee_pose()
        top = self.world.object_pose(place)[0][2] + spot.place
        return float(top + find_thing(name).height + (here - thing)[2])

    def _check_held(self, name: str) -> None:
        if name not in self.world.touched_objects():
            raise StuckError(f"{name} was lost on the way")

    def _move(
        self, goal: NDArray, yaw: float, gripper: float, near: float, slow: bool = False
    ) -> Actions:
        """Lead the hand to a goal; the last centimetres of a slow way are slow."""
        turned = np.remainder(yaw - self.hand.yaw + np.pi, 2 * np.pi) - np.pi
        yaw = self.hand.yaw + float(turned)
        for _ in range(PATIENCE):
            if self.hand.far(goal) < near and abs(yaw - self.hand.yaw) < 0.1:
                return
            yield self.hand.toward(goal, yaw, gripper, self.style.slow if slow else None)
        raise StuckError("a motion does not arrive")


def _tips_beyond(gripper: float) -> float:
    """m, how far the finger tips are beyond the hand's frame; negative where they are before."""
    beside, before = arm.FINGER_LINK
    joint = arm.FINGER_ROOT[1] + beside * np.sin(gripper) + before * np.cos(gripper)
    return float(joint + PAD_TIP - (arm.TOOL - arm.GRIPPER_MOUNT))
