"""What no demonstration may show: the LIBERO-EX tasks, each a layout together with its goal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations, product

import numpy as np
from numpy.typing import ArrayLike

from rain.worlds.libero.ex.problem import Problem
from rain.worlds.libero.ex.tasks import ExTask, ex_tasks

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
    """All LIBERO-EX tasks, in order; RainError where LIBERO is not installed."""
    return tuple(map(_held_out, ex_tasks()))


def _held_out(task: ExTask) -> HeldOut:
    scene = task.problem()
    regions = {name: scene.region(scene.place_of(name)) for name in _placed_things(scene)}
    return HeldOut(
        id=task.id,
        places={name: region.centre if region else None for name, region in regions.items()},
        opened=scene.opened,
        goal=frozenset(task.goal),
    )


def _placed_things(scene: Problem) -> list[str]:
    """Objects and fixtures but the table or floor, which is placed nowhere."""
    placed = {fact[1] for fact in scene.start if fact[0] in ("on", "in")}
    return sorted(name for name in {**scene.fixtures, **scene.objects} if name in placed)


def held_out_task(
    places: Mapping[str, ArrayLike], opened: frozenset[str], goal: Goal
) -> str | None:
    """Name the LIBERO-EX task that a layout together with its goal would be, if any.

    Which of two equal plates is called ``plate_1`` makes no difference.
    """
    for names in _namings(places):
        named_places = {names.get(name, name): xy for name, xy in places.items()}
        named_opened = frozenset(_renamed(site, names) for site in opened)
        named_goal = frozenset(tuple(_renamed(word, names) for word in p) for p in goal)
        for task in held_out_tasks():
            if task.goal == named_goal and task.same_layout(named_places, named_opened):
                return task.id
    return None


def _namings(places: Mapping[str, ArrayLike]) -> Iterator[dict[str, str]]:
    """Every way to exchange the names of things that look the same: two plates for instance."""
    alike: dict[str, list[str]] = {}
    for name in sorted(places):
        alike.setdefault(name.rpartition("_")[0], []).append(name)
    twins = [names for names in alike.values() if len(names) > 1]
    for orders in product(*(permutations(names) for names in twins)):
        yield {
            old: new
            for names, order in zip(twins, orders, strict=True)
            for old, new in zip(names, order, strict=True)
        }


def _renamed(word: str, names: Mapping[str, str]) -> str:
    """A name, or that of a part or place of it, with the thing's name exchanged."""
    for old, new in names.items():
        if word == old or word.startswith(f"{old}_"):
            return new + word.removeprefix(old)
    return word
