"""The whole command: trained, evaluated, compared, and what it says of bad input."""

from __future__ import annotations

import gc
import json
import os
import signal
from functools import partial
from pathlib import Path

import demos_helpers
import pytest
from bench_fakes import FakePolicies, FakeWorlds
from training_helpers import small

import rain.cli.ablate as command
import rain.training.journal as journal
import rain.training.trainer as trainer
from rain.bench.evaluation import Evaluation
from rain.cli.main import main
from rain.training.logs import read_rows
from rain.training.variants import SETS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return demos_helpers.dataset(tmp_path_factory.mktemp("ablate") / "data", 4)


@pytest.fixture(autouse=True)
def _tiny(monkeypatch, data):
    """The smallest network and a few steps in place of the preset's."""

    def defaults(args):
        return small(data, data.parent / "unused")

    monkeypatch.setattr(command, "defaults", defaults)
    monkeypatch.setattr(journal, "draw_curves", lambda *paths: None)
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)


def ablate(data, out, *further: str) -> int:
    return main(["ablate", "--data", str(data), "--out", str(out), *further])


def variants(out) -> dict[str, dict]:
    content = json.loads((out / "ablation.json").read_text())
    return {variant["name"]: variant for variant in content["variants"]}


def test_two_variants_of_two_seeds(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "Evaluation", partial(Evaluation, worlds=FakeWorlds()))
    monkeypatch.setattr(
        command, "_rollouts", lambda config: (FakePolicies(), config.out / "rollouts")
    )
    further = ["--set", "table-2c", "--only", "no-dist", "--seeds", "3", "4"]
    further += ["--evaluate", "kitchen", "--tasks", "0", "--episodes", "2"]
    assert ablate(data, tmp_path, *further) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'ablation.md'}\n"
    found = variants(tmp_path)
    assert list(found) == ["full", "no-dist"]
    for name, variant in found.items():
        assert variant["finished"] == [3, 4]
        for seed in ("3", "4"):
            last = read_rows(tmp_path / name / f"seed-{seed}" / "validation.csv")[-1]
            assert variant["values"]["final_mm"][seed] == float(last["final_mm"])
            assert variant["values"]["progress_accuracy"][seed] == float(last["progress_accuracy"])
    # The worlds are kind: everybody succeeds, which tells nobody apart.
    assert found["no-dist"]["success"]["own"]["successes"] == 4
    assert found["no-dist"]["differences"]["own"]["verdict"] == "inside the noise"
    # An equal stage 1 gives equal plans.
    assert found["no-dist"]["differences"]["final_mm"]["by_seed"] == {"3": 0.0, "4": 0.0}
    text = (tmp_path / "ablation.md").read_text()
    assert "weights.dist 0.3 → 0.0" in text
    assert "kitchen, tasks 0, 2 episodes each, fresh starts, target own" in text
    assert (tmp_path / "ablation.png").stat().st_size > 10_000


def test_a_failed_variant_is_in_the_table_and_the_exit_code(data, tmp_path, monkeypatch):
    original = trainer.Trainer._step

    def step(self, stage, number, batch, *rest):
        if not self.config.weights.cons:
            raise self.folder.report_bad_batch(
                ["demo_0 frame 0"], "the loss is nan", stage, number, True
            )
        return original(self, stage, number, batch, *rest)

    monkeypatch.setattr(trainer.Trainer, "_step", step)
    assert ablate(data, tmp_path, "--only", "no-cons", "no-dist") == 1
    found = variants(tmp_path)
    assert "the loss is nan" in found["no-cons"]["failed"]["0"]
    assert found["no-dist"]["finished"] == [0]
    assert (
        "w/o L_consis, seed 0: stage 1 step 0: the loss is nan"
        in (tmp_path / "ablation.md").read_text()
    )


def test_ctrl_c_leaves_a_table_of_what_is_there(data, tmp_path, monkeypatch, capsys):
    original = trainer.Trainer._step

    def interrupted(self, *rest):
        if self.config.out.parent.name == "no-cons":
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(trainer.Trainer, "_step", interrupted)
        assert ablate(data, tmp_path, "--only", "no-cons", "no-dist") == 130
    assert "the same command continues" in capsys.readouterr().out
    assert [variant["finished"] for variant in variants(tmp_path).values()] == [[0], [], []]
    assert ablate(data, tmp_path, "--only", "no-cons", "no-dist") == 0
    assert [variant["finished"] for variant in variants(tmp_path).values()] == [[0], [0], [0]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--set", "table-9"], "table-2a"),
        (["--only", "no-brain"], "no-brain"),
        (["--only", "no-wrist-mask", "--model.region-views", "agentview"], "view wrist"),
        (["--seeds", "1", "1"], "seeds"),
        (["--seeds", "1", "2", "--seed", "5"], "--seeds or --seed"),
        (["--sampler.group", "3"], "batch 8"),
        (["--stage1.batch", "7"], "batch 7"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_trained(data, tmp_path, capsys, arguments, message):
    assert ablate(data, tmp_path / "out", *arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("rain: error: ")
    assert said.count("\n") == 1
    assert message in said
    assert not (tmp_path / "out").exists()


def test_evaluation_is_checked_before_training(data, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "Evaluation", partial(Evaluation, worlds=FakeWorlds()))
    assert ablate(data, tmp_path / "out", "--evaluate", "garage") == 2
    assert "garage" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_every_variant_of_table_2_is_named_in_the_documentation():
    text = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    assert all(f"`{variant.name}`" in text for variant in SETS["table-2"])
