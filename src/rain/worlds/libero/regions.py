"""Which pixels are a target's region, from the simulator's own segmentation.

A target is an object (``milk_1``), a fixture part or a place (``FIXTURE:PART``). Parts are drawn
by their geoms; places that are only a site (the inside of a microwave, the top of a cabinet) are
the site's box projected into the view and cut by the fixture's own pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.bodies import body_subtree as body_subtree  # the experts take it from here

VISUAL_GROUP = 1
"""MuJoCo geom group of what cameras see."""


@dataclass(frozen=True)
class Part:
    """How a fixture part or place is found.

    bodies: suffixes of body names whose geoms are the region; empty means the whole fixture.
    site: name (after the fixture's) of LIBERO's site for predicates, if any.
    project: the region is the site's projected box, cut by the fixture's pixels.
    relation: LIBERO's predicate for an object released there.
    """

    bodies: tuple[str, ...] = ()
    site: str | None = None
    project: bool = False
    relation: str = "on"


PARTS: dict[str, Part] = {
    "contain_region": Part(site="contain_region", relation="in"),
    "top_drawer": Part(("cabinet_top", "drawer_top"), site="top_region", relation="in"),
    "middle_drawer": Part(("cabinet_middle", "drawer_middle"), site="middle_region", relation="in"),
    "bottom_drawer": Part(("cabinet_bottom", "drawer_bottom"), site="bottom_region", relation="in"),
    "top_side": Part(site="top_side", project=True),
    "burner": Part(("burner", "burner_plate"), site="cook_region"),
    "knob": Part(("button",)),
    "door": Part(("microdoorroot",)),
    "heating_region": Part(site="heating_region", project=True, relation="in"),
    "back_contain_region": Part(site="back_contain_region", project=True, relation="in"),
    "top_region": Part(site="top_region", project=True),
    "plate_right_region": Part(site="plate_right_region", project=True),
    "stove_front_region": Part(site="stove_front_region", project=True),
}
"""Of the training scenes; what a scene's targets are listed by."""

OTHER_PARTS: dict[str, Part] = {
    "front_contain_region": Part(site="front_contain_region", project=True, relation="in"),
    "left_contain_region": Part(site="left_contain_region", project=True, relation="in"),
    "right_contain_region": Part(site="right_contain_region", project=True, relation="in"),
    "upper_shelf": Part(site="top_region", project=True, relation="in"),
    "lower_shelf": Part(site="bottom_region", project=True, relation="in"),
    "plate_left_region": Part(site="plate_left_region", project=True),
    "porcelain_mug_front_region": Part(site="porcelain_mug_front_region", project=True),
    "yellow_plate_right_region": Part(site="yellow_plate_right_region", project=True),
    "desk_caddy_right_region": Part(site="desk_caddy_right_region", project=True),
}
"""Further ones that only evaluation scenes have: LIBERO-90's and LIBERO-PRO's."""


@dataclass(frozen=True)
class Target:
    """A target's name taken apart: ``wooden_cabinet_1:top_drawer`` is fixture and part."""

    name: str
    owner: str
    part: Part | None

    @property
    def place(self) -> str:
        """What LIBERO's predicates call it: its site, or the object or fixture itself."""
        return self.site or self.owner

    @property
    def site(self) -> str | None:
        """LIBERO's name of the part's site."""
        return f"{self.owner}_{self.part.site}" if self.part and self.part.site else None


def parse_target(name: str) -> Target:
    """Take a target's name apart; of ``plate_1->PLACE`` the pushed object is the target."""
    owner, _, part = name.partition("->")[0].partition(":")
    known = {**PARTS, **OTHER_PARTS}
    if part and part not in known:
        raise RainError(f"target {name!r}: unknown part {part!r}; known: {', '.join(known)}")
    return Target(name, owner, known[part] if part else None)


def convex_hull_mask(points: NDArray, size: int) -> NDArray[np.bool_]:
    """Fill the convex hull of pixel points (N, 2): bool (size, size)."""
    from scipy.spatial import ConvexHull, QhullError

    try:
        equations = ConvexHull(points).equations
    except (QhullError, ValueError):
        return np.zeros((size, size), dtype=bool)
    v, u = np.mgrid[0:size, 0:size]
    inside = np.ones((size, size), dtype=bool)
    for a, b, c in equations:
        inside &= a * u + b * v + c <= 0.5
    return inside
