"""What a storage of episodes must offer: a header, an index, episodes with and without pixels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from rain.demos.episode import Episode, Motion
from rain.types import Conventions, RainError, SubtaskSpan
from rain.worlds.labels import LabelTable

FORMAT = 2
DEFAULT_ALPHA = 5.0
"""alpha of eq. 5 in 1/m: S_dist is 0.95 at 1 cm, 0.6 at 10 cm, 0.2 at 30 cm."""
IMAGE_STORAGES = ("png", "video")


@dataclass(frozen=True)
class Header:
    """What a whole dataset declares: conventions, track and alpha (1/m) of eq. 5.

    images: "png" keeps images exactly, "video" as H.264, some times smaller; label maps are exact
    in both.
    """

    conventions: Conventions
    track: str
    progress_alpha: float = DEFAULT_ALPHA
    images: str = "png"

    def __post_init__(self) -> None:
        if self.images not in IMAGE_STORAGES:
            raise RainError(f"images {self.images!r}: choose one of {', '.join(IMAGE_STORAGES)}")
        if self.images == "video" and self.conventions.image_size % 2:
            raise RainError(
                f"images 'video': H.264 needs an even image size, not "
                f"{self.conventions.image_size}; choose png"
            )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, file: str, values: Mapping[str, Any]) -> Header:
        """Undo ``to_json``; RainError names the file."""
        if values.get("format") != FORMAT:
            raise RainError(
                f"{file}: expected RAIN dataset format {FORMAT}, got {values.get('format')!r}; "
                "make the dataset again with rain demos process"
            )
        try:
            return cls(
                conventions=Conventions(**values["conventions"]),
                track=str(values["track"]),
                progress_alpha=float(values["progress_alpha"]),
                images=str(values["images"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise RainError(f"{file}: its part 'rain' is damaged ({error!r})") from error


@dataclass(frozen=True)
class Entry:
    """One line of a dataset's index, read without touching frames.

    frame_steps: int32 (frames,), the control step of each kept frame. steps: how many control
    steps there are. key: identifies the content. spans: the subtasks as they happened. details:
    instruction, source, seed and the like.
    """

    frame_steps: NDArray[np.int32]
    steps: int
    key: str
    targets: tuple[str, ...]
    table: LabelTable
    spans: tuple[SubtaskSpan, ...]
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def frames(self) -> int:
        """How many frames were kept."""
        return len(self.frame_steps)


class EpisodeStore(Protocol):
    """A place that holds episodes."""

    header: Header
    entries: tuple[Entry, ...]

    def name(self, index: int) -> str:
        """Name an episode to a user."""

    def episode(self, index: int) -> Episode:
        """Read an episode with its pixels."""

    def motion(self, index: int) -> Motion:
        """Read an episode without its pixels, much faster."""
