"""Skills in real scenes; every scene in a process of its own, nothing rendered."""

from __future__ import annotations

import numpy as np
import pytest

from rain.worlds.processes import run_jobs

pytest.importorskip("libero", reason="the simulator is not installed")


def _attempts(suite: str, task: int, seeds: tuple[int, ...]) -> list[str]:
    """What became of some calm episodes: the error, or nothing."""
    from rain.worlds.demonstration import ExpertError
    from rain.worlds.libero import LiberoWorld
    from rain.worlds.libero.experts.demonstrate import ExpertConfig, attempt
    from rain.worlds.libero.experts.motion import Style
    from rain.worlds.libero.experts.skills import Skills

    world = LiberoWorld(suite, task)
    outcomes = []
    for seed in seeds:
        world.reset(seed=seed)
        rng = np.random.default_rng(seed)
        skills = Skills(world, Style.sample(rng), world.script)
        try:
            steps = attempt(skills, world.script, rng, ExpertConfig(pushed=0, missed=0))
            assert all(np.abs(action).max() <= 1 for _, action, *_ in steps)
            outcomes.append("" if world.success() else "LIBERO's goal does not hold")
        except ExpertError as error:
            outcomes.append(str(error))
    world.close()
    return outcomes


@pytest.mark.parametrize(
    ("suite", "task"),
    [
        ("libero_goal", 0),
        ("libero_goal", 5),
        ("libero_goal", 7),
        ("libero_goal", 9),
        ("libero_10", 3),
        ("libero_10", 4),
        ("libero_10", 9),
        ("libero_ex", 39),
        ("libero_ex", 48),
    ],
    ids=[
        "open a drawer",
        "push a plate",
        "turn a knob",
        "lean a bottle on a rack",
        "a bowl into a drawer, and close it",
        "two mugs onto two plates",
        "a mug into a microwave, and close it",
        "a door that stands far open, by its leaf",
        "shut a drawer that is low",
    ],
)
def test_a_skill_reaches_liberos_own_goal(suite: str, task: int) -> None:
    ((outcomes),) = run_jobs(_attempts, [(suite, task, (0, 1))], workers=1)
    assert "" in outcomes, outcomes


def _bowl_in_its_drawer(seeds: tuple[int, ...]) -> list[float]:
    from rain.worlds.libero import LiberoWorld

    world = LiberoWorld("libero_spatial", 4)
    off = []
    for seed in seeds:
        world.reset(seed=seed)
        drawer, _, _ = world.site_pose("wooden_cabinet_1_top_region")
        off.append(float(np.linalg.norm(world.object_pose("akita_black_bowl_1")[0] - drawer)))
    world.close()
    return off


def test_fresh_resets_put_what_lies_in_a_drawer_into_the_drawer() -> None:
    (off,) = run_jobs(_bowl_in_its_drawer, [((1, 2, 3),)], workers=1)
    assert max(off) < 0.05
