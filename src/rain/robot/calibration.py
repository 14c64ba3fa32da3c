"""Where an arm's standing cameras are, so that waypoints can be drawn into what they see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from rain.types import RainError

SHIPPED = Path(__file__).parent / "calibrations"
FIELDS = ("position", "rotation", "field_of_view")
NEAR = 0.01
"""m before a camera, from which on points are seen."""


@dataclass(frozen=True)
class StandingCamera:
    """A pinhole camera whose image is a square around its axis.

    position: (3,) m, robot base frame. rotation: (3, 3), rows are its right, down and forward in
    that frame. field_of_view: degrees, of a side of the image.
    """

    position: NDArray[np.float64]
    rotation: NDArray[np.float64]
    field_of_view: float

    def project(self, points: NDArray, size: int) -> NDArray[np.float64]:
        """Pixels (N, 2), u right and v down, of points (N, 3) in an image of ``size`` px; NaN where
        they are not before the camera."""
        local = (np.asarray(points, np.float64) - self.position) @ self.rotation.T
        depth = np.where(local[:, 2] > NEAR, local[:, 2], np.nan)
        focal = 0.5 * size / np.tan(np.deg2rad(self.field_of_view) / 2)
        return (size - 1) / 2 + focal * local[:, :2] / depth[:, None]


def load_calibration(name: str | Path) -> dict[str, StandingCamera]:
    """View -> camera, of a shipped file by its name (``omy_f3m_sim``) or of your own; RainError."""
    shipped = SHIPPED / f"{name}.yaml"
    path = shipped if shipped.is_file() else Path(name)
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, yaml.YAMLError, UnicodeDecodeError) as error:
        raise RainError(f"calibration {path}: it cannot be read: {error}") from None
    if not isinstance(content, Mapping) or not content:
        raise RainError(f"calibration {path}: expected views with their cameras")
    return {str(view): _camera(entry, f"{path}: {view}") for view, entry in content.items()}


def _camera(content: Any, where: str) -> StandingCamera:
    if not isinstance(content, Mapping) or set(content) != set(FIELDS):
        raise RainError(f"calibration {where}: expected exactly {', '.join(FIELDS)}")
    position = _numbers(content["position"], (3,), f"{where}: position")
    rotation = _numbers(content["rotation"], (3, 3), f"{where}: rotation")
    if np.abs(rotation @ rotation.T - np.eye(3)).max() > 1e-3 or np.linalg.det(rotation) < 0:
        raise RainError(f"calibration {where}: rotation: its rows are no right-hand axes")
    angle = float(_numbers(content["field_of_view"], (), f"{where}: field_of_view"))
    if not 0 < angle < 180:
        raise RainError(f"calibration {where}: field_of_view: expected degrees, 0 to 180")
    return StandingCamera(position, rotation, angle)


def _numbers(value: Any, shape: tuple[int, ...], where: str) -> NDArray[np.float64]:
    try:
        found = np.array(value, np.float64)
    except (TypeError, ValueError):
        found = np.empty(0)
    if found.shape != shape or not np.isfinite(found).all():
        raise RainError(f"calibration {where}: expected numbers {shape or ''}, got {value!r}")
    return found
