"""Where a region lies in space, against the simulator's own poses."""

from __future__ import annotations

import numpy as np
import pytest

from rain.worlds.omy.sight import sight


@pytest.fixture(scope="module")
def seen(omy):
    """A layout in which the arm hides nothing."""
    world = omy(0)
    world.reset(seed=7)
    return world


def regions(world, target: str, views=("third", "top", "wrist")) -> dict:
    return {view: world.regions([target], view)[0] for view in views}


@pytest.mark.parametrize("target", ["potato", "lemon", "red_plate", "green_plate", "blue_plate"])
def test_two_views_find_a_thing(seen, target):
    found = sight(regions(seen, target))
    assert np.linalg.norm(found.position - seen.object_pose(target)[0]) < 0.012


def test_one_view_takes_it_to_lie_on_the_table(seen):
    found = sight(regions(seen, "lemon", ("third",)))
    assert np.linalg.norm((found.position - seen.object_pose("lemon")[0])[:2]) < 0.03
    assert found.width == 0


def test_sides_of_an_ellipse(seen):
    found = sight(regions(seen, "potato"))
    # Semi-axes of 42 and 27 mm; across which way the world says.
    assert found.length == pytest.approx(0.084, abs=0.012)
    assert found.width == pytest.approx(0.054, abs=0.012)
    rotation = seen.object_pose("potato")[1]
    narrow = np.array([np.cos(found.across), np.sin(found.across)])
    assert abs(narrow @ rotation[:2, 1]) > 0.97


def test_nothing_is_seen_where_nothing_is():
    empty = np.zeros((32, 32), bool)
    assert sight({}) is None
    assert sight({"top": empty, "third": empty}) is None
    assert sight({"wrist": ~empty}) is None
