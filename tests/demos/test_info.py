from __future__ import annotations

import json

import demos_helpers as helpers
import pytest

from rain.cli.main import main
from rain.demos.dataset import Dataset, DatasetWriter
from rain.demos.info import summarise
from rain.types import RainError


@pytest.mark.parametrize("images", ["png", "video"])
def test_a_summary_counts_what_is_there(tmp_path, images):
    a = helpers.dataset(tmp_path / "a", 3, images=images, stride=7)
    b = helpers.dataset(tmp_path / "b", 2, images=images, stride=10)
    info = summarise([a, b])
    assert (info.episodes, info.steps, info.waiting) == (5, 500, 0)
    assert info.frames == 3 * 15 + 2 * 10
    assert info.tracks == ("open",)
    assert info.suites == ("synthetic",)
    steps = [entry.frame_steps for entry in Dataset.open([a, b]).entries]
    grasping = sum(int((s < 40).sum()) for s in steps)
    grasp, release = info.action_types["grasp"], info.action_types["release"]
    assert (grasp.subtasks, grasp.frames, grasp.targets) == (5, grasping, 1)
    assert release.frames == info.frames - grasping
    assert info.action_types["push"].frames == 0
    assert [(t.suite, t.task, t.episodes) for t in info.tasks] == [("synthetic", 0, 5)]
    files = [p for f in (a, b) for p in f.rglob("*") if p.is_file()]
    on_disk = sum(p.stat().st_size for p in files if p.name not in ("info.json", ".lock"))
    assert info.total_bytes == on_disk
    assert {"images", "labels", "steps", "rest"} == set(info.bytes)
    total = info.bytes_per_frame.pop("total")
    assert total == pytest.approx(on_disk / info.frames)


def test_what_waits_to_be_packed_is_counted(tmp_path):
    writer = DatasetWriter(tmp_path, helpers.conventions(), "open")
    assert summarise([tmp_path]).episodes == 0
    writer.append(helpers.episode(0))
    assert summarise([tmp_path]).waiting == 1


def test_the_command_prints_tables_and_json(tmp_path, capsys):
    folder = str(helpers.dataset(tmp_path / "d", 2))
    assert main(["demos", "info", folder]) == 0
    text = capsys.readouterr().out
    for words in ("2 episodes", "100 frames", "grasp", "bytes a frame", "png"):
        assert words in text
    assert main(["demos", "info", folder, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["action_types"]["grasp"] == {"subtasks": 2, "frames": 40, "targets": 1}
    assert found["bytes_per_frame"]["total"] == found["total_bytes"] / 100
    assert main(["demos", "info", str(tmp_path / "none")]) == 2
    assert "no dataset there" in capsys.readouterr().err


def test_truncation_is_named_here_too(tmp_path):
    folder = helpers.dataset(tmp_path, 1)
    path = folder / "rain/steps/chunk-000/file-000.parquet"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RainError, match=r"rain/steps/chunk-000/file-000\.parquet: truncated"):
        summarise([folder])
