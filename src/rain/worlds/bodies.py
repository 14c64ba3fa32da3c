"""Bodies of a MuJoCo model: which belong to an object, and what the fingers touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray


def body_subtree(parents: NDArray[np.int32], root: int) -> set[int]:
    """Bodies under ``root``, itself included; ``parents[i] < i`` as MuJoCo numbers them."""
    inside = {root}
    for body in range(root + 1, len(parents)):
        if int(parents[body]) in inside:
            inside.add(body)
    return inside


def body_owners(model: Any, roots: Mapping[str, int], names: list[str]) -> dict[int, str]:
    """Body id -> name of the object it belongs to."""
    return {body: name for name in names for body in body_subtree(model.body_parentid, roots[name])}


def finger_touches(
    model: Any, data: Any, fingers: Mapping[int, str], owners: Mapping[int, str]
) -> dict[str, set[str]]:
    """What the fingers touch -> which of them.

    fingers: body id -> the finger it belongs to; owners: see ``body_owners``.
    """
    bodies = model.geom_bodyid[data.contact.geom]  # (contacts, 2)
    ours = np.isin(bodies, list(fingers))
    touching: dict[str, set[str]] = {}
    for one, two in bodies[ours.any(axis=1)].tolist():
        for finger, thing in ((one, two), (two, one)):
            if finger in fingers and thing in owners:
                touching.setdefault(owners[thing], set()).add(fingers[finger])
    return touching
