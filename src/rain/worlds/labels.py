"""Label maps: all regions of a scene in one picture.

The regions of every target of a scene (objects, fixtures, their parts and places) cut a view into
pieces. A label map numbers them: uint8 (S, S), 0 where no target is. A table says to which targets
each number belongs, so that the region of any target is a lookup.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError

MAX_LABELS = 256
_SHIFT = 20
"""Bits for the number of a row; one bit for each further region follows."""


@dataclass(frozen=True)
class LabelTable:
    """What the numbers of label maps mean.

    targets: names of all targets of the scene, seen or not. rows: for each label the targets it
    belongs to; the first is empty.
    """

    targets: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ((),)

    def __post_init__(self) -> None:
        if not self.rows or self.rows[0]:
            raise RainError("label table: label 0 is for pixels without a target")
        if len(self.rows) > MAX_LABELS:
            raise RainError(f"label table: {len(self.rows)} labels do not fit into uint8")
        unknown = {name for row in self.rows for name in row} - set(self.targets)
        if unknown:
            raise RainError(f"label table: {sorted(unknown)} are not among the targets")

    def lookup(self, target: str) -> NDArray[np.bool_]:
        """Which labels are ``target``: bool (256,), to be indexed with a label map.

        Of ``plate_1->PLACE`` the pushed object is the target. RainError where the scene has none
        of that name.
        """
        name = target.partition("->")[0]
        if name not in self.targets:
            raise RainError(
                f"target {target!r} has no label; the scene has {', '.join(self.targets)}"
            )
        found = np.zeros(MAX_LABELS, dtype=bool)
        for label, row in enumerate(self.rows):
            found[label] = name in row
        return found


class Labeller:
    """Numbers the pieces that regions cut views into, alike in all views and frames it is given.

    Numbers are given in the order in which pieces are first seen. Use one for each episode.
    """

    def __init__(self, targets: Iterable[str]) -> None:
        self._targets = tuple(targets)
        self._labels: dict[tuple[str, ...], int] = {(): 0}

    @property
    def table(self) -> LabelTable:
        """The table of all labels given so far."""
        return LabelTable(self._targets, tuple(self._labels))

    def number(
        self,
        fixed: NDArray[np.int64],
        rows: Sequence[tuple[str, ...]],
        moving: Mapping[str, NDArray[np.bool_]],
    ) -> NDArray[np.uint8]:
        """Number the pieces of one view: uint8 (S, S).

        fixed: for each pixel which of ``rows``, tuples of targets, it belongs to. moving: regions
        (S, S) of further targets, which may lie anywhere. RainError beyond 255 pieces.
        """
        piece = fixed.astype(np.int64)
        for bit, region in enumerate(moving.values()):
            piece |= region.astype(np.int64) << (_SHIFT + bit)
        found, where = np.unique(piece, return_inverse=True)
        labels = []
        for value in found.tolist():
            bits = value >> _SHIFT
            more = tuple(name for bit, name in enumerate(moving) if bits >> bit & 1)
            labels.append(self._label(rows[value & (1 << _SHIFT) - 1] + more))
        return np.array(labels, dtype=np.uint8)[where].reshape(fixed.shape)

    def _label(self, names: tuple[str, ...]) -> int:
        label = self._labels.setdefault(names, len(self._labels))
        if label >= MAX_LABELS:
            raise RainError(f"more than {MAX_LABELS} pieces of regions in one episode")
        return label
