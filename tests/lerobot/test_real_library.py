"""The real lerobot library reads what we write, equal in every frame, key and episode.

Runs in an environment of its own (``make test-lerobot``); elsewhere it is skipped.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import demos_helpers as helpers
import numpy as np
import pytest

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
# A module of the library: the folder tests/demos/lerobot would pass for the package itself.
pytest.importorskip("lerobot.__version__", reason="make test-lerobot has it")

import datasets
import pyarrow.parquet as pq
import torch
from lerobot.datasets.compute_stats import aggregate_stats, get_feature_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from rain.demos.dataset import Dataset, DatasetWriter
from rain.types import ACTION_TYPES

VIEWS = helpers.VIEWS
SIZE = 32
FRAMES = (50, 25, 50, 34, 20)


def make_episode(seed: int):
    """Episodes of different lengths, two tasks, a push among the subtasks."""
    episode = helpers.episode(seed, SIZE, stride=(2, 4, 2, 3, 5)[seed])
    if seed % 2 == 0:
        return episode
    details = {**episode.details, "instruction": "push the block to the tray"}
    grasp, release = episode.spans
    pushed = replace(release.subtask, action_type="push", target="block_1->tray_1")
    return replace(
        episode,
        details=details,
        spans=(grasp, replace(release, subtask=pushed)),
        targets=("block_1", "block_1->tray_1"),
    )


@pytest.fixture(scope="module", params=["png", "video"])
def written(request, tmp_path_factory) -> Path:
    datasets.config.HF_DATASETS_CACHE = tmp_path_factory.mktemp("cache")
    folder = tmp_path_factory.mktemp(request.param) / "dataset"
    with DatasetWriter(folder, helpers.conventions(SIZE), "open", images=request.param) as writer:
        for seed in range(5):
            writer.append(make_episode(seed), seed)
            if seed == 2:
                writer.commit()
    return folder


def opened(folder: Path, **settings) -> LeRobotDataset:
    return LeRobotDataset("rain/test", root=folder, video_backend="pyav", **settings)


def to_bytes(image: torch.Tensor) -> np.ndarray:
    return np.round(image.numpy() * 255).astype(np.uint8)


def test_every_frame_key_and_episode_is_equal(written: Path) -> None:
    ours, theirs = Dataset.open(written), opened(written)
    assert theirs.num_episodes == len(ours) == 5
    assert theirs.num_frames == len(theirs) == sum(FRAMES)
    assert theirs.fps == 20
    index = 0
    for e in range(5):
        expected, read = make_episode(e), ours.episode(e)
        spans = [f"{s.subtask.action_type} {s.subtask.target}" for s in expected.spans]
        for f in range(FRAMES[e]):
            item = theirs[index]
            assert set(item) == {*theirs.features, "task", "subtask"}
            step = int(expected.frames[f])
            span = int(step >= 40)
            for v, view in enumerate(VIEWS):
                image = to_bytes(item[f"observation.images.{view}"]).transpose(1, 2, 0)
                np.testing.assert_array_equal(image, read.images[f, v])
                labels = to_bytes(item[f"observation.labels.{view}"])[0]
                np.testing.assert_array_equal(labels, expected.labels[f, v])
            np.testing.assert_array_equal(item["observation.state"], expected.states[step])
            np.testing.assert_array_equal(item["action"], expected.actions[step])
            assert item["timestamp"].item() == np.float32(f / 20)
            kind = expected.spans[span].subtask.action_type
            numbers = {
                "step": step,
                "span": span,
                "frame_index": f,
                "episode_index": e,
                "index": index,
                "action_type": ACTION_TYPES.index(kind),
                "target_index": span,
                "task_index": e % 2,
            }
            assert {name: item[name].item() for name in numbers} == numbers
            assert item["progress"][0].item() == (step >= 80)
            assert item["task"] == expected.details["instruction"]
            assert item["subtask"] == spans[span]
            index += 1


def test_png_is_exact_and_video_close(written: Path) -> None:
    data = Dataset.open(written)
    for e in range(5):
        off = np.abs(data.episode(e).images.astype(int) - make_episode(e).images)
        assert off.max() == 0 if data.stores[0].header.images == "png" else off.mean() < 3


def test_episodes_by_themselves_and_in_batches(written: Path) -> None:
    part = opened(written, episodes=[1, 4])
    assert len(part) == FRAMES[1] + FRAMES[4]
    assert {part[i]["episode_index"].item() for i in range(len(part))} == {1, 4}
    rows = opened(written).meta.episodes
    ends = np.cumsum(FRAMES)
    assert rows["dataset_to_index"] == ends.tolist()
    assert rows["dataset_from_index"] == (ends - FRAMES).tolist()
    assert rows["length"] == list(FRAMES)
    chunks = opened(written, delta_timestamps={"action": [0, 0.05, 0.1]})
    last = chunks[FRAMES[0] - 1]
    assert last["action"].shape == (3, 7)
    assert last["action_is_pad"].tolist() == [False, True, True]
    batch = next(iter(torch.utils.data.DataLoader(opened(written), batch_size=8, shuffle=True)))
    assert batch["observation.images.wrist"].shape == (8, 3, SIZE, SIZE)
    assert len(batch["task"]) == 8


def test_statistics_are_lerobots(written: Path) -> None:
    found = opened(written).meta.stats
    files = sorted(written.glob("meta/episodes/*/*"))
    rows = [row for file in files for row in pq.read_table(file).to_pylist()]
    parts: list[dict] = [{} for _ in rows]
    for part, row in zip(parts, rows, strict=True):
        for name, value in row.items():
            if name.startswith("stats/"):
                _, key, statistic = name.split("/")
                part.setdefault(key, {})[statistic] = np.array(value)
    joined = aggregate_stats(parts)
    assert set(found) == set(joined) == set(opened(written).features)
    for key, values in joined.items():
        assert set(found[key]) == set(values)
        for name, value in values.items():
            np.testing.assert_allclose(found[key][name], value, atol=1e-9, err_msg=key)
    for e, part in enumerate(parts):
        episode = make_episode(e)
        # As floats: their function squares uint8 as uint8, and its std overflows.
        images = episode.images[:, 1].transpose(0, 3, 1, 2).astype(np.float64)
        theirs = get_feature_stats(images, axis=(0, 2, 3), keepdims=True)
        ours = part["observation.images.wrist"]
        for name in ("min", "max", "mean", "std"):
            assert ours[name].shape == (3, 1, 1)
            np.testing.assert_allclose(ours[name], theirs[name][0] / 255, atol=1e-6)
        theirs = get_feature_stats(episode.states[episode.frames], axis=0, keepdims=False)
        for name, value in theirs.items():
            if not name.startswith("q"):
                np.testing.assert_allclose(part["observation.state"][name], value, atol=1e-5)


def test_layout_is_that_of_lerobots_own_writer(written: Path, tmp_path: Path) -> None:
    info = json.loads((written / "meta/info.json").read_text())
    video = info["video_path"] is not None
    automatic = {"timestamp", "frame_index", "episode_index", "index", "task_index"}
    wanted = {
        key: {
            "dtype": feature["dtype"], "names": feature["names"], "shape": tuple(feature["shape"])
        }
        for key, feature in info["features"].items()
        # Their writer, unlike their reader, takes images of three channels only.
        if key not in automatic and "labels" not in key
    }  # fmt: skip
    theirs = LeRobotDataset.create(
        "rain/theirs", 20, wanted, root=tmp_path / "theirs", use_videos=video, vcodec="h264"
    )
    source = opened(written)
    for i in range(10):
        frame = {"task": source[i]["task"]}
        for key, feature in wanted.items():
            value = source[i][key].numpy()
            if feature["dtype"] in ("image", "video"):
                frame[key] = np.round(255 * value).astype(np.uint8).transpose(1, 2, 0)
            else:
                frame[key] = value.reshape(feature["shape"])
        theirs.add_frame(frame)
    theirs.save_episode(parallel_encoding=False)
    theirs.finalize()
    their_info = json.loads((tmp_path / "theirs/meta/info.json").read_text())
    assert set(their_info) == set(info) - {"rain"}
    for name in ("codebase_version", "data_path", "video_path", "chunks_size", "fps"):
        assert info[name] == their_info[name], name
    for key, feature in their_info["features"].items():
        for name in ("dtype", "shape", "names"):
            assert info["features"][key][name] == feature[name], key
    for file in ("data/chunk-000/file-000.parquet", "meta/episodes/chunk-000/file-000.parquet"):
        mine, other = (pq.read_schema(root / file) for root in (written, tmp_path / "theirs"))
        assert {name for name in mine.names if "labels" not in name} == set(other.names)
        for name in other.names:
            assert mine.field(name).type == other.field(name).type, (file, name)
