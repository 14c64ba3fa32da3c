"""The light tracker on drawn scenes: shapes that move, hide, leave and come back."""

from __future__ import annotations

import numpy as np
import pytest

from rain.perception.classical import WORKING, ClassicalSegmenter
from rain.perception.classical.colour import codes, histogram, likeness, log_ratio
from rain.perception.classical.motion import find_shift
from rain.perception.classical.propagate import box_blur, propagate, resample
from rain.perception.prompts import Box, Mask, Points
from rain.perception.segmenter import Frame, Segmenter

RNG = np.random.default_rng(0)
GROUND = RNG.integers(90, 130, (128, 128, 3)).astype(np.uint8)
GROUND[:, 60:] //= 2


def scene(x: int, y: int = 50, size: int = 18) -> tuple[np.ndarray, np.ndarray]:
    """A red square with a white cross on a noisy ground, and its mask; may be cut off."""
    image, mask = GROUND.copy(), np.zeros((128, 128), bool)
    rows, columns = (np.arange(128)[:, None] - y, np.arange(128)[None] - x)
    mask = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    image[mask] = (190, 40, 30)
    image[mask & ((rows == size // 2) | (columns == size // 2))] = 240
    return image, mask


def iou(first: np.ndarray, second: np.ndarray) -> float:
    return float((first & second).sum() / (first | second).sum())


def at(image: np.ndarray, number: int) -> Frame:
    return Frame({"top": image}, number / 20)


def test_it_is_a_segmenter():
    assert isinstance(ClassicalSegmenter(), Segmenter)


@pytest.mark.parametrize("kind", ["mask", "box", "point"])
def test_a_seed_becomes_the_region(kind):
    image, mask = scene(30)
    box = Box.around(mask)
    prompt = {"mask": Mask(mask), "box": box, "point": Points(((34.5, 54.5),))}[kind]
    seen = ClassicalSegmenter().seed("square", at(image, 0), {"top": prompt})["top"]
    assert iou(seen.region, mask) > (0.99 if kind == "mask" else 0.75)


def test_a_moving_target_is_followed():
    segmenter = ClassicalSegmenter()
    image, mask = scene(10)
    segmenter.seed("square", at(image, 0), {"top": Mask(mask)})
    for number in range(1, 31):
        image, mask = scene(10 + 3 * number, 50 - number)
        found = segmenter.follow(at(image, number))["square"]["top"]
        assert iou(found.region, mask) > 0.8, number
        assert found.stamp == number / 20
        assert found.score > 0.8


def test_a_still_target_keeps_its_region_over_500_frames():
    segmenter = ClassicalSegmenter()
    image, mask = scene(40, size=6)
    segmenter.seed("square", at(image, 0), {"top": Mask(mask)})
    for number in range(1, 501):
        found = segmenter.follow(at(image, number))["square"]["top"]
    assert iou(found.region, mask) > 0.9


def test_a_target_that_leaves_is_lost_and_found_again():
    segmenter = ClassicalSegmenter()
    image, mask = scene(90)
    segmenter.seed("square", at(image, 0), {"top": Mask(mask)})
    number = 0
    for number, x in enumerate(range(94, 131, 4), 1):
        found = segmenter.follow(at(scene(x)[0], number))["square"]["top"]
    for _ in range(5):
        number += 1
        found = segmenter.follow(at(GROUND.copy(), number))["square"]["top"]
    assert not found.found
    assert found.score < 0.5
    image, mask = scene(60, 80)
    for _ in range(3):
        number += 1
        found = segmenter.follow(at(image, number))["square"]["top"]
    assert iou(found.region, mask) > 0.7


def test_a_covered_target_shrinks_to_what_is_seen():
    segmenter = ClassicalSegmenter()
    image, mask = scene(40)
    segmenter.seed("square", at(image, 0), {"top": Mask(mask)})
    for number in range(1, 10):
        image, mask = scene(40)
        image[:, : 36 + number] = (20, 60, 200)
        mask[:, : 36 + number] = False
        found = segmenter.follow(at(image, number))["square"]["top"]
    assert iou(found.region, mask) > 0.8


@pytest.mark.parametrize("size", [224, 336, 1024])
def test_larger_images_get_regions_of_their_own_size(size):
    scale = size / 128
    grow = np.arange(size) * 128 // size
    segmenter = ClassicalSegmenter()
    image, mask = scene(30)
    big = image[grow][:, grow]
    box = Box.around(mask)
    prompt = Box(*(c * scale for c in box.corners))
    segmenter.seed("square", at(big, 0), {"top": prompt})
    image, mask = scene(33)
    found = segmenter.follow(at(image[grow][:, grow], 1))["square"]["top"]
    assert found.region.shape == (size, size)
    assert iou(found.region, mask[grow][:, grow]) > 0.75
    assert WORKING == 128


def test_views_and_targets_are_followed_apart():
    segmenter = ClassicalSegmenter()
    image, mask = scene(30)
    blank = {"top": image, "wrist": image}
    segmenter.seed("a", Frame(blank, 0.0), {"top": Mask(mask), "wrist": Mask(mask)})
    segmenter.seed("b", Frame(blank, 0.0), {"wrist": Mask(mask)})
    moved = scene(36)[0]
    found = segmenter.follow(Frame({"top": moved, "wrist": image}, 0.1))
    assert {t: set(v) for t, v in found.items()} == {"a": {"top", "wrist"}, "b": {"wrist"}}
    assert iou(found["a"]["top"].region, scene(36)[1]) > 0.8
    assert iou(found["a"]["wrist"].region, mask) > 0.95
    segmenter.forget("a")
    assert set(segmenter.follow(Frame(blank, 0.2))) == {"b"}


def test_the_shift_is_the_one_of_least_difference():
    first = RNG.random((40, 50, 3)).astype(np.float32)
    weight = np.zeros((40, 50), np.float32)
    weight[10:20, 15:30] = 1
    for down, right in ((0, 0), (4, -6), (-7, 9)):
        second = np.roll(first, (down, right), axis=(0, 1))
        assert find_shift(first, second, weight, (0.0, 0.0), 10) == (down, right)


def test_labels_pass_to_pixels_that_are_alike():
    before = np.zeros((9, 9, 3), np.float32)
    before[3:6, 3:6] = 1
    label = before[..., 0].copy()
    now = np.roll(before, (1, 1), axis=(0, 1))
    found = propagate(before, label, now, 2, 50.0)
    assert np.array_equal(found > 0.5, now[..., 0] > 0.5)


def test_blur_and_resample_are_means_and_lines():
    image = RNG.random((7, 9)).astype(np.float32)
    padded = np.pad(image, 1, mode="edge")
    expected = np.mean([padded[i : i + 7, j : j + 9] for i in range(3) for j in range(3)], axis=0)
    assert np.allclose(box_blur(image, 1), expected, atol=1e-6)
    ramp = np.arange(5, dtype=np.float32)[:, None] * np.ones((1, 4), np.float32)
    rows = np.array([0.5, 2.25, 9.0])
    assert np.allclose(resample(ramp, rows, np.arange(4.0))[:, 0], [0.5, 2.25, 4.0])


def test_colours_tell_a_target_from_what_is_around():
    image, mask = scene(30)
    cells = codes(image)
    own = histogram(cells, mask.astype(np.float32))
    other = histogram(cells, (~mask).astype(np.float32))
    assert own.sum() == pytest.approx(1, abs=1e-5)
    assert likeness(own, own) == pytest.approx(1, abs=1e-5)
    assert likeness(own, other) < 0.2
    ratio = log_ratio(own, other)[cells]
    assert (ratio[mask] > 0).mean() > 0.95
    assert (ratio[~mask] < 0).mean() > 0.95
