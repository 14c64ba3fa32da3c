"""Table 2's variants: what each changes, and that each network trains."""

from __future__ import annotations

import gc
import re
from dataclasses import replace
from pathlib import Path

import demos_many_targets as many
import pytest
from demos_helpers import tiny_network
from training_helpers import small

from rain.model.checkpoint import load_checkpoint
from rain.retarget import RetargetOptions
from rain.training.ablation import plan_ablation
from rain.training.config import LossWeights, RetargetConfig, StageConfig, TrainConfig
from rain.training.logs import read_rows
from rain.training.loop import train
from rain.training.recipes import recipe
from rain.training.variants import FULL, PANELS, SETS, choose_variants
from rain.types import RainError

CHANGES = {
    "no-cross-view": {"model.cross_view True → False"},
    "no-third-mask": {"model.region_views all → wrist"},
    "no-wrist-mask": {"model.region_views all → agentview"},
    "no-plan-tokens": {"model.plan_tokens True → False"},
    "no-cons": {"weights.cons 0.1 → 0.0"},
    "bidirectional": {"model.bidirectional False → True"},
    "no-dist-align": {"weights.dist 0.3 → 0.0", "weights.align 0.3 → 0.0"},
    "no-align": {"weights.align 0.3 → 0.0"},
    "no-dist": {"weights.dist 0.3 → 0.0"},
    "retarget-none": {"retarget.synthesis.mode rrs → none"},
    "retarget-linear": {"retarget.synthesis.mode rrs → linear"},
    "retarget-rrs": set(),
}
"""From the paper's presets, which retarget by RRS."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Three episodes of five subtasks each, so that there is something to retarget to."""
    folder = tmp_path_factory.mktemp("variants")
    return many.write(folder / "data", *(many.episode(seed, size=32) for seed in range(3)))


def arms_of(full: TrainConfig):
    return {arm.variant.name: arm for arm in plan_ablation(full, SETS["table-2"], [0])}


def test_each_variant_changes_what_table_2_says_and_nothing_else():
    arms = arms_of(recipe("rain-s"))
    assert {name: set(arm.changes) for name, arm in arms.items() if name != "full"} == CHANGES
    # RRS is what the paper's full model has: trained once.
    assert {name: arm.same_as for name, arm in arms.items() if arm.same_as} == {
        "retarget-rrs": "full"
    }


def test_without_retargeting_in_the_full_model_the_panel_brings_it():
    arms = arms_of(recipe("rain-nano"))
    assert arms["retarget-none"].same_as == "full"
    assert set(arms["retarget-rrs"].changes) == {"retarget.share 0.0 → 0.5"}
    assert set(arms["retarget-linear"].changes) == {
        "retarget.share 0.0 → 0.5",
        "retarget.synthesis.mode rrs → linear",
    }


def test_the_third_person_view_of_the_robot_is_found_too():
    robot = replace(
        recipe("rain-nano"), model=tiny_network(views=("third", "top", "wrist"), cross_view=True)
    )
    assert choose_variants("table-2", ["no-third-mask"])[0].of(robot).model.region_views == (
        "top",
        "wrist",
    )


def test_the_papers_figures():
    """Table 2 as printed, panel by panel."""
    figures = {name: [variant.paper for variant in panel] for name, panel in PANELS.items()}
    assert figures == {
        "a": [82.1, 86.6, 85.8],
        "b": [89.7, 90.4, 89.0],
        "c": [89.7, 90.5, 89.9],
        "d": [44.3, 58.8, 67.0],
    }
    assert FULL.paper == 91.0


@pytest.mark.parametrize("name", [name for name in CHANGES if name != "retarget-rrs"])
def test_every_variant_takes_a_step_of_both_stages(data, tmp_path, monkeypatch, name):
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)
    once = StageConfig(steps=1, batch=4, lr=1e-3, warmup=0)
    full = small(
        data,
        tmp_path / "runs",
        stage1=once,
        stage2=once,
        log_every=1,
        held_out=0.4,
        validation_samples=4,
        retarget=RetargetConfig(0.5),
    )
    (variant,) = choose_variants("table-2", [name])
    (_, arm) = plan_ablation(full, [variant], [0])
    result = train(arm.runs[0])
    assert result.finished
    checkpoint = load_checkpoint(result.checkpoint)
    trained = arm.runs[0]
    assert checkpoint.net.config == trained.model != full.model or trained.model == full.model
    assert (checkpoint.extra["retargeted_samples"] > 0) == (name != "retarget-none")
    imitation, head = read_rows(trained.out / "log.csv")
    assert (imitation["consistency"] == "") == (name in ("no-plan-tokens", "no-cons"))
    weights = trained.weights
    parts = {"completion": 1.2, "distance": weights.dist, "alignment": weights.align}
    total = sum(weight * float(head[part]) for part, weight in parts.items())
    assert float(head["loss"]) == pytest.approx(total, rel=1e-4)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("no-wrist-mask", {"model": tiny_network(views=("agentview",))}, "view wrist"),
        ("no-third-mask", {"model": tiny_network(region_views=("wrist",))}, "only of wrist"),
        ("no-cross-view", {"model": tiny_network(views=("wrist",))}, "one view"),
        ("no-cons", {"weights": LossWeights(cons=0.0)}, "weights.cons 0 already"),
        ("no-dist", {"weights": LossWeights(dist=0.0)}, "weights.dist 0 already"),
        ("bidirectional", {"init": Path("somewhere")}, "leave --init out"),
    ],
)
def test_a_variant_that_does_not_apply_is_named(name, changes, message):
    full = replace(recipe("rain-nano"), **changes)
    with pytest.raises(RainError, match=f"variant {name}.*{re.escape(message)}"):
        plan_ablation(full, choose_variants("table-2", [name]), [0])


def test_a_mode_of_the_full_model_is_kept_where_it_is_asked_for():
    full = replace(
        recipe("rain-nano"), retarget=RetargetConfig(0.3, RetargetOptions(mode="linear"))
    )
    arms = arms_of(full)
    assert arms["retarget-linear"].same_as == "full"
    assert arms["retarget-rrs"].changes == ("retarget.synthesis.mode linear → rrs",)


@pytest.mark.parametrize(
    ("name", "only", "message"),
    [("table-3", [], "table-2"), ("table-2a", ["no-cons"], "no-cross-view")],
)
def test_unknown_names_list_the_known(name, only, message):
    with pytest.raises(RainError, match=message):
        choose_variants(name, only)
