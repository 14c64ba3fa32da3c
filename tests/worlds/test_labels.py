"""Label maps hold exactly the regions of all targets."""

from __future__ import annotations

import numpy as np
import pytest

from rain.types import RainError
from rain.worlds.labels import Labeller, LabelTable


def test_overlapping_regions_come_back_from_one_map() -> None:
    rng = np.random.default_rng(0)
    rows = [(), ("cabinet",), ("cabinet", "cabinet:drawer"), ("bowl",)]
    fixed = rng.integers(0, 4, (20, 20))
    top, front = rng.random((2, 20, 20)) < 0.4
    labeller = Labeller(("bowl", "cabinet", "cabinet:drawer", "cabinet:top", "table:front", "mug"))
    first = labeller.number(fixed, rows, {"cabinet:top": top, "table:front": front})
    early = labeller.table
    second = labeller.number(fixed.T, rows, {"cabinet:top": front, "table:front": top})
    table = labeller.table
    assert table.rows[: len(early.rows)] == early.rows  # numbers once given stay
    for labels, pieces, a, b in ((first, fixed, top, front), (second, fixed.T, front, top)):
        assert labels.dtype == np.uint8
        expected = {
            "bowl": pieces == 3,
            "cabinet": (pieces == 1) | (pieces == 2),
            "cabinet:drawer": pieces == 2,
            "cabinet:top": a,
            "table:front": b,
            "bowl->table:front": pieces == 3,
            "mug": np.zeros_like(a),
        }
        for name, region in expected.items():
            np.testing.assert_array_equal(table.lookup(name)[labels], region, err_msg=name)
    with pytest.raises(RainError, match="'spoon' has no label; the scene has bowl"):
        table.lookup("spoon")


@pytest.mark.parametrize(
    ("targets", "rows", "words"),
    [
        (("a",), (("a",),), "label 0"),
        (("a",), ((), ("b",)), "b"),
        (tuple(map(str, range(300))), ((), *((str(i),) for i in range(256))), "uint8"),
    ],
)
def test_tables_that_make_no_sense_are_refused(targets, rows, words: str) -> None:
    with pytest.raises(RainError, match=words):
        LabelTable(targets, rows)


def test_too_many_pieces_are_an_error_not_a_wrong_number() -> None:
    names = tuple(map(str, range(300)))
    rows = [(), *((name,) for name in names)]
    with pytest.raises(RainError, match="more than 256"):
        Labeller(names).number(np.arange(301).reshape(7, 43), rows, {})


SCENES = [
    ("libero_object", 0),
    ("libero_goal", 3),
    ("libero_10", 4),
    ("libero_10", 9),
]


def _compare(suite: str, task: int) -> tuple[str, ...]:
    """In a process of its own: one simulator a process."""
    from rain.worlds.libero import LiberoWorld

    world = LiberoWorld(suite, task)
    labeller = Labeller(world.targets())
    shown = []
    for seed in (1, 2):
        world.reset(seed=seed, settle=False)
        maps = {view: world.label_map(view, labeller) for view in world.conventions.views}
        for view, labels in maps.items():
            expected = world.regions(list(world.targets()), view)
            shown.append((labels, expected))
    for labels, expected in shown:
        for name, region in zip(world.targets(), expected, strict=True):
            np.testing.assert_array_equal(labeller.table.lookup(name)[labels], region, err_msg=name)
    wanted = {s.target.partition("->")[0] for s in world.script.subtasks}
    assert wanted <= set(world.targets())
    return world.targets()


def test_label_maps_equal_the_regions_in_the_simulator() -> None:
    pytest.importorskip("libero", reason="the simulator is not installed")
    from rain.worlds.processes import run_jobs

    targets = list(run_jobs(_compare, SCENES, workers=2))
    names = {name for scene in targets for name in scene}
    assert {"basket_1:contain_region", "wooden_cabinet_1:top_drawer", "flat_stove_1:knob"} <= names
    assert {"main_table:stove_front_region", "microwave_1:heating_region"} <= names
    assert {"living_room_table:plate_right_region", "wooden_cabinet_1:top_side"} <= names
