"""The named edits that make a LIBERO-EX scene of one of LIBERO's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from rain.types import RainError
from rain.worlds.libero.ex.problem import Problem, Region
from rain.worlds.libero.goals import Predicate
from rain.worlds.libero.regions import parse_target


def category_of(name: str) -> str:
    """The category of a thing called ``akita_black_bowl_1``."""
    return name.rpartition("_")[0]


@dataclass(frozen=True)
class Replace:
    """Another thing, ``by``, in place of ``name``: same region, object or fixture as that was."""

    name: str
    by: str

    def apply(self, scene: Problem) -> Problem:
        """The scene after it."""

        def renamed(word: str) -> str:
            return self.by if word == self.name else word

        def exchanged(things: dict[str, str]) -> dict[str, str]:
            kept = {n: kind for n, kind in things.items() if n != self.name}
            return kept | {self.by: category_of(self.by)} if len(kept) < len(things) else kept

        scene.place_of(self.name)  # says so where it is not in the scene
        _check_new(scene, self.by)
        return replace(
            scene,
            # A part of what is no longer there, such as the top of a rack, is no region.
            regions=tuple(r for r in scene.regions if r.owner != self.name),
            fixtures=exchanged(scene.fixtures),
            objects=exchanged(scene.objects),
            interest=tuple(map(renamed, scene.interest)),
            start=tuple((fact[0], *map(renamed, fact[1:])) for fact in scene.start),
        )

    def __str__(self) -> str:
        return f"replace {self.name} by {self.by}"


@dataclass(frozen=True)
class Move:
    """``name`` starts elsewhere: on the table, or inside a part of a fixture.

    to: x and y, m, from the table's middle, of a region as wide as the one it had; yaw: rad, of a
    fixture. into: a place (``microwave_1:heating_region``) instead; offset: x, y and z, m, of the
    object's origin from the middle of that place, where LIBERO's own sampler does not put it.
    """

    name: str
    to: tuple[float, float] | None = None
    yaw: float | None = None
    into: str | None = None
    offset: tuple[float, float, float] | None = None

    def apply(self, scene: Problem) -> Problem:
        """The scene after it."""
        before = scene.region(scene.place_of(self.name))
        if self.into is not None:
            return _starting(scene, self.name, ("in", self.name, parse_target(self.into).place))
        if self.to is None or before is None or before.box is None:
            raise RainError(f"move {self.name}: give to, for something that is on the table")
        if (self.yaw is not None) != (self.name in scene.fixtures):
            raise RainError(f"move {self.name}: a fixture needs a yaw, an object has none")
        half = (before.box[2] - before.box[0]) / 2, (before.box[3] - before.box[1]) / 2
        return _placed(scene, self.name, self.to, before.owner, half, self.yaw)

    def __str__(self) -> str:
        if self.to is None:
            return f"move {self.name} into {self.into}"
        turned = "" if self.yaw is None else f", turned by {self.yaw:.2f} rad"
        return f"move {self.name} to ({self.to[0]:g}, {self.to[1]:g}){turned}"


@dataclass(frozen=True)
class Swap:
    """Each of ``names`` takes the place of the next, the last that of the first."""

    names: tuple[str, ...]

    def apply(self, scene: Problem) -> Problem:
        """The scene after it."""
        if len(set(self.names)) < 2:
            raise RainError("swap: name at least two things")
        taken = dict(zip(self.names, self.names[1:] + self.names[:1], strict=True))
        places = {name: scene.place_of(other) for name, other in taken.items()}
        start = tuple(
            ("on", fact[1], places[fact[1]]) if fact[0] == "on" and fact[1] in places else fact
            for fact in scene.start
        )
        return replace(scene, start=start)

    def __str__(self) -> str:
        if len(self.names) == 2:
            return f"swap {self.names[0]} and {self.names[1]}"
        return f"swap in a ring {', '.join(self.names)}: each takes the next one's place"


@dataclass(frozen=True)
class Add:
    """One more object, ``name``, on the table.

    at: x and y, m, from the table's middle, of a region as wide as the scene's widest of a start.
    """

    name: str
    at: tuple[float, float]

    def apply(self, scene: Problem) -> Problem:
        """The scene after it."""
        _check_new(scene, self.name)
        started = [scene.region(scene.place_of(name)) for name in scene.objects]
        boxes = [(r.owner, r.box) for r in started if r is not None and r.box is not None]
        width, owner = max((box[2] - box[0], owner) for owner, box in boxes)
        scene = replace(scene, objects=scene.objects | {self.name: category_of(self.name)})
        return _placed(scene, self.name, self.at, owner, (width / 2, width / 2), None)

    def __str__(self) -> str:
        return f"add {self.name} at ({self.at[0]:g}, {self.at[1]:g})"


@dataclass(frozen=True)
class SetJoint:
    """A drawer or a door stands open (or closed) at the start, and nothing else of its fixture."""

    part: str
    state: str

    def apply(self, scene: Problem) -> Problem:
        """The scene after it."""
        target = parse_target(self.part)
        if target.owner not in scene.fixtures or self.state not in ("open", "close"):
            raise RainError(f"set_joint: {self.part!r} cannot be set to {self.state!r}")
        others = tuple(
            fact
            for fact in scene.start
            if not (fact[0] in ("open", "close") and fact[1].startswith(target.owner))
        )
        return replace(scene, start=(*others, (self.state, target.place)))

    def __str__(self) -> str:
        return f"set {self.part} {self.state}"


Edit = Replace | Move | Swap | Add | SetJoint


def edit_from(entry: Mapping[str, Any]) -> Edit:
    """An edit as tasks.yaml writes it, for instance ``{swap: [milk_1, butter_1]}``."""
    first, *rest = entry.values()
    kinds = {"replace": Replace, "move": Move, "add": Add, "set_joint": SetJoint}
    kind = next(iter(entry))
    if kind == "swap" and not rest:
        return Swap(tuple(first))
    if kind not in kinds:
        raise RainError(f"edit {dict(entry)} is unknown; known: swap, {', '.join(kinds)}")
    named = {k: tuple(v) if isinstance(v, list) else v for k, v in list(entry.items())[1:]}
    try:
        return kinds[kind](first, **named)
    except TypeError as error:
        raise RainError(f"edit {dict(entry)}: {error}") from error


def edited(scene: Problem, edits: Sequence[Edit]) -> Problem:
    """The scene after all edits, one after another."""
    return reduce(lambda done, edit: edit.apply(done), edits, scene)


def _check_new(scene: Problem, name: str) -> None:
    if name in scene.objects or name in scene.fixtures:
        raise RainError(f"{name!r} is in the scene already")


def _placed(
    scene: Problem,
    name: str,
    at: tuple[float, float],
    table: str,
    half: tuple[float, float],
    yaw: float | None,
) -> Problem:
    """The scene with a region of its own on the table for what is called ``name``."""
    (x, y), (dx, dy) = at, half
    box = (round(x - dx, 6), round(y - dy, 6), round(x + dx, 6), round(y + dy, 6))
    region = Region(f"ex_{name}_region", table, box, None if yaw is None else (yaw, yaw))
    regions = (*(r for r in scene.regions if r.site != region.site), region)
    return _starting(replace(scene, regions=regions), name, ("on", name, region.site))


def _starting(scene: Problem, name: str, fact: Predicate) -> Problem:
    """The scene with another start of one thing."""
    kept = [f for f in scene.start if not (f[0] in ("on", "in") and f[1] == name)]
    joints = [f for f in kept if f[0] not in ("on", "in")]
    placed = [f for f in kept if f[0] in ("on", "in")]
    return replace(scene, start=(*placed, fact, *joints))
