from __future__ import annotations

import json

import demos_helpers as helpers
import numpy as np
import pyarrow.parquet as pq
import pytest

from rain.demos.dataset import Dataset
from rain.demos.lerobot import stats


def test_statistics_of_images_are_those_of_their_pixels():
    images = np.random.default_rng(0).integers(0, 200, (5, 8, 9, 3)).astype(np.uint8)
    images[..., 1] //= 3
    found = stats.of_images(images)
    pixels = images.reshape(-1, 3) / 255
    expected = {
        "min": pixels.min(0),
        "max": pixels.max(0),
        "mean": pixels.mean(0),
        "std": pixels.std(0),
        "q10": np.quantile(pixels, 0.1, axis=0, method="inverted_cdf"),
        "q50": np.quantile(pixels, 0.5, axis=0, method="inverted_cdf"),
    }
    for name, value in expected.items():
        assert np.shape(found[name]) == (3, 1, 1)
        np.testing.assert_allclose(np.ravel(found[name]), value, atol=1e-12, err_msg=name)
    assert found["count"] == [5]


def test_parts_join_to_the_statistics_of_the_whole():
    values = np.random.default_rng(1).normal(size=(40, 7))
    cuts = np.split(values, [3, 4, 25])
    parts = [{"x": stats.of_values(part)} for part in cuts]
    for joined in (
        stats.aggregate(parts),
        stats.aggregate([stats.aggregate(parts[:2]), stats.aggregate(parts[2:])]),
    ):
        whole = stats.of_values(values)
        for name in ("min", "max", "mean", "std", "count"):
            np.testing.assert_allclose(joined["x"][name], whole[name], atol=1e-12)


@pytest.mark.parametrize("images", ["png", "video"])
def test_statistics_on_disk_are_those_of_all_frames(tmp_path, images):
    folder = helpers.dataset(tmp_path, 3, images=images, stride=7)
    found = json.loads((folder / "meta/stats.json").read_text())
    data = Dataset.open(folder)
    frames = [data.motion(i) for i in range(3)]
    states = np.concatenate([m.states[m.frames] for m in frames])
    np.testing.assert_allclose(found["observation.state"]["mean"], states.mean(0), atol=1e-6)
    np.testing.assert_allclose(found["observation.state"]["std"], states.std(0), atol=1e-6)
    pixels = np.concatenate([helpers.episode(i, stride=7).images[:, 1] for i in range(3)]) / 255
    mean = np.ravel(found["observation.images.wrist"]["mean"])
    np.testing.assert_allclose(mean, pixels.mean(axis=(0, 1, 2)), atol=1e-9)
    assert found["index"]["max"] == [len(states) - 1]
    rows = pq.read_table(folder / "data").to_pydict()
    assert rows["index"] == list(range(len(states)))
    np.testing.assert_array_equal(rows["step"], np.concatenate([m.frames for m in frames]))
    at = np.flatnonzero(np.array(rows["episode_index"]) == 1)
    assert [rows["span"][i] for i in at] == [int(s >= 40) for s in frames[1].frames]
    progress = np.array([rows["progress"][i] for i in at])
    np.testing.assert_array_equal(progress[:, 0], frames[1].frames >= 80)
    assert (np.diff(progress[frames[1].frames < 30, 1]) > 0).all()  # nearer and nearer
