"""The watchdog: what is too old, frozen or missing for the arm to move on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.perception.cameras import Cameras
from rain.robot.ports import Reading
from rain.types import Look, RainError


@dataclass(frozen=True)
class WatchLimits:
    """Ages beyond which the arm holds still. Seconds of the loop's clock."""

    state_s: float = 0.2
    """Of the measured joints."""
    camera_s: float = 0.5
    """Of a view's image."""
    region_s: float = 0.5
    """Of the regions."""
    policy_s: float = 1.0
    """How long an answer may take before the question is asked again."""
    frozen_after_s: float | None = 1.0
    """A camera that shows the same picture to the bit for so long counts as frozen; None: never, as
    in a simulator, where nothing moves by itself."""

    def __post_init__(self) -> None:
        for name in ("state_s", "camera_s", "region_s", "policy_s"):
            if getattr(self, name) <= 0:
                raise RainError(f"{name}: expected more than 0 s, got {getattr(self, name)}")


@dataclass(frozen=True)
class Watched:
    """What of a reading can be used, and why the arm must hold still.

    state: (7,) or None. images: view -> image. faults: kind (``state``, ``camera``) -> one line.
    """

    state: NDArray | None
    images: Mapping[str, NDArray[np.uint8]]
    faults: Mapping[str, str]


class Watchdog:
    """Judges readings and regions by their age."""

    def __init__(self, views: tuple[str, ...], limits: WatchLimits) -> None:
        self._views, self._limits = views, limits
        self.restart()

    def restart(self) -> None:
        """Forget what was seen: the clock jumped."""
        self._cameras = Cameras(self._limits.frozen_after_s)

    def check(self, reading: Reading, now: float) -> Watched:
        """Judge what the robot said."""
        faults: dict[str, str] = {}
        state = reading.state
        if state is None:
            faults["state"] = "the robot has not said where its joints are"
        elif not np.isfinite(state).all():
            state, faults["state"] = None, "the robot's state holds NaN"
        elif why := _old(now - reading.state_stamp, self._limits.state_s):
            state, faults["state"] = None, f"the robot's state is {why}"
        images = self._images(reading, now, faults)
        return Watched(state, images, faults)

    def region_fault(self, look: Look | None, now: float) -> str | None:
        """Why the arm must wait for regions, or None."""
        if look is None:
            return "no region of this target yet"
        if look.pause is not None:
            return look.pause
        why = _old(now - look.stamp, self._limits.region_s)
        return f"the regions are {why}" if why else None

    def _images(
        self, reading: Reading, now: float, faults: dict[str, str]
    ) -> dict[str, NDArray[np.uint8]]:
        fresh: dict[str, NDArray[np.uint8]] = {}
        wrong: list[str] = []
        for view in self._views:
            if view not in reading.images:
                wrong.append(f"{view}: no image yet")
            elif why := _old(now - reading.stamps[view], self._limits.camera_s):
                wrong.append(f"{view}: its image is {why}")
            else:
                fresh[view] = reading.images[view]
        notes: list[str] = []
        frame = self._cameras.check(fresh, now, notes)
        good = {} if frame is None else dict(frame.images)
        wrong += [
            note for note in notes if not any(note.startswith(w.split(":")[0]) for w in wrong)
        ]
        if wrong or len(good) < len(self._views):
            faults["camera"] = "; ".join(wrong)
        return good


def _old(age: float, limit: float) -> str | None:
    """What is wrong with an age, or None."""
    if age < -limit:
        return f"{-age:.1f} s in the future"
    # Infinite where it never came.
    return None if age <= limit else f"{age:.1f} s old"
