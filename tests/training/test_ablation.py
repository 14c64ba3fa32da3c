"""Many runs by one call: alike, resumed, and none stopped by another's failure."""

from __future__ import annotations

import os
import signal
from dataclasses import replace

import pytest
from training_helpers import assert_equal_runs, killed_at, small, weights

import rain.training.ablation as ablation
import rain.training.trainer as trainer
from rain.training.ablation import (
    check_ablation,
    held_out_metrics,
    is_finished,
    plan_ablation,
    train_ablation,
)
from rain.training.config import LossWeights
from rain.training.loop import train
from rain.training.variants import Variant, choose_variants
from rain.types import RainError


def plan(data, out, *names, seeds=(0, 1), **changes):
    variants = choose_variants("table-2", names)
    return plan_ablation(small(data, out, **changes), variants, seeds)


def run(arms):
    told = []
    return train_ablation(arms, check_ablation(arms), told.append), told


def test_killed_and_started_again_it_gives_what_single_runs_give(data, tmp_path, monkeypatch):
    arms = plan(data, tmp_path / "runs", "no-cons", "no-dist")
    with killed_at(monkeypatch, (2, 3)):
        run(arms)
    full, no_cons, no_dist = arms
    assert not any(is_finished(config) for arm in arms for config in arm.runs.values())
    ended, told = run(arms)
    assert ended.finished
    assert not ended.failed
    # All variants of the first seed come before the second seed.
    assert [line.split(", ")[-1].removeprefix(f"{tmp_path}/runs/") for line in told] == [
        f"{name}/seed-{seed}" for seed in (0, 1) for name in ("full", "no-cons", "no-dist")
    ]
    for arm in (no_cons, no_dist):
        alone = replace(arm.runs[1], out=tmp_path / f"alone-{arm.variant.name}")
        train(alone)
        assert_equal_runs(arm.runs[1], alone)
    assert weights(full.runs[0]).keys() == weights(no_cons.runs[0]).keys()
    # Started a third time it touches nothing.
    stamp = (full.runs[0].out / "checkpoint" / "config.json").stat().st_mtime_ns
    monkeypatch.setattr(ablation, "train", None)
    assert run(arms)[0].finished
    assert (full.runs[0].out / "checkpoint" / "config.json").stat().st_mtime_ns == stamp


def test_an_equal_stage_1_is_trained_once(data, tmp_path, monkeypatch):
    steps = []
    original = trainer.Trainer._step

    def counted(self, stage, number, *rest):
        steps.append((self.config.out.parent.name, stage))
        return original(self, stage, number, *rest)

    monkeypatch.setattr(trainer.Trainer, "_step", counted)
    arms = plan(data, tmp_path / "runs", "no-cons", "no-align", "no-dist-align", seeds=[0])
    assert run(arms)[0].finished
    assert steps.count(("full", 1)) == steps.count(("no-cons", 1)) == 6
    assert {name for name, stage in steps if stage == 1} == {"full", "no-cons"}
    assert all(steps.count((arm.variant.name, 2)) == 4 for arm in arms)
    assert not list((tmp_path / "runs").glob("*/.*"))


def test_one_configuration_is_trained_once(data, tmp_path):
    full, none = plan(data, tmp_path / "runs", "retarget-none", seeds=[0])
    assert none.same_as == "full"
    assert none.runs == full.runs
    run([full, none])
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["full"]


def test_a_failed_run_stops_no_other_and_is_tried_again(data, tmp_path):
    def diverge(config):
        return replace(config, weights=LossWeights(fm=float("inf")))

    variants = [Variant("diverges", "diverges", "a", diverge), *choose_variants("table-2b")[1:2]]
    arms = plan_ablation(small(data, tmp_path / "runs"), variants, [0])
    ended, told = run(arms)
    assert ended.finished
    (why,) = ended.failed.values()
    assert list(ended.failed) == [tmp_path / "runs" / "diverges" / "seed-0"]
    assert "the loss is inf" in why
    assert any("the loss is inf" in line for line in told)
    assert [is_finished(arm.runs[0]) for arm in arms] == [True, False, True]
    assert held_out_metrics(arms[1].runs[0]) == {}
    assert list(run(arms)[0].failed) == list(ended.failed)


def test_ctrl_c_stops_all_and_the_same_call_goes_on(data, tmp_path, monkeypatch):
    arms = plan(data, tmp_path / "runs", "no-cons", seeds=[0])
    original = trainer.Trainer._step

    def interrupted(self, stage, number, *rest):
        if (stage, number) == (1, 2):
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, stage, number, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_step", interrupted)
        ended, told = run(arms)
    assert not ended.finished
    assert told[-1] == "stopped in stage 1 after step 3"
    assert not (tmp_path / "runs" / "no-cons").exists()
    assert run(arms)[0].finished
    assert all(is_finished(arm.runs[0]) for arm in arms)


def test_minutes_count_for_all_runs_together(data, tmp_path, monkeypatch):
    given = []
    clock = iter([0.0, 60.0, 240.0])
    monkeypatch.setattr(ablation.time, "monotonic", lambda: next(clock))

    def trained(config):
        given.append(config.stop_after_minutes)
        return trainer.TrainResult(config.out, len(given) < 2, 1, 1, 0.0)

    monkeypatch.setattr(ablation, "train", trained)
    arms = plan(data, tmp_path / "runs", "no-cons", seeds=[0], stop_after_minutes=3.0)
    assert not run(arms)[0].finished
    assert given == [2.0, 0.0]


def test_what_would_stop_a_run_is_said_before_any(data, tmp_path):
    arms = plan(data, tmp_path / "runs", "no-cons", seeds=[0])
    other = replace(arms[1].runs[0], draws=3)
    train(other)
    with pytest.raises(RainError, match=r"no-cons.*draws is 2 here and 3 there"):
        check_ablation(arms)
    with pytest.raises(RainError, match="batch 8"):
        check_ablation(
            plan(
                data,
                tmp_path / "runs",
                "no-dist",
                sampler=replace(arms[0].runs[0].sampler, group=3),
            )
        )
    with pytest.raises(RainError, match="--data"):
        check_ablation(plan_ablation(replace(other, data=()), [], [0]))
    with pytest.raises(RainError, match="each once"):
        plan(data, tmp_path / "runs", "no-dist", seeds=[1, 1])
    assert not (tmp_path / "runs" / "full").exists()


def test_held_out_metrics_are_those_of_the_last_validation(data, tmp_path):
    config = small(data, tmp_path / "run")
    config.out.mkdir()
    (config.out / "validation.csv").write_text(
        "stage,step,samples,final_mm,final_mm_push,new_column,progress_accuracy\n"
        "1,3,9,80,70,,\n1,6,9,60,50,7,\n2,2,9,59,,,0.5\n2,4,9,58,,,0.75\n2,6,9,1"
    )
    found = {"final_mm": 58, "final_mm_push": 50, "new_column": 7, "progress_accuracy": 0.75}
    assert held_out_metrics(config) == found
    without = replace(config, model=replace(config.model, plan_tokens=False))
    assert held_out_metrics(without) == {"new_column": 7, "progress_accuracy": 0.75}
