"""What region following points at: every object and every place, by scripts that can be done."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rain.types import RainError
from rain.worlds.libero import LiberoWorld

Scene = Callable[[str, int], LiberoWorld]


def test_every_object_and_place_of_a_scene(scene: Scene) -> None:
    world = scene("libero_10", 4)
    world.reset(init_state=0)
    assert world.pointed_at() == [
        "living_room_table:plate_right_region",
        "plate_1",
        "plate_2",
        "porcelain_mug_1",
        "white_yellow_mug_1",
    ]
    for target in ("plate_1", "plate_2", "porcelain_mug_1", "white_yellow_mug_1"):
        found = world.script_to(target, 0)
        assert found is not None
        assert [s.action_type for s in found.subtasks] == ["grasp", "release"]
        assert target in [s.target for s in found.subtasks]
        assert not world.script_success(found)


def test_turns_take_all_that_fit(scene: Scene) -> None:
    world = scene("libero_10", 4)
    world.reset(init_state=0)
    scripts = [world.script_to("plate_2", turn) for turn in range(4)]
    mugs = [found.subtasks[0].target for found in scripts if found is not None]
    assert mugs == ["porcelain_mug_1", "white_yellow_mug_1"] * 2


def test_what_cannot_be_used_now(scene: Scene) -> None:
    world = scene("libero_goal", 7)
    world.reset(init_state=0)
    assert "wooden_cabinet_1:top_drawer" in world.pointed_at()
    assert world.script_to("wooden_cabinet_1:top_drawer", 0) is None, "it is shut"


def test_the_tasks_script_for_another_object(scene: Scene) -> None:
    world = scene("libero_object", 0)
    found = world.script_for("milk_1")
    assert [str(s) for s in found.subtasks] == ["grasp milk_1", "release basket_1:contain_region"]
    assert "milk" in found.instruction
    with pytest.raises(RainError, match="not an object here"):
        world.script_for("basket_1")
    with pytest.raises(RainError, match="grasps nothing"):
        scene("libero_goal", 7).script_for("plate_1")
