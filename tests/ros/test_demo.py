"""The whole stack as processes: what it leaves, whether or not the policy knows the task."""

from __future__ import annotations

import dataclasses
import json

import av
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="make test-ros has it")
pytest.importorskip("mujoco", reason="the simulator is not installed")

from rain.cli.main import main
from rain.model.checkpoint import save_checkpoint
from rain.model.net import RainNet
from rain.model.normalise import Normaliser
from rain.model.presets import preset
from rain.worlds.omy import omy_conventions

SIZE = 64


@pytest.fixture(scope="module")
def untrained(tmp_path_factory):
    arm, random = omy_conventions(SIZE), np.random.default_rng(0)
    config = dataclasses.replace(preset("rain-nano"), views=arm.views, image_size=SIZE, grid=4)
    samples = [random.normal(size=(8, width)) for width in (7, 7, 3)]
    folder = tmp_path_factory.mktemp("untrained") / "checkpoint"
    normaliser = Normaliser.from_samples(arm.state, *samples)
    return save_checkpoint(folder, RainNet(config), normaliser, arm)


def test_every_process_runs_and_the_film_and_the_report_are_there(untrained, tmp_path, capfd):
    out = tmp_path / "demo"
    code = main(["robot", "demo", "--checkpoint", str(untrained), "--image-size", str(SIZE),
                 "--seconds", "4", "--out", str(out)])  # fmt: skip
    assert code == 1, capfd.readouterr().out  # it knows nothing
    report = json.loads((out / "report.json").read_text())
    assert not report["success"]
    assert report["client"]["played"] > 20
    assert {p["target"] for p in report["pointed"]} == {"potato"}
    assert 'rain_requests_total{kind="predict"}' in (out / "serve.metrics.txt").read_text()
    with av.open(str(out / "demo.mp4")) as film:
        assert sum(1 for _ in film.decode(video=0)) >= 30
    ended = {name: (out / f"{name}.log").read_text() for name in ("sim", "masks", "serve")}
    assert all("Traceback" not in text for text in ended.values()), ended


def test_a_server_that_cannot_begin_is_told(tmp_path, capfd):
    out = tmp_path / "demo"
    assert main(["robot", "demo", "--checkpoint", "no-such", "--out", str(out)]) == 2
    assert "serve ended early" in capfd.readouterr().err
    assert not list(out.glob("*.mp4"))
