"""The Segmenter: what follows targets from frame to frame, and what it says of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from rain.perception.prompts import Prompt, fitted
from rain.types import RainError


@dataclass(frozen=True)
class Frame:
    """The images of one moment.

    images: view -> uint8 (H, W, 3), upright RGB. A view whose camera gave nothing is absent.
    stamp: seconds on the clock of whoever made the frame; later frames have larger ones.
    """

    images: Mapping[str, NDArray[np.uint8]]
    stamp: float

    def __post_init__(self) -> None:
        for view, image in self.images.items():
            if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
                raise RainError(
                    f"frame, view {view}: expected uint8 (H, W, 3), got {image.dtype} {image.shape}"
                )


@dataclass(frozen=True)
class TrackedRegion:
    """Where a target is in one view of one frame.

    region: bool (H, W), all False where the target is lost. score: in [0, 1], how sure the
    segmenter is that the target is to be seen. stamp: of the frame that the region belongs to.
    """

    region: NDArray[np.bool_]
    score: float
    stamp: float

    @property
    def found(self) -> bool:
        """Whether the target is seen in this frame."""
        return bool(self.region.any())


Tracked = dict[str, TrackedRegion]
"""View -> region of one target."""


@runtime_checkable
class Segmenter(Protocol):
    """Follows targets in every view in which it was shown them.

    A target that is lost keeps being looked for, and is reported again when it is found. What is
    remembered is bounded, however long a target is followed.
    """

    def seed(self, target: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        """Begin to follow ``target`` in the views that ``prompts`` names, as seen in ``frame``.

        A target that is followed in such a view already begins anew there. RainError where a prompt
        does not fit its image.
        """

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        """Find every target in the next frame: target -> view -> region.

        A view that the frame lacks, or in which a target was not seeded, is absent.
        """

    def forget(self, target: str | None = None) -> None:
        """Stop following a target, or all; one that is not followed is no error."""


def checked_prompts(frame: Frame, prompts: Mapping[str, Prompt]) -> dict[str, Prompt]:
    """The prompts cut to their images; RainError where one has no image or does not lie in it."""
    found = {}
    for view, prompt in prompts.items():
        if view not in frame.images:
            raise RainError(f"view {view}: the frame has no image to seed a target in")
        try:
            found[view] = fitted(prompt, *frame.images[view].shape[:2])
        except RainError as error:
            raise RainError(f"view {view}: {error}") from None
    return found
