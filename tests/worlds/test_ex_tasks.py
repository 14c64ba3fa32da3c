"""The 75 LIBERO-EX tasks: complete, consistent, and scenes that LIBERO itself can read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_ex_problem import read_by_libero

from rain.types import RainError, Subtask
from rain.worlds.libero import find_task, suite_tasks
from rain.worlds.libero.ex.tasks import EVIDENCE, ExTask, ex_task, ex_tasks
from rain.worlds.libero.goals import goal_of
from rain.worlds.libero.regions import parse_target
from rain.worlds.libero.suites import task_named

pytest.importorskip("libero", reason="the simulator is not installed")

IDS = [task.id for task in ex_tasks()]


def source_script(name: str) -> list[Subtask]:
    found = task_named(name)
    assert found is not None, name
    return list(find_task(*found).script.subtasks)


def test_what_the_paper_counts() -> None:
    """Appendix B.2: three categories of 25; how much of it is certain is our own count."""
    assert [task.id for task in ex_tasks()] == [f"{number:03d}" for number in range(1, 76)]
    assert Counter(task.category for task in ex_tasks()) == dict.fromkeys(
        ("object", "layout", "task"), 25
    )
    assert Counter(task.type for task in ex_tasks()) == {
        "unseen_object": 7, "object_switching": 18, "layout": 25,
        "composition": 10, "decomposition": 15,
    }  # fmt: skip
    assert Counter(task.evidence for task in ex_tasks()) == {
        "certain": 24, "strongly_inferred": 1, "from_wording": 6,
        "from_wording_scene_ambiguous": 1, "fitted_to_paper_results": 43,
    }  # fmt: skip
    assert set(EVIDENCE) == {task.evidence for task in ex_tasks()}
    assert [t.id for t in ex_tasks() if t.ours] == [f"{n:03d}" for n in range(8, 51)]


@pytest.mark.parametrize("number", IDS)
def test_libero_reads_the_scene_and_everything_named_is_in_it(number: str, tmp_path: Path) -> None:
    task = ex_task(number)
    scene = read_by_libero(task.bddl(), tmp_path)
    things = {name for names in [*scene["objects"].values(), *scene["fixtures"].values()]
              for name in names}  # fmt: skip
    known = things | set(scene["regions"])
    assert scene["goal_state"] == [list(fact) for fact in task.goal]
    for fact in [*scene["goal_state"], *scene["initial_state"]]:
        assert set(fact[1:]) <= known, fact
    placed = Counter(fact[1] for fact in scene["initial_state"] if fact[0] in ("on", "in"))
    tables = {region["target"] for region in scene["regions"].values() if region["ranges"]}
    assert placed == dict.fromkeys(things - tables, 1), "everything starts somewhere, once"
    for subtask in task.script.subtasks:
        for name in subtask.target.split("->"):
            target = parse_target(name)
            assert target.owner in things
            assert target.site is None or target.site in scene["regions"]
    for region in scene["regions"].values():
        for box in region["ranges"]:
            assert np.abs(box).max() < 0.5
            assert box[0] < box[2] and box[1] < box[3]  # noqa: PT018


@pytest.mark.parametrize("number", IDS)
def test_script_and_goal_say_the_same(number: str) -> None:
    task = ex_task(number)
    assert set(goal_of(task.script)) == set(task.goal)


def test_compositions_join_two_training_tasks_of_one_scene() -> None:
    for task in ex_tasks():
        if task.type != "composition":
            assert task.second is None
            continue
        assert task.second is not None
        parts = source_script(task.source) + source_script(task.second)
        assert list(task.script.subtasks) == parts, task.id
        assert not task.edits


def test_decompositions_ask_for_a_part_and_the_whole_fails() -> None:
    for task in ex_tasks():
        if task.type != "decomposition":
            assert task.full_goal() == ()
            continue
        whole, part = source_script(task.source), list(task.script.subtasks)
        starts = range(len(whole) - len(part) + 1)
        assert any(whole[i : i + len(part)] == part for i in starts), task.id
        assert set(task.goal) < set(task.full_goal()), task.id
        assert set(task.full_goal()) == set(goal_of(find_task(*task_named(task.source)).script))  # type: ignore[misc]
        assert not task.edits


def layout(task: ExTask, source: bool = False) -> dict[str, Any]:
    scene = task.source_problem() if source else task.problem()
    regions = {name: scene.region(scene.place_of(name)) for name in scene.objects}
    return {name: region and region.box for name, region in regions.items()} | {
        "opened": scene.opened
    }


def test_object_switching_moves_only_objects_of_the_training_scene() -> None:
    for task in ex_tasks():
        if task.type == "object_switching":
            before, after = layout(task, source=True), layout(task)
            assert before.keys() == after.keys()
            assert before != after
            assert set(before.values()) == set(after.values()), "the same places are taken"


def test_every_other_scene_of_ours_differs_from_its_source() -> None:
    for task in ex_tasks():
        assert (layout(task) != layout(task, source=True)) == bool(task.edits), task.id


def test_a_few_scenes_spelled_out() -> None:
    def centres(number: str) -> dict[str, tuple[float, float] | None]:
        scene = ex_task(number).problem()
        found = {fact[1]: scene.region(fact[2]) for fact in scene.start if len(fact) == 3}
        return {name: region.centre if region else None for name, region in found.items()}

    assert centres("013") == {
        "ketchup_1": (0.05, -0.1), "bbq_sauce_1": (-0.12, -0.24), "salad_dressing_1": (0.15, 0.03),
        "alphabet_soup_1": (0.1, -0.2), "cream_cheese_1": (-0.15, 0.06), "milk_1": (-0.2, -0.08),
        "basket_1": (0.0, 0.26),
    }  # fmt: skip
    assert centres("040") == {
        "porcelain_mug_1": (-0.1, -0.25), "white_yellow_mug_1": None, "microwave_1": (0.0, 0.35),
        "plate_1": (0.05, -0.18),
    }  # fmt: skip
    assert ex_task("040").problem().opened == {"microwave_1"}
    assert centres("043") == {
        "wine_bottle_1": (-0.09, 0.0), "akita_black_bowl_1": (-0.05, 0.13),
        "plate_1": (0.05, -0.02), "cream_cheese_1": (-0.2, -0.05),
        "wooden_cabinet_1": (0.03, -0.24), "flat_stove_1": (-0.41, 0.21),
        "wine_rack_1": (-0.26, -0.26), "ketchup_1": (0.15, 0.1),
    }  # fmt: skip
    cabinets = ex_task("041").problem()
    assert set(cabinets.fixtures) == {"kitchen_table", "white_cabinet_1", "wooden_cabinet_1"}
    assert cabinets.opened == {"white_cabinet_1_middle_region"}
    assert centres("041")["wooden_cabinet_1"] == (0.0, -0.32)


def test_looking_tasks_up() -> None:
    assert ex_task("40") is ex_task("040")
    assert find_task("libero-ex", 40).script == ex_task("040").script
    assert list(suite_tasks("libero_ex")) == list(range(1, 76))
    for wrong in ("076", "000", "close"):
        with pytest.raises(RainError, match="001 to 075"):
            ex_task(wrong)
    with pytest.raises(RainError, match="1 to 75"):
        find_task("libero_ex", 0)
