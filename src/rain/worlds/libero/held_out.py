"""What no demonstration may show: the LIBERO-EX tasks, each a layout together with its goal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import yaml
from numpy.typing import ArrayLike

TOLERANCE = 0.06
"""m; LIBERO's regions are up to 5 cm wide, so this covers every sample of one, and its edge."""

Goal = frozenset[tuple[str, ...]]
"""LIBERO's predicates, all of which must hold: {("on", "milk_1", "plate_1")}."""


@dataclass(frozen=True)
class HeldOut:
    """One LIBERO-EX task.

    places: object or fixture -> xy where its region's middle is, m, table's frame, or None where
    it starts in or on a fixture; opened: what stands open at the start.
    """

    id: str
    places: Mapping[str, tuple[float, float] | None]
    opened: frozenset[str]
    goal: Goal

    def same_layout(self, places: Mapping[str, ArrayLike], opened: frozenset[str]) -> bool:
        """Say whether a scene has this layout; ``places`` holds the scene's objects and fixtures.

        What only one of the two has counts for nothing: a distractor more or less is no other task.
        """
        if not self._concerned() <= places.keys() or opened != self.opened:
            return False
        return all(
            np.abs(np.asarray(places[name])[:2] - np.asarray(xy)).max() < TOLERANCE
            for name, xy in self.places.items()
            if xy is not None and name in places
        )

    def _concerned(self) -> set[str]:
        """The objects and fixtures that the goal is about."""
        words = {word for predicate in self.goal for word in predicate[1:]}
        return {n for n in self.places if any(w == n or w.startswith(n + "_") for w in words)}


@cache
def held_out_tasks() -> tuple[HeldOut, ...]:
    """All LIBERO-EX tasks, in order."""
    text = resources.files("rain.worlds.libero").joinpath("held_out.yaml").read_text("utf-8")
    return tuple(
        HeldOut(
            id=entry["id"],
            places={n: tuple(xy) if xy else None for n, xy in entry["places"].items()},
            opened=frozenset(entry.get("opened", ())),
            goal=frozenset(tuple(predicate) for predicate in entry["goal"]),
        )
        for entry in yaml.safe_load(text)
    )


def held_out_task(
    places: Mapping[str, ArrayLike], opened: frozenset[str], goal: Goal
) -> str | None:
    """Name the LIBERO-EX task that a layout together with its goal would be, if any."""
    for task in held_out_tasks():
        if task.goal == goal and task.same_layout(places, opened):
            return task.id
    return None
