"""Checking a segmenter against recorded truth: what is measured, and the command."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from demos_helpers import dataset

from rain.cli.main import main
from rain.demos.dataset import Dataset
from rain.perception.check import Followed, check_dataset, iou, summarise
from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Box, Prompt
from rain.perception.segmenter import Frame, Tracked, TrackedRegion


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> Path:
    return dataset(tmp_path_factory.mktemp("check") / "data", episodes=2, size=64, stride=1)


class Still:
    """Gives the box it was seeded with for ever; and nothing in the view ``blind``."""

    def __init__(self, blind: str = "") -> None:
        self.blind, self.seeds = blind, []
        self._now: dict[str, dict[str, Prompt]] = {}

    def seed(self, target: str, frame: Frame, prompts: Mapping[str, Prompt]) -> Tracked:
        self.seeds.append((target, frame.stamp, tuple(prompts)))
        self._now = {target: dict(prompts)}
        return {}

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        found: dict[str, Tracked] = {}
        for target, prompts in self._now.items():
            for view, box in prompts.items():
                assert isinstance(box, Box)
                region = np.zeros(frame.images[view].shape[:2], bool)
                left, top, right, bottom = map(int, box.corners)
                region[top:bottom, left:right] = view != self.blind
                found.setdefault(target, {})[view] = TrackedRegion(region, 1.0, frame.stamp)
        return found

    def forget(self, target: str | None = None) -> None:
        self._now = {}


def test_iou_by_hand():
    first, second = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    assert np.isnan(iou(first, second))
    first[0], second[:2] = True, True
    assert iou(first, second) == 0.5


def test_each_subtask_is_seeded_once_where_it_begins(recorded):
    segmenter = Still()
    (checked,) = check_dataset(Dataset.open(recorded), segmenter, "box", [0])
    assert segmenter.seeds == [
        ("block_1", 0.0, ("agentview", "wrist")),
        ("tray_1", 40 / 20, ("agentview", "wrist")),
    ]
    assert [(f.subtask, f.view) for f in checked.followed] == [
        ("grasp block_1", "agentview"),
        ("grasp block_1", "wrist"),
        ("release tray_1", "agentview"),
        ("release tray_1", "wrist"),
    ]
    grasp, _, release, _ = checked.followed
    # The block lies still before it is carried off; the tray never moves.
    assert np.allclose(grasp.iou[:30], 1.0)
    assert grasp.when[0] == 1 / 40
    assert grasp.when[-1] == 1.0
    assert release.when[-1] <= 1.0
    assert len(checked.milliseconds) == len(grasp.when) + len(release.when)


def test_a_blind_view_is_lost(recorded):
    (checked,) = check_dataset(Dataset.open(recorded), Still("wrist"), "box", [1])
    for view, lost in (("agentview", 0.0), ("wrist", 1.0)):
        found = summarise([f for f in checked.followed if f.view == view])
        assert found.lost == lost
        assert found.unseeded == 0.0
        assert found.frames > 0


def followed(seeded: bool, iou: list, visible: list, given: list) -> Followed:
    when = np.linspace(0, 1, len(iou))
    return Followed(
        0,
        "grasp x",
        "grasp",
        "top",
        seeded,
        when,
        np.array(iou),
        np.array(visible),
        np.array(given),
    )


def test_the_summary_by_hand():
    nan = float("nan")
    found = summarise(
        [
            followed(True, [1.0, 0.5, 0.0, nan], [1, 1, 1, 0], [1, 1, 0, 0]),
            followed(True, [0.0, 0.2], [0, 1], [1, 1]),
            followed(False, [0.0, 0.0, nan], [1, 1, 0], [0, 0, 0]),
        ]
    )
    assert found.frames == 4
    assert found.iou == pytest.approx((1.0 + 0.5 + 0.0 + 0.2) / 4)
    assert found.lost == pytest.approx(1 / 4)
    assert found.unseeded == pytest.approx(2 / 6)
    assert found.false == pytest.approx(1 / 2)
    assert found.parts == pytest.approx((1.0, 0.5, 0.0, 0.2))
    empty = summarise([])
    assert empty.frames == 0
    assert empty.iou is None


def test_the_light_tracker_follows_a_drawn_demonstration(recorded):
    checked = list(check_dataset(Dataset.open(recorded), ClassicalSegmenter(), "box", [0, 1]))
    found = summarise([f for one in checked for f in one.followed])
    assert found.iou > 0.6


def test_the_command(recorded, tmp_path, capsys):
    assert main(["perception", "check", str(recorded), "--out", str(tmp_path)]) == 0
    report = json.loads((tmp_path / "check.json").read_text())
    assert report["options"]["segmenter"] == "classical"
    assert report["rows"]["agentview/all"]["frames"] > 100
    assert "IoU" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--segmenter", "truth"], "is what the others are compared with"),
        (["--episodes", "0"], "episodes must be at least 1"),
        (["--segmenter", "sam2"], "hf download facebook/sam2.1-hiera-tiny"),
    ],
)
def test_the_command_says_what_is_wrong(recorded, tmp_path, capsys, options, message):
    args = ["perception", "check", str(recorded), "--out", str(tmp_path), *options]
    assert main(args) == 2
    assert message in capsys.readouterr().err
