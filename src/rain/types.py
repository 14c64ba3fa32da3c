"""The words of RAIN as frozen dataclasses: what flows between the rooms.

Everything here is checked when it is built, so that a wrong shape, a NaN or an unknown action
type fails where it was made and names the field. Imports NumPy only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

ACTION_TYPES: tuple[str, ...] = ("grasp", "release", "open", "close", "turn_on", "push")
"""Every action type, in the order of their indices in the network's tables."""

HORIZON = 16
"""H: actions in an ActionChunk."""

PLAN_POINTS = 8
"""N: waypoints in a Plan; the last is the interaction point."""

STATE_DIM = 7
ACTION_DIM = 7

Array = NDArray[np.float32]


class RainError(Exception):
    """An error a user can mend. The command line prints it on one line and exits with code 2."""


class ConventionError(RainError):
    """Two parts that meet do not mean the same by views, images, state, action or rate."""


def one_line(error: BaseException) -> str:
    """An error on one line; of a bug also its kind."""
    text = " ".join(str(error).split())
    return text if isinstance(error, RainError) else f"{type(error).__name__}: {text}".rstrip(": ")


def _finite(name: str, value: ArrayLike, shape: tuple[int, ...]) -> Array:
    try:
        with np.errstate(over="ignore"):  # too large for float32 is infinity, said below
            array = np.array(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise RainError(f"{name}: expected numbers of shape {shape}, got {value!r}") from error
    if array.shape != shape:
        raise RainError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise RainError(f"{name}: holds NaN or infinity")
    array.setflags(write=False)
    return array


def _action_type(name: str, value: str) -> None:
    if not isinstance(value, str) or value not in ACTION_TYPES:
        raise RainError(f"{name}: unknown action type {value!r}; known: {', '.join(ACTION_TYPES)}")


@dataclass(frozen=True)
class Subtask:
    """One action type done to one target (an object, a fixture part or a place).

    ``target`` names it in the world's own terms, e.g. ``milk_1`` or ``basket_1``; fixture parts
    and places are written ``FIXTURE:PART``, e.g. ``wooden_cabinet_1:top_region``.
    """

    action_type: str
    target: str

    def __post_init__(self) -> None:
        _action_type("Subtask.action_type", self.action_type)
        if not isinstance(self.target, str) or not self.target:
            raise RainError("Subtask.target: expected a name, got an empty one")

    def __str__(self) -> str:
        return f"{self.action_type} {self.target}"


@dataclass(frozen=True)
class TaskScript:
    """An instruction and its ordered subtasks."""

    instruction: str
    subtasks: tuple[Subtask, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "subtasks", tuple(self.subtasks))
        if not self.subtasks:
            raise RainError("TaskScript.subtasks: a script needs at least one subtask")
        for i, subtask in enumerate(self.subtasks):
            if not isinstance(subtask, Subtask):
                raise RainError(f"TaskScript.subtasks[{i}]: expected a Subtask, got {subtask!r}")


@dataclass(frozen=True)
class Observation:
    """What a policy sees at one timestep.

    images: view -> uint8 (H, W, 3), upright RGB.
    regions: view -> (H, W) bool or float in [0, 1], the target's mask. It may be all zero, and a
        view may be absent; a region's size is its image's.
    state: float32 (7,). LIBERO: end-effector position (m), axis-angle (rad), gripper opening (m).
        Robot: six joints and the gripper (rad).
    instruction: the task's words, only where a policy says that it reads them; RAIN does not.
    proprioception: float32 (n,), what the simulator itself gives as state, only where a policy of
        others asks for it; its meaning is the world's.
    """

    images: Mapping[str, NDArray[np.uint8]]
    regions: Mapping[str, NDArray]
    state: Array
    action_type: str
    instruction: str = ""
    proprioception: Array | None = None

    def __post_init__(self) -> None:
        if not self.images:
            raise RainError("Observation.images: at least one view is needed")
        for view, image in self.images.items():
            shape: tuple[int, ...] = getattr(image, "shape", ())
            dtype = getattr(image, "dtype", None)
            if len(shape) != 3 or shape[2] != 3 or dtype != np.uint8:
                raise RainError(
                    f"Observation.images[{view}]: expected uint8 (H, W, 3), got {dtype} {shape}"
                )
        for view, region in self.regions.items():
            self._check_region(view, region)
        object.__setattr__(self, "state", _finite("Observation.state", self.state, (STATE_DIM,)))
        if self.proprioception is not None:
            shape = (np.size(self.proprioception),)
            reading = _finite("Observation.proprioception", self.proprioception, shape)
            object.__setattr__(self, "proprioception", reading)
        _action_type("Observation.action_type", self.action_type)

    def _check_region(self, view: str, region: NDArray) -> None:
        name = f"Observation.regions[{view}]"
        if view not in self.images:
            raise RainError(f"{name}: there is no image of that view")
        expected = self.images[view].shape[:2]
        if not isinstance(region, np.ndarray) or region.shape != expected:
            shape = getattr(region, "shape", type(region).__name__)
            raise RainError(f"{name}: expected shape {expected}, got {shape}")
        if region.dtype == np.bool_:
            return
        if not np.issubdtype(region.dtype, np.floating):
            raise RainError(f"{name}: expected bool or float in [0, 1], got {region.dtype}")
        # NaN fails both comparisons, so it is caught here too.
        if not ((region >= 0) & (region <= 1)).all():
            raise RainError(f"{name}: holds values outside [0, 1]")


@dataclass(frozen=True)
class ActionChunk:
    """The next H = 16 actions, float32 (16, 7), in the meaning the conventions declare."""

    actions: Array

    def __post_init__(self) -> None:
        shape = (HORIZON, ACTION_DIM)
        object.__setattr__(self, "actions", _finite("ActionChunk.actions", self.actions, shape))


@dataclass(frozen=True)
class Plan:
    """N = 8 future end-effector waypoints, float32 (8, 3), metres, robot base frame.

    The last waypoint is the predicted interaction point.
    """

    waypoints: Array

    def __post_init__(self) -> None:
        shape = (PLAN_POINTS, 3)
        object.__setattr__(self, "waypoints", _finite("Plan.waypoints", self.waypoints, shape))

    @property
    def interaction_point(self) -> Array:
        """(3,), metres, robot base frame."""
        return self.waypoints[-1]


@dataclass(frozen=True)
class Progress:
    """Completion probability and the paper's S_dist and S_align (eq. 5), each in [0, 1]."""

    completion: float
    distance: float
    alignment: float

    def __post_init__(self) -> None:
        for name in ("completion", "distance", "alignment"):
            value = float(getattr(self, name))
            if not 0.0 <= value <= 1.0:
                raise RainError(f"Progress.{name}: expected a value in [0, 1], got {value}")
            object.__setattr__(self, name, value)


@dataclass(frozen=True)
class Prediction:
    """What a policy answers to an Observation."""

    action_chunk: ActionChunk
    plan: Plan
    progress: Progress


@dataclass(frozen=True)
class Look:
    """What perception tells the control loop about one frame.

    regions: view -> bool (H, W); a view without one is absent. stamps: of the frames the regions
    belong to, s; scores: of the segmenter, in [0, 1]. pause: why the robot must hold still, or
    None. notes: what else is wrong, for people.
    """

    stamp: float
    regions: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)
    stamps: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    pause: str | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Conventions:
    """What two parts must agree on before they exchange observations and actions.

    state, action: names of a meaning, e.g. ``libero_ee_axis_angle_gripper`` and
        ``libero_osc_pose_delta``; rate_hz: control rate.
    """

    views: tuple[str, ...]
    image_size: int
    state: str
    action: str
    rate_hz: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "views", tuple(self.views))

    def check(self, other: Conventions, mine: str, theirs: str) -> None:
        """Raise ConventionError naming both sides where they differ."""
        differences = [
            f"{name}: {mine} has {getattr(self, name)!r}, {theirs} has {getattr(other, name)!r}"
            for name in ("views", "image_size", "state", "action", "rate_hz")
            if getattr(self, name) != getattr(other, name)
        ]
        if differences:
            raise ConventionError("conventions do not match: " + "; ".join(differences))

    def check_observation(self, observation: Observation) -> None:
        """Raise ConventionError where an observation has other views or sizes of images."""
        got = tuple(observation.images)
        if set(self.views) != set(got):
            raise ConventionError(
                f"the policy needs the views {self.views}, the observation has {got}"
            )
        for view, image in observation.images.items():
            if image.shape[:2] != (self.image_size, self.image_size):
                raise ConventionError(
                    f"the policy needs images of {self.image_size} × {self.image_size}, the "
                    f"observation's {view} is {image.shape[0]} × {image.shape[1]}"
                )


@runtime_checkable
class Policy(Protocol):
    """Anything that acts: RAIN, a replay of a recording, a remote server."""

    conventions: Conventions

    def predict(self, observation: Observation) -> Prediction:
        """Predict the next actions, the plan and the progress of the current subtask."""


@runtime_checkable
class World(Protocol):
    """Anything that is acted on: LIBERO, a simulated arm, a robot, a recorded episode."""

    conventions: Conventions

    def observe(self, subtask: Subtask) -> Observation:
        """Observe now, with the regions of ``subtask``'s target."""

    def step(self, action: NDArray) -> None:
        """Apply one action, float (7,), for one control period."""

    def success(self) -> bool:
        """Say whether the world's goal holds now."""


@dataclass(frozen=True)
class SubtaskSpan:
    """A subtask as it happened in a demonstration.

    start, interaction, end: control steps. At ``interaction`` the gripper began to close on or let
    go of the target (or the joint reached its goal); from ``end`` on the subtask was complete.
    position (3,) m and rotation (3, 3): end-effector pose at the interaction, robot base frame.
    """

    subtask: Subtask
    start: int
    interaction: int
    end: int
    position: Array = field(repr=False)
    rotation: Array = field(repr=False)

    def __post_init__(self) -> None:
        if not 0 <= self.start <= self.interaction <= self.end or self.start == self.end:
            raise RainError(
                "SubtaskSpan: expected 0 <= start <= interaction <= end and start < end, got "
                f"{self.start}, {self.interaction}, {self.end}"
            )
        object.__setattr__(self, "position", _finite("SubtaskSpan.position", self.position, (3,)))
        object.__setattr__(self, "rotation", _finite("SubtaskSpan.rotation", self.rotation, (3, 3)))
