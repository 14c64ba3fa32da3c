from __future__ import annotations

import numpy as np
import pytest

from rain.bench.displaced import DISTANCE, displace, remember_gripper
from rain.bench.retargeting import (
    PER_REFERENCE,
    RetargetResult,
    RetargetTrials,
    plan_scenes,
    run_retarget_trials,
)
from rain.demos.annotate import annotate, trace
from rain.types import RainError
from rain.worlds.demonstration import Demonstration
from rain.worlds.libero import LiberoWorld
from rain.worlds.libero.experts.demonstrate import ExpertConfig, demonstrate
from rain.worlds.libero.experts.motion import CLOSED
from rain.worlds.libero.experts.reach import Reach


def test_references_are_shared_out_over_the_scenes_that_have_the_action_type():
    jobs = plan_scenes(RetargetTrials(trials=40, types=("turn_on", "grasp")))
    assert sum(counts.get("grasp", 0) for *_, counts in jobs) * PER_REFERENCE == 40
    having = {(suite, task) for _, suite, task, counts in jobs if counts.get("turn_on")}
    assert having == {("libero_goal", 7), ("libero_10", 2)}


def test_bad_settings_are_named():
    with pytest.raises(RainError, match="trials"):
        RetargetTrials(trials=0)
    with pytest.raises(RainError, match="types"):
        RetargetTrials(types=("wave",))
    with pytest.raises(RainError, match="suite"):
        RetargetTrials(suite="libero_11")
    with pytest.raises(RainError, match="no task has"):
        plan_scenes(RetargetTrials(suite="libero_object", types=("open",)))


def test_a_displaced_hand_takes_along_what_it_holds(libero_world: LiberoWorld) -> None:
    made = demonstrate(libero_world, "protocol", 1, ExpertConfig(pushed=0, missed=0))
    assert isinstance(made, Demonstration)
    seen = trace(libero_world, made.states, made.script)
    release = annotate(made.script, seen, made.actions)[1]
    name = made.script.subtasks[0].target
    state = made.states[release.start]
    libero_world.set_state(state)
    hand, turned = libero_world.ee_pose()
    before = turned.T @ (libero_world.object_pose(name)[0] - hand)
    reach, rng = Reach(libero_world), np.random.default_rng(0)
    for kind in DISTANCE:
        start = displace(libero_world, reach, rng, state, release, kind)
        assert start is not None
        after, turned = libero_world.ee_pose()
        middle = hand if kind == "displaced" else release.position
        assert np.linalg.norm(after - middle) == pytest.approx(start.distance, abs=0.006)
        in_hand = turned.T @ (libero_world.object_pose(name)[0] - after)
        np.testing.assert_allclose(in_hand, before, atol=2e-3)
        # It is really held: it stays in the hand while the hand stays where it is.
        remember_gripper(libero_world, CLOSED)
        for _ in range(10):
            libero_world.step([0, 0, 0, 0, 0, 0, CLOSED])
        assert name in libero_world.touched_by_both_fingers()


def test_retargeting_reaches_what_the_recording_alone_does_not() -> None:
    pytest.importorskip("libero", reason="the simulator is not installed")
    trials = RetargetTrials(
        suite="libero_object", types=("grasp",), trials=PER_REFERENCE, modes=("rrs", "none"),
        correct=True, workers=1,
    )  # fmt: skip
    *results, last = run_retarget_trials(trials)
    assert all(isinstance(r, RetargetResult) for r in results)
    assert list(run_retarget_trials(trials, {last})) == []
    assert len(results) == 2 * PER_REFERENCE
    won = {mode: sum(r.success for r in results if r.mode == mode) for mode in trials.modes}
    assert won["rrs"] > won["none"]
    # The same starts for both, and the same again from the same seed.
    starts = {mode: [r.distance for r in results if r.mode == mode] for mode in trials.modes}
    assert starts["rrs"] == starts["none"]
    assert {r.kind for r in results} == set(DISTANCE)
