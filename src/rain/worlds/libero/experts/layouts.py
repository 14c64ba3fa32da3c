"""Where things start on the open track: the scene's own regions, and variations of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.libero.experts.grasps import category_of, graspable_category
from rain.worlds.libero.experts.places import find_place
from rain.worlds.libero.experts.scripts import (
    fits,
    is_open,
    joint_of,
    parts_that_move,
    place_is_free,
    places,
    state_of,
)
from rain.worlds.libero.experts.shapes import Box, fixture_boxes, object_box, tilt
from rain.worlds.libero.held_out import Goal, held_out_task
from rain.worlds.libero.loading import turned_about_vertical
from rain.worlds.libero.regions import parse_target
from rain.worlds.libero.world import LiberoWorld

WORKSPACE = ((0.36, 0.77), (-0.32, 0.32))
"""x and y, m, base frame, in which objects are scattered."""
REACH = (0.36, 0.75)
"""Distance from the robot's base, m, in which an object can be grasped from above."""
GAP = 0.03
"""m between two scattered things."""
SWEEP = {"wooden_cabinet": 0.24, "white_cabinet": 0.24, "microwave": 0.28}
"""Category -> room, m, that its drawers or door need in front of it."""
START_ROOM = ((0.36, 0.62), (-0.20, 0.20), (0.16, 0.36))
FALLEN = np.deg2rad(20)
"""rad; a bowl that lies on a ramekin as libero_spatial's task 5 puts it leans by 16 degrees."""
TRIES = 50
DRAWER_OUT, DOOR_OUT = (-0.158, -0.145), (-2.0, -1.3)
"""Joint values, m and rad, of what stands open at the start."""


@dataclass(frozen=True)
class LayoutMix:
    """How often the open track uses the scene's own regions, permuted places, scattered ones.

    turned: largest yaw, rad, of an object in permuted and scattered layouts; fixtures: probability
    that those layouts move the fixtures too; mirrored: that this puts them on the other side;
    opened, door: probability that a drawer, a door, stands open; upon: that an object starts on or
    in something; moved_start: that the arm starts elsewhere than at its usual place.
    """

    regions: float = 0.35
    permuted: float = 0.25
    scattered: float = 0.40
    turned: float = 0.35
    fixtures: float = 0.4
    mirrored: float = 0.3
    opened: float = 0.5
    door: float = 0.7
    upon: float = 0.3
    moved_start: float = 0.4


@dataclass(frozen=True)
class Layout:
    """A layout as it was made, before things settled.

    kind: regions, permuted or scattered; places: object or fixture -> xy (2,), scene frame, m;
    opened: sites, or fixtures, that stand open.
    """

    kind: str
    places: dict[str, NDArray]
    opened: frozenset[str]

    def held_out(self, goal: Goal) -> str | None:
        """Name the LIBERO-EX task that this layout together with the goal would be, if any."""
        return held_out_task(self.places, self.opened, goal)


def sample_layout(world: LiberoWorld, rng: np.random.Generator, mix: LayoutMix) -> Layout:
    """Reset the world into an open-track layout; RainError when none can be found."""
    kinds = ("regions", "permuted", "scattered")
    kind = str(rng.choice(kinds, p=np.array([mix.regions, mix.permuted, mix.scattered])))
    for attempt in range(TRIES):
        if kind == "permuted" and attempt == TRIES // 5:
            kind = "scattered"  # what lies in the scene is too large for each other's places
        world.reset(seed=int(rng.integers(2**31)), settle=False)
        upright = {name: world.object_pose(name)[1] for name in world.objects()}
        _open_parts(world, rng, mix)
        if kind != "regions":
            if rng.random() < mix.fixtures:
                _move_fixtures(world, rng, rng.random() < mix.mirrored)
            if not _move_objects(world, rng, kind, mix.turned):
                continue
        if rng.random() < mix.upon:
            _put_upon(world, rng)
        layout = describe(world, kind)
        world.settle()
        fallen = [n for n in world.objects() if tilt(world, n, upright[n]) > FALLEN]
        if not fallen and _inside(world) and not _jammed(world):
            return layout
    raise RainError(f"no {kind} layout without fallen objects was found in {TRIES} tries")


def describe(world: LiberoWorld, kind: str) -> Layout:
    """Take down where things are now."""
    names = [*world.objects(), *world.fixtures()]
    places = {name: world.data.xpos[world.env.obj_body_id[name]][:2].copy() for name in names}
    return Layout(kind, places, opened_sites(world))


def opened_sites(world: LiberoWorld) -> frozenset[str]:
    """What stands open, as LIBERO's predicates name it."""
    return frozenset(parse_target(p).place for p in parts_that_move(world) if is_open(world, p))


def _open_parts(world: LiberoWorld, rng: np.random.Generator, mix: LayoutMix) -> None:
    """Open doors and at most one drawer of a cabinet; what the scene has open may be shut.

    A drawer with something inside stays as it is.
    """
    for owner in sorted({part.partition(":")[0] for part in parts_that_move(world)}):
        parts = [p for p in parts_that_move(world) if p.startswith(f"{owner}:")]
        if any(base.startswith(f"{owner}_") for base in started_on(world).values()):
            continue
        door = parts[0].endswith(":door")
        for part in parts:
            world.set_joint(joint_of(part), 0.0)
        if rng.random() < (mix.door if door else mix.opened):
            opened = rng.uniform(*(DOOR_OUT if door else DRAWER_OUT))
            world.set_joint(joint_of(str(rng.choice(parts))), float(opened))


def started_on(world: LiberoWorld) -> dict[str, str]:
    """Object -> object or region it starts on or in, as the scene's BDDL file says."""
    facts = world.env.parsed_problem["initial_state"]
    return {fact[1]: fact[2] for fact in facts if fact[0] in ("on", "in")}


def _base_of(world: LiberoWorld, name: str) -> str | None:
    """The object or fixture that something starts on; None where that is the table."""
    base = started_on(world).get(name, "")
    owners = sorted([*world.objects(), *world.fixtures()])
    return next((o for o in owners if base == o or base.startswith(f"{o}_")), None)


def _loose(world: LiberoWorld) -> list[str]:
    """Objects that start on the table and are no containers."""
    return [
        name
        for name in world.objects()
        if _base_of(world, name) is None and category_of(name) != "basket"
    ]


def _move_fixtures(world: LiberoWorld, rng: np.random.Generator, mirrored: bool) -> None:
    """Move the fixtures a little, or to the other side; what starts on them goes along."""
    names, poses = world.fixtures(), world.fixture_poses()
    turns = {}
    for pose, name in zip(poses, names, strict=True):
        turn = rng.uniform(-0.1, 0.1)
        fronted = category_of(name) in SWEEP
        if fronted:  # some scenes turn a cabinet so that its drawers are out of reach
            yaw = 2 * np.arctan2(pose[6], pose[3])
            turn += np.round(yaw / np.pi) * np.pi - yaw
            pose[0] -= rng.uniform(0.0, 0.08)
        if mirrored:
            pose[1] = -pose[1]
            turn += np.pi if fronted else 0.0
        pose[:2] += rng.uniform(-0.04, 0.04, 2)
        pose[3:] = turned_about_vertical(pose[3:], turn)
        turns[name] = turn
    riders = {n: base for n in world.objects() if (base := _base_of(world, n)) in names and base}
    before = {base: world.object_pose(base)[0] for base in riders.values()}
    offsets = {n: world.object_pose(n)[0] - before[base] for n, base in riders.items()}
    world.set_fixture_poses(poses)
    for name, base in riders.items():
        c, s = np.cos(turns[base]), np.sin(turns[base])
        x, y, _ = offsets[name]
        goal = world.object_pose(base)[0][:2] + [c * x - s * y, s * x + c * y]
        world.place_object(name, goal, turns[base])


def _move_objects(world: LiberoWorld, rng: np.random.Generator, kind: str, turned: float) -> bool:
    """Give the loose objects other places; containers move a little; False when it fails."""
    loose = _loose(world)
    riders = {n: b for n in world.objects() if (b := _base_of(world, n)) in loose and b}
    offsets = {n: world.object_pose(n)[0] - world.object_pose(b)[0] for n, b in riders.items()}
    for name in world.objects():
        if category_of(name) == "basket":
            middle = world.object_pose(name)[0][:2]
            world.place_object(name, middle + rng.uniform([-0.08, -0.05], [0.08, 0.04]))
    if kind == "permuted":
        places = np.array([world.object_pose(name)[0][:2] for name in loose])
        places = places[rng.permutation(len(places))] + rng.uniform(-0.03, 0.03, places.shape)
        found = places if _apart(world, loose, places) else None
    else:
        found = _scatter(world, rng, loose)
    if found is None:
        return False
    for name, place in zip(loose, found, strict=True):
        world.place_object(name, place, rng.uniform(-turned, turned))
    for name, base in riders.items():
        goal = world.object_pose(base)[0] + offsets[name]
        world.place_object(name, goal[:2], 0.0)
    return True


def _apart(world: LiberoWorld, names: list[str], places: NDArray) -> bool:
    """Say whether objects at these places (n, 2) keep clear of each other and of all else."""
    sizes = np.array([_size(world, name) for name in names])
    between = np.hypot(*(places[:, None] - places).transpose(2, 0, 1)) - sizes - sizes[:, None]
    np.fill_diagonal(between, np.inf)
    obstacles = _obstacles(world, names)
    pairs = zip(places, sizes, strict=True)
    clear = all(obstacles.clear_of(place, size) for place, size in pairs)
    return bool(between.min(initial=np.inf) > GAP / 2) and clear


def _size(world: LiberoWorld, name: str) -> float:
    return float(object_box(world, name).half.max())


def _scatter(world: LiberoWorld, rng: np.random.Generator, names: list[str]) -> NDArray | None:
    """Draw places (n, 2) with room between them; None where none were found."""
    room = np.array(WORKSPACE)
    sizes = [_size(world, name) for name in names]
    obstacles = _obstacles(world, names)
    for _ in range(20):
        points: list[NDArray] = []
        for _ in range(60 * len(names)):
            size, point = sizes[len(points)], rng.uniform(room[:, 0], room[:, 1])
            if (
                REACH[0] < np.hypot(*point) < REACH[1]
                and all(
                    np.hypot(*(point - other)) > size + radius + GAP
                    for other, radius in zip(points, sizes, strict=False)
                )
                and obstacles.clear_of(point, size)
            ):
                points.append(point)
            if len(points) == len(names):
                return np.array(points)
    return None


@dataclass(frozen=True)
class _Obstacles:
    """What scattered things keep clear of, from above: corners low, high (n, 2), m; objects."""

    low: NDArray
    high: NDArray
    boxes: list[Box]

    def clear_of(self, point: NDArray, size: float) -> bool:
        """Say whether a disc about a point (2,) touches none of them."""
        outside = np.maximum(self.low - point, point - self.high)
        if (np.hypot(*np.maximum(outside, 0).T) < size + GAP).any():
            return False
        return all(box.distance(point[None])[0] > size + 0.5 * GAP for box in self.boxes)


def _obstacles(world: LiberoWorld, moving: list[str]) -> _Obstacles:
    """Fixtures, the room before them, and the containers, where they are now."""
    others = [n for n in world.objects() if n not in moving and _base_of(world, n) is None]
    return _Obstacles(*_kept_free(world), [object_box(world, name) for name in others])


def _kept_free(world: LiberoWorld) -> tuple[NDArray, NDArray]:
    """Corners (n, 2) of the boxes about fixtures and the room their parts need."""
    if not len(world.fixture_geoms()):
        return np.zeros((0, 2)), np.zeros((0, 2))
    low, high = (corner[:, :2] for corner in fixture_boxes(world))
    lows, highs = [low], [high]
    for owner in world.fixtures():
        if category_of(owner) in SWEEP:
            pose, rotation = world.object_pose(owner)
            front = rotation[:2, 1] * -SWEEP[category_of(owner)]
            ends = np.array([pose[:2] - 0.08, pose[:2] + 0.08])
            lows.append((ends.min(axis=0) + np.minimum(front, 0))[None])
            highs.append((ends.max(axis=0) + np.maximum(front, 0))[None])
    return np.concatenate(lows), np.concatenate(highs)


def _put_upon(world: LiberoWorld, rng: np.random.Generator) -> None:
    """Put one of the loose objects onto or into something, where that makes sense."""
    state = state_of(world)
    options = [
        (name, place)
        for name in _loose(world)
        if graspable_category(name) and not any(_base_of(world, n) == name for n in world.objects())
        for place in places(world)
        if place.rpartition(":")[2] not in ("contain_region", *_SIDEWAYS)
        and fits(world, name, place)
        and place_is_free(world, state, place, name)
    ]
    if options:
        name, place = options[int(rng.integers(len(options)))]
        box, origin = object_box(world, name), world.object_pose(name)[0]
        centre = find_place(world, place, held=name).centre
        above = centre[2] + origin[2] - box.bottom + 0.015
        world.place_object(name, centre[:2] + rng.uniform(-0.01, 0.01, 2), 0.0, above)


_SIDEWAYS = ("heating_region", "back_contain_region", "top_region")


def _jammed(world: LiberoWorld) -> bool:
    """Say whether a thing on the table touches a fixture, such as a drawer pulled out over it."""
    fixtures = set(world.fixture_geoms().tolist())
    floor = min(object_box(world, name).bottom for name in world.objects())
    low = [n for n in _loose(world) if object_box(world, n).bottom < floor + 0.02]
    things = {int(geom) for name in low for geom in world.geoms_of(name)}
    return any(
        {c.geom1, c.geom2} & fixtures and {c.geom1, c.geom2} & things for c in world.data.contact
    )


def _inside(world: LiberoWorld) -> bool:
    """Say whether every loose object still lies where the arm reaches it."""
    away = [np.hypot(*world.object_pose(name)[0][:2]) for name in _loose(world)]
    return REACH[0] - 0.06 < min(away) and max(away) < REACH[1] + 0.03
