from __future__ import annotations

import demos_helpers as helpers
import numpy as np
import pytest

from rain.demos.dataset import Dataset
from rain.demos.features import FeatureCache, extract_features
from rain.demos.packed import PackedPixels, pack
from rain.demos.sampler import gather
from rain.demos.samples import SampleOptions, dataset_samples
from rain.types import RainError


@pytest.fixture
def data(tmp_path):
    found = Dataset.open(helpers.dataset(tmp_path / "d", 3))
    pack(found, tmp_path)
    return found, PackedPixels.open(found, tmp_path)


class Backbone:
    """The mean colour of each half of each view, and a count of the images it has seen."""

    def __init__(self):
        self.seen = 0

    def __call__(self, images):
        self.seen += len(images)
        half = images.shape[2] // 2
        parts = images[:, :, :half], images[:, :, half:]
        return np.stack([part.mean(axis=(2, 3)) / 255 for part in parts], axis=2)


def test_features_are_computed_once_and_gathered(data, tmp_path):
    dataset, pixels = data
    backbone = Backbone()
    assert extract_features(dataset, pixels, backbone, "mean", tmp_path, batch=16) == 3
    assert backbone.seen == 150
    assert extract_features(dataset, pixels, backbone, "mean", tmp_path) == 0
    assert backbone.seen == 150
    samples = dataset_samples(dataset, SampleOptions())
    index = np.array([0, 50, 99])
    batch = gather(samples, index, pixels, FeatureCache.open(dataset, "mean", tmp_path))
    assert batch.images is None
    assert batch.features.dtype == np.float16
    expected = Backbone()(pixels.images(samples.episode[index], samples.frame[index]))
    np.testing.assert_allclose(batch.features, expected, atol=1e-3)


def test_an_interrupted_extraction_goes_on(data, tmp_path):
    dataset, pixels = data

    class Interrupted(Backbone):
        def __call__(self, images):
            if self.seen >= 50:
                raise KeyboardInterrupt
            return super().__call__(images)

    with pytest.raises(KeyboardInterrupt):
        extract_features(dataset, pixels, Interrupted(), "mean", tmp_path)
    with pytest.raises(RainError, match="unreadable cache"):
        FeatureCache.open(dataset, "mean", tmp_path)
    rest = Backbone()
    calls = []
    extract_features(dataset, pixels, rest, "mean", tmp_path, advance=lambda *at: calls.append(at))
    assert rest.seen == 100
    assert calls == [(1, 3), (2, 3), (3, 3)]


def test_processes_share_the_extraction(data, tmp_path):
    dataset, pixels = data
    counts = [
        extract_features(dataset, pixels, Backbone(), "mean", tmp_path, share=(rank, 2))
        for rank in range(2)
    ]
    assert counts == [2, 1]
    FeatureCache.open(dataset, "mean", tmp_path)


def test_features_of_another_backbone_are_not_used(data, tmp_path):
    dataset, pixels = data
    extract_features(dataset, pixels, Backbone(), "mean", tmp_path)
    with pytest.raises(RainError, match="other"):
        FeatureCache.open(dataset, "other", tmp_path)
