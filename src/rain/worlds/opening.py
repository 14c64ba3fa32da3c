"""Which world a suite belongs to, and what demonstrations ask of it."""

from __future__ import annotations

from typing import Protocol

from numpy.typing import ArrayLike, NDArray

from rain.types import Conventions, TaskScript, World
from rain.worlds.labels import Labeller
from rain.worlds.libero.suites import suite_tasks
from rain.worlds.libero.world import LiberoWorld, libero_conventions
from rain.worlds.omy import SUITE as OMY
from rain.worlds.omy import OmyWorld, omy_conventions, omy_tasks


class WorldTask(Protocol):
    """What a demonstration names its task by."""

    @property
    def suite(self) -> str: ...

    @property
    def index(self) -> int: ...

    @property
    def name(self) -> str: ...


class RecordedWorld(World, Protocol):
    """A world whose episodes can be recorded as states, and looked at again."""

    @property
    def task(self) -> WorldTask:
        """The task it was opened with."""

    @property
    def script(self) -> TaskScript:
        """The task's own script."""

    def reset(
        self, *, init_state: int | None = None, seed: int | None = None, settle: bool = True
    ) -> None:
        """Start again."""

    def get_state(self) -> NDArray:
        """The simulator's state, (n,)."""

    def set_state(self, state: ArrayLike) -> None:
        """Set what ``get_state`` gave."""

    def set_fixture_poses(self, poses: NDArray) -> None:
        """Put fixtures, which are not part of the state, where they stood."""

    def state(self) -> NDArray:
        """(7,), as the conventions have it."""

    def ee_pose(self) -> tuple[NDArray, NDArray]:
        """End-effector position (3,) m, base frame, and rotation (3, 3)."""

    def objects(self) -> list[str]:
        """Names of the movable objects."""

    def object_pose(self, name: str) -> tuple[NDArray, NDArray]:
        """An object's origin (3,) m, base frame, and rotation (3, 3)."""

    def touched_by_both_fingers(self) -> list[str]:
        """Objects in contact with both fingers."""

    def script_success(self, script: TaskScript) -> bool:
        """Say whether what ``script`` leads to holds now."""

    def targets(self) -> tuple[str, ...]:
        """Names of everything that has a region."""

    def render(self, view: str, size: int) -> NDArray:
        """One view's image, uint8 (size, size, 3)."""

    def label_map(self, view: str, labeller: Labeller) -> NDArray:
        """Regions of all targets in one view; see ``rain.worlds.labels``."""

    def project(self, points: ArrayLike, view: str, size: int | None = None) -> NDArray:
        """Project base-frame points (N, 3) to pixels (N, 2)."""

    def close(self) -> None:
        """Free what it holds."""


def open_world(
    suite: str, task: int, *, image_size: int = 128, rendering: str = "fast"
) -> RecordedWorld:
    """The world of a task, with all its views; RainError where suite or task is unknown."""
    if suite == OMY:
        return OmyWorld(suite, task, image_size=image_size, rendering=rendering)
    return LiberoWorld(suite, task, image_size=image_size, rendering=rendering)


def conventions_of(suite: str, image_size: int) -> Conventions:
    """What observations and actions of a suite's world mean."""
    return omy_conventions(image_size) if suite == OMY else libero_conventions(image_size)


def tasks_of(suite: str) -> dict[int, str]:
    """Number and name of a suite's tasks; RainError where it is unknown."""
    return omy_tasks() if suite == OMY else suite_tasks(suite)
