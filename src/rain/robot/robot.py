"""What a robot is, as data: joints and their limits, workspace, cameras, topics; read from YAML.

Nothing that keeps the arm safe has a default: a description that leaves something out is refused,
and so is one with a word too much.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rain.types import ACTION_DIM, Conventions, RainError

PRESETS = Path(__file__).parent / "presets"
HOLDS = ("last_target", "measured")
KINEMATICS = ("omy_f3m",)


@dataclass(frozen=True)
class Camera:
    """Where a view's images come from, and how they are made upright."""

    topic: str
    quarter_turns: int


@dataclass(frozen=True)
class SlowStart:
    """Speeds rise from ``share`` of their limits to all of them over ``seconds``."""

    share: float
    seconds: float


@dataclass(frozen=True)
class Topics:
    """Names of what the arm says and hears: JointState, JointTrajectory."""

    state: str
    command: str


@dataclass(frozen=True)
class Robot:
    """One kind of arm. Arrays are in the order of ``joints``, the gripper last.

    joints: names (7,). low, high: rad (7,). velocity: rad/s (7,). step: rad (7,), how far a target
    may be from the measured joint. workspace: m (3, 2), robot base frame, of the point between the
    finger tips. hold: one of ``HOLDS``. kinematics: one of ``KINEMATICS``. state, action, rate_hz:
    as in ``Conventions``.
    """

    name: str
    kinematics: str
    state: str
    action: str
    rate_hz: float
    hold: str
    joints: tuple[str, ...]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    velocity: NDArray[np.float64]
    step: NDArray[np.float64]
    workspace: NDArray[np.float64]
    slow_start: SlowStart
    cameras: Mapping[str, Camera]
    topics: Topics

    def conventions(self, views: tuple[str, ...], image_size: int) -> Conventions:
        """What its observations and actions mean, with these of its views; RainError."""
        for view in views:
            if view not in self.cameras:
                raise RainError(f"{self.name} has no view {view!r}; it has {_list(self.cameras)}")
        return Conventions(views, image_size, self.state, self.action, self.rate_hz)


def load_robot(name: str | Path) -> Robot:
    """A preset by its name, or a YAML file by its path; RainError says what is wrong in it."""
    known = sorted(path.stem for path in PRESETS.glob("*.yaml"))
    path = PRESETS / f"{name}.yaml" if str(name) in known else Path(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, IsADirectoryError):
        raise RainError(
            f"no robot {str(name)!r}: no file, and no preset ({_list(known)})"
        ) from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RainError(f"robot {path}: it is no YAML: {error}") from None
    return robot_from(content, f"robot {path.name}")


def robot_from(content: Any, where: str) -> Robot:
    """A robot from what YAML holds; RainError names what is missing, unknown or no good."""
    wanted = (
        "name", "kinematics", "state", "action", "rate_hz", "hold", "joints", "gripper",
        "workspace", "slow_start", "cameras", "topics",
    )  # fmt: skip
    top = _exactly(content, wanted, where)
    joints = _mapping(top["joints"], f"{where}: joints") | _gripper(top["gripper"], where)
    if len(joints) != ACTION_DIM:
        raise RainError(f"{where}: expected {ACTION_DIM} joints with the gripper's, {len(joints)}")
    rows = [_joint(row, f"{where}: {name}") for name, row in joints.items()]
    start = _exactly(top["slow_start"], _names(SlowStart), f"{where}: slow_start")
    share = _number(start["share"], f"{where}: slow_start.share", above=0.0)
    if share > 1:
        raise RainError(f"{where}: slow_start.share: expected at most 1, got {share:g}")
    sides = _exactly(top["workspace"], ("x", "y", "z"), f"{where}: workspace")
    topics = _exactly(top["topics"], _names(Topics), f"{where}: topics")
    return Robot(
        name=_text(top["name"], f"{where}: name"),
        kinematics=_one_of(top["kinematics"], KINEMATICS, f"{where}: kinematics"),
        state=_text(top["state"], f"{where}: state"),
        action=_text(top["action"], f"{where}: action"),
        rate_hz=_number(top["rate_hz"], f"{where}: rate_hz", above=0.0),
        hold=_one_of(top["hold"], HOLDS, f"{where}: hold"),
        joints=tuple(map(str, joints)),
        low=np.array([row[0] for row in rows]),
        high=np.array([row[1] for row in rows]),
        velocity=np.array([row[2] for row in rows]),
        step=np.array([row[3] for row in rows]),
        workspace=np.array([_range(sides[s], f"{where}: workspace.{s}") for s in "xyz"]),
        slow_start=SlowStart(share, _number(start["seconds"], f"{where}: slow_start.seconds")),
        cameras=_cameras(top["cameras"], where),
        topics=Topics(**{k: _text(v, f"{where}: topics.{k}") for k, v in topics.items()}),
    )


def _gripper(content: Any, where: str) -> dict[str, Any]:
    found = _mapping(content, f"{where}: gripper")
    if len(found) != 1:
        raise RainError(f"{where}: gripper: expected one joint, got {_list(found)}")
    return found


def _joint(content: Any, where: str) -> tuple[float, float, float, float]:
    row = _exactly(content, ("position", "velocity", "step"), where)
    low, high = _range(row["position"], f"{where}.position")
    velocity = _number(row["velocity"], f"{where}.velocity", above=0.0)
    return low, high, velocity, _number(row["step"], f"{where}.step", above=0.0)


def _cameras(content: Any, where: str) -> dict[str, Camera]:
    cameras = _mapping(content, f"{where}: cameras")
    if not cameras:
        raise RainError(f"{where}: cameras: expected at least one")
    found = {}
    for view, entry in cameras.items():
        name = f"{where}: camera {view}"
        camera = _exactly(entry, _names(Camera), name)
        turns = camera["quarter_turns"]
        if turns not in (0, 1, 2, 3) or isinstance(turns, bool):
            raise RainError(f"{name}: quarter_turns: expected 0, 1, 2 or 3, got {turns!r}")
        found[str(view)] = Camera(_text(camera["topic"], f"{name}: topic"), turns)
    return found


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind))


def _mapping(content: Any, where: str) -> dict[str, Any]:
    if not isinstance(content, Mapping):
        raise RainError(f"{where}: expected names with values, got {content!r}")
    return dict(content)


def _exactly(content: Any, wanted: tuple[str, ...], where: str) -> dict[str, Any]:
    found = _mapping(content, where)
    if missing := [name for name in wanted if name not in found]:
        raise RainError(f"{where}: {_list(missing)} must be given; there is no default")
    if unknown := [name for name in found if name not in wanted]:
        raise RainError(f"{where}: unknown {_list(unknown)}; known: {_list(wanted)}")
    return found


def _number(value: Any, where: str, above: float | None = None) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
    if not good or (value <= above if above is not None else value < 0):
        least = "0 or more" if above is None else f"more than {above:g}"
        raise RainError(f"{where}: expected a number, {least}, got {value!r}")
    return float(value)


def _range(value: Any, where: str) -> tuple[float, float]:
    numbers = isinstance(value, list) and len(value) == 2 and all(
        isinstance(n, int | float) and not isinstance(n, bool) and np.isfinite(n) for n in value
    )  # fmt: skip
    if not numbers or value[0] >= value[1]:
        raise RainError(f"{where}: expected [lower, upper], got {value!r}")
    return float(value[0]), float(value[1])


def _text(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise RainError(f"{where}: expected text, got {value!r}")
    return value


def _one_of(value: Any, known: tuple[str, ...], where: str) -> str:
    if value not in known:
        raise RainError(f"{where}: expected one of {_list(known)}, got {value!r}")
    return str(value)


def _list(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
