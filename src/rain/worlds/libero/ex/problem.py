"""LIBERO's scene files (BDDL) read, and written again.

LIBERO's own reader loses the order of objects and the letters' case, and it has no writer. Only
what LIBERO's files use is understood here: regions, fixtures, objects, start and goal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from rain.types import RainError
from rain.worlds.libero.goals import Predicate

Tokens = list[Any]
"""Words and lists of the same."""


@dataclass(frozen=True)
class Region:
    """A part of a table or of a fixture.

    name: without its owner's; owner: the table or fixture it is of; box: (x0, y0, x1, y1), m, from
    the table's middle, or None where the fixture's model says where it is; yaw: least and largest
    turn, rad, of a fixture put there, or None.
    """

    name: str
    owner: str
    box: tuple[float, float, float, float] | None = None
    yaw: tuple[float, float] | None = None

    @property
    def site(self) -> str:
        """What predicates call it."""
        return f"{self.owner}_{self.name}"

    @property
    def centre(self) -> tuple[float, float] | None:
        """Its middle, m, from the table's; None for part of a fixture."""
        if self.box is None:
            return None
        x0, y0, x1, y1 = self.box
        return round((x0 + x1) / 2, 6), round((y0 + y1) / 2, 6)


@dataclass(frozen=True)
class Problem:
    """One scene with its goal.

    kind: LIBERO's class, which fixes table, cameras and background; fixtures, objects: name ->
    category, in the file's order; start, goal: LIBERO's predicates, in lower case.
    """

    kind: str
    language: str
    regions: tuple[Region, ...]
    fixtures: dict[str, str]
    objects: dict[str, str]
    interest: tuple[str, ...]
    start: tuple[Predicate, ...]
    goal: tuple[Predicate, ...]

    def region(self, site: str) -> Region | None:
        """The region that predicates call ``site``, if there is one."""
        return next((region for region in self.regions if region.site == site), None)

    def place_of(self, name: str) -> str:
        """What an object or fixture starts on or in; RainError where the scene does not say."""
        for fact in self.start:
            if fact[0] in ("on", "in") and fact[1] == name:
                return fact[2]
        raise RainError(f"{name!r} is not in the scene {self.language!r}")

    @property
    def opened(self) -> frozenset[str]:
        """What stands open at the start."""
        return frozenset(fact[1] for fact in self.start if fact[0] == "open")


def parse_problem(text: str) -> Problem:
    """Read a BDDL text; RainError where it is none of LIBERO's."""
    try:
        _, *sections = _tokens(text)
        found = {str(section[0]): section[1:] for section in sections}
        return Problem(
            kind=str(found["problem"][0]),
            language=" ".join(found[":language"]),
            regions=tuple(_region(tokens) for tokens in found[":regions"]),
            fixtures=dict(_named(found[":fixtures"])),
            objects=dict(_named(found[":objects"])),
            interest=tuple(found.get(":obj_of_interest", ())),
            start=tuple(map(predicate, found[":init"])),
            goal=tuple(map(predicate, found[":goal"][0][1:])),
        )
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise RainError(f"not a scene file of LIBERO's: {error!r}") from error


def predicate(words: Iterable[str]) -> Predicate:
    """A predicate with its relation in lower case, as LIBERO evaluates it."""
    relation, *about = words
    return (relation.lower(), *about)


def _tokens(text: str) -> Tokens:
    stack: list[Tokens] = [[]]
    for word in re.findall(r"[()]|[^\s()]+", re.sub(r";.*$", "", text, flags=re.MULTILINE)):
        if word == "(":
            stack.append([])
        elif word == ")":
            done = stack.pop()
            stack[-1].append(done)
        else:
            stack[-1].append(word)
    if len(stack) != 1 or len(stack[0]) != 1:
        raise ValueError("parentheses do not match")
    return stack[0][0]


def _named(tokens: Tokens) -> Iterator[tuple[str, str]]:
    """``a_1 a_2 - a b_1 - b`` as pairs of name and category."""
    names: list[str] = []
    words = iter(tokens)
    for word in words:
        if word != "-":
            names.append(word)
            continue
        category = next(words)
        yield from ((name, category) for name in names)
        names = []
    if names:
        raise ValueError(f"no category for {', '.join(names)}")


def _region(tokens: Tokens) -> Region:
    name, *attributes = tokens
    given = {attribute[0]: attribute[1] for attribute in attributes}
    boxes = [tuple(map(float, box)) for box in given.get(":ranges", ())]
    if len(boxes) > 1:
        raise ValueError(f"region {name} has several boxes")
    yaws = [tuple(map(float, yaw)) for yaw in given.get(":yaw_rotation", ())]
    return Region(
        name,
        given[":target"],
        _numbers(boxes[0], 4) if boxes else None,  # type: ignore[arg-type]
        _numbers(yaws[0], 2) if yaws else None,  # type: ignore[arg-type]
    )


def _numbers(values: tuple[float, ...], count: int) -> tuple[float, ...]:
    if len(values) != count:
        raise ValueError(f"expected {count} numbers, got {values}")
    return values


def write_problem(problem: Problem) -> str:
    """The BDDL text of a scene, as LIBERO's own reader takes it."""
    # Its reader takes commas and full stops for part of the words.
    language = re.sub(r"[^\w\s-]", "", problem.language)
    sections = [
        f"(:domain robosuite)\n  (:language {language})",
        _section("regions", map(_written_region, problem.regions)),
        _section("fixtures", _by_category(problem.fixtures)),
        _section("objects", _by_category(problem.objects)),
        _section("obj_of_interest", problem.interest),
        _section("init", map(written_predicate, problem.start)),
        f"(:goal\n    (And {' '.join(map(written_predicate, problem.goal))})\n  )",
    ]
    return f"(define (problem {problem.kind})\n  " + "\n  ".join(sections) + "\n)\n"


def written_predicate(fact: Predicate) -> str:
    """A predicate as BDDL has it: ``(On milk_1 plate_1)``."""
    return f"({' '.join([fact[0].capitalize(), *fact[1:]])})"


def _by_category(things: dict[str, str]) -> Iterator[str]:
    """One line a category: of two lines LIBERO's reader would forget the first."""
    for category in dict.fromkeys(things.values()):
        names = [name for name, kind in things.items() if kind == category]
        yield f"{' '.join(names)} - {category}"


def _section(name: str, lines: Iterable[str]) -> str:
    return "\n    ".join([f"(:{name}", *lines]) + "\n  )"


def _written_region(region: Region) -> str:
    text = f"({region.name} (:target {region.owner})"
    if region.box is not None:
        text += f" (:ranges (({' '.join(map(repr, region.box))})))"
    if region.yaw is not None:
        text += f" (:yaw_rotation (({' '.join(map(repr, region.yaw))})))"
    return text + ")"
