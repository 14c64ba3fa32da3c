from __future__ import annotations

from pathlib import Path

import pytest

import rain.cli.train as train
from rain.cli.main import main
from rain.cli.train import parse
from rain.training.recipes import recipe
from rain.training.trainer import TrainResult


def test_preset_decides_the_defaults():
    config = parse(["--preset", "rain-s", "--data", "a", "b", "--out", "runs/x"])
    assert config.data == (Path("a"), Path("b"))
    assert config.out == Path("runs/x")
    assert config.model == recipe("rain-s").model
    assert config.stage1 == recipe("rain-s").stage1
    nano = parse(["--data", "a", "--out", "o"])
    assert nano.model == recipe("rain-nano").model


def test_every_setting_can_be_changed():
    config = parse(
        [
            *("--data", "a", "--out", "o", "--model.dit-layers", "2", "--stage1.lr", "0.01"),
            *("--weights.cons", "0", "--samples.tail-frames", "4", "--augment.colour", "0.1"),
            *("--model.no-cross-view", "--stop-after-minutes", "2.5", "--precision", "bf16"),
            *("--model.region-views", "wrist"),
        ]
    )
    assert config.model.dit_layers == 2
    assert config.model.cross_view is False
    assert config.model.region_views == ("wrist",)
    assert config.stage1.lr == 0.01
    assert config.weights.cons == 0
    assert config.samples.tail_frames == 4
    assert config.augment.colour == 0.1
    assert config.stop_after_minutes == 2.5
    assert config.precision == "bf16"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--data", "/nowhere", "--out", "{out}"], "no dataset there"),
        (["--preset", "rain-xl", "--data", "x", "--out", "{out}"], "rain-nano"),
        (["--data", "x", "--out", "{out}", "--model.dit-width", "33"], "dit_width 33"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, capsys, args, message):
    out = tmp_path / "run"
    assert main(["train", *(a.format(out=out) for a in args)]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("rain: error: ")
    assert printed.count("\n") == 1
    assert message in printed
    assert not out.exists()


@pytest.mark.parametrize(("arguments", "code"), [([], 130), (["--stop-after-minutes", "1"], 0)])
def test_a_stop_that_was_not_asked_for_is_told_by_the_exit_code(
    monkeypatch, capsys, arguments, code
):
    stopped = TrainResult(Path("o/checkpoint"), False, 1, 7, 3.0)
    monkeypatch.setattr(train, "train", lambda config: stopped)
    assert main(["train", "--data", "d", "--out", "o", *arguments]) == code
    assert "after step 7; the same command continues" in capsys.readouterr().out
