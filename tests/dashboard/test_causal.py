"""The causal test: a policy that obeys regions passes it, one that ignores them does not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bench_fakes import FakePolicy
from dashboard_fakes import SIZE, Table
from PIL import Image

pytest.importorskip("uvicorn", reason="the extra 'dashboard' is not installed")

from rain.bench.episode import RolloutConfig
from rain.dashboard.causal import CausalConfig, CausalTrial, candidates, causal_test
from rain.dashboard.causal_report import summary, write
from rain.types import RainError


class Scene(Table):
    """The gripper holds what the region marked; ``ignores``: it holds the milk all the same."""

    def __init__(self, ignores: bool = False) -> None:
        super().__init__(grasps=(lambda _: "milk_1") if ignores else (lambda marked: marked))

    def ee_pose(self) -> tuple[np.ndarray, np.ndarray]:
        return np.array([0.1, 0.2, 0.3]) + len(self.actions) / 100, np.eye(3)


class Policies:
    name = "fake"

    def fingerprint(self) -> str:
        return "abc"

    def __call__(self, seed: int) -> FakePolicy:
        return FakePolicy()


@pytest.mark.usefixtures("browser")
@pytest.mark.parametrize(("ignores", "hits"), [(False, 3), (True, 1)])
def test_clicks_in_a_real_browser(tmp_path: Path, ignores, hits):
    config = CausalConfig(pixels=SIZE, rollout=RolloutConfig(horizon=30), out=tmp_path)
    found = list(causal_test(Scene(ignores), Policies(), config))
    trials = [trial for trial, _ in found]
    assert [t.clicked for t in trials] == ["butter_1", "milk_1", "soup_1"]
    assert [t.shown for t in trials] == [f"grasp {t.clicked}" for t in trials]
    assert sum(t.hit for t in trials) == hits
    assert {t.reached for t in trials} == ({"milk_1"} if ignores else {t.clicked for t in trials})
    figures, picture = write(tmp_path, found, policy="fake")
    told = json.loads(figures.read_text())
    assert (told["hits"], told["trials"], told["policy"]) == (hits, 3, "fake")
    assert told["clicks"][0]["path"][0] == [0.1, 0.2, 0.3]
    assert Image.open(picture).size[0] > 300
    noted = [json.loads(line) for line in (tmp_path / "audit.jsonl").read_text().splitlines()]
    assert [n["command"] for n in noted] == ["take", *["point", "confirm", "resume"] * 3]


def trial(reached: str | None) -> CausalTrial:
    return CausalTrial(
        0, "grasp", "milk_1", "top", (1.0, 2.0), "grasp milk_1", reached, 3, np.zeros((2, 3))
    )


def test_hits_are_counted_with_an_interval():
    told = summary([trial("milk_1"), trial("soup_1"), trial(None), trial("milk_1")])
    assert (told["hits"], told["trials"]) == (2, 4)
    # Wilson, 2 of 4, by hand: (2 + 1.92) / 7.84 ± 1.96 / 7.84 · sqrt(1 + 0.96)
    assert told["low"] == pytest.approx(0.150, abs=1e-3)
    assert told["high"] == pytest.approx(0.850, abs=1e-3)
    json.dumps(told)


def test_what_cannot_be_tested_says_so(tmp_path):
    world: Any = Scene()
    assert candidates(world, 0) == ["butter_1", "milk_1", "soup_1"]
    assert candidates(world, 1) == ["basket_1"]
    with pytest.raises(RainError, match="subtask 2"):
        next(causal_test(world, Policies(), CausalConfig(subtask=2, out=tmp_path)))
    with pytest.raises(RainError, match="no trial"):
        write(tmp_path, [])
