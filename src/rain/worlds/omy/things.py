"""What lies on the table: plates, vegetables, tapes and clay, as simple shapes of ours."""

from __future__ import annotations

from dataclasses import dataclass

from rain.types import RainError

_FRICTION = "1.0 0.01 0.002"
COLOURS = {
    "red": "0.78 0.16 0.14",
    "green": "0.16 0.55 0.25",
    "blue": "0.13 0.30 0.70",
    "yellow": "0.92 0.78 0.15",
}


@dataclass(frozen=True)
class Thing:
    """One movable thing.

    kind: its word, which an instruction uses after the colour. radius: m, of the circle about its
    origin that it stays within on the table. height: m, of its origin when it lies on the table.
    width: m, across which the fingers close, along its own y; 0 where it cannot be grasped.
    turns: rad, further yaws at which it has that width; ``round`` where it has it at every yaw.
    place: half-height of what can be put on it, m, else 0. geoms: MJCF, in its own frame.
    """

    kind: str
    radius: float
    height: float
    width: float
    geoms: str
    turns: tuple[float, ...] = (0.0,)
    round: bool = False
    place: float = 0.0


def _geom(shape: str, size: str, colour: str, rest: str = "", mass: float = 0.0) -> str:
    solid = f'mass="{mass}" friction="{_FRICTION}" condim="6" contype="1" conaffinity="3"'
    seen = 'contype="0" conaffinity="0" mass="0"'
    return (
        f'<geom type="{shape}" size="{size}" rgba="{colour} 1" group="1" {rest} '
        f"{solid if mass else seen}/>"
    )


def _hidden(shape: str, size: str, mass: float, rest: str = "") -> str:
    return (
        f'<geom type="{shape}" size="{size}" group="0" {rest} mass="{mass}" '
        f'friction="{_FRICTION}" condim="6" contype="1" conaffinity="3"/>'
    )


def _plate(colour: str) -> Thing:
    radius = 0.07
    return Thing(
        kind="plate",
        radius=radius,
        height=0.006,
        width=0.0,
        place=0.006,
        geoms=_geom("cylinder", f"{radius} 0.006", COLOURS[colour], mass=0.25)
        + _geom("cylinder", f"{0.72 * radius} 0.0062", _lighter(COLOURS[colour])),
    )


def _tape(colour: str) -> Thing:
    return Thing(
        kind="tape",
        radius=0.03,
        height=0.012,
        width=0.06,
        round=True,
        geoms=_geom("cylinder", "0.03 0.012", COLOURS[colour], mass=0.06)
        + _geom("cylinder", "0.019 0.0123", "0.75 0.66 0.52")
        + _geom("cylinder", "0.015 0.0125", "0.25 0.22 0.20"),
    )


def _lighter(colour: str) -> str:
    return " ".join(f"{0.6 * float(part) + 0.4:.2f}" for part in colour.split())


def _vegetable(kind: str, length: float, thick: float, colour: str, mass: float) -> Thing:
    """An ellipsoid that collides as a capsule along its x, which is cheap and does not wobble."""
    body = _hidden("capsule", f"{thick} {0.55 * (length - thick)}", mass, 'euler="0 1.5707963 0"')
    return Thing(
        kind=kind,
        radius=length,
        height=thick,
        width=2 * thick,
        turns=(0.0, 3.14159265),
        geoms=body + _geom("ellipsoid", f"{length} {thick} {thick}", colour),
    )


THINGS: dict[str, Thing] = {
    "potato": _vegetable("potato", 0.042, 0.027, "0.72 0.53 0.30", 0.12),
    "lemon": _vegetable("lemon", 0.035, 0.025, "0.97 0.86 0.16", 0.09),
    **{f"{colour}_plate": _plate(colour) for colour in ("red", "green", "blue")},
    **{f"{colour}_tape": _tape(colour) for colour in ("blue", "red", "yellow")},
    "clay": Thing(
        kind="clay",
        radius=0.05,
        height=0.014,
        width=0.07,
        turns=(0.0, 1.57079633, 3.14159265, -1.57079633),
        place=0.014,
        geoms=_geom("box", "0.035 0.035 0.014", "0.86 0.84 0.80", mass=0.15),
    ),
}


def find_thing(name: str) -> Thing:
    """A thing by its name; RainError names those there are."""
    if name not in THINGS:
        raise RainError(f"{name!r} is nothing here; known: {', '.join(THINGS)}")
    return THINGS[name]


def words(name: str) -> str:
    """How an instruction calls a thing: ``red_plate`` is ``red plate``."""
    return name.replace("_", " ")
