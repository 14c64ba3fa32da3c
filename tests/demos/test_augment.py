from __future__ import annotations

import itertools
from dataclasses import replace

import demos_helpers as helpers
import numpy as np
import pytest
from PIL import Image

from rain.demos.augment import AugmentOptions, augment, jitter, resample, vary
from rain.demos.augment_view import CAPTION, GAP, TILE, augmentation_sheet
from rain.demos.dataset import Dataset
from rain.demos.region_noise import DRAWS, LEAST, RegionNoise, grow, move, shrink, spoil
from rain.demos.sampler import Batch
from rain.types import RainError

ALL = AugmentOptions(
    colour=0.7, crop=0.5, crop_by=0.2, shift=0.5, shift_by=0.1,
    region=RegionNoise(0.3, 0.3, 0.1, 0.5, 0.1, 0.5, 0.5, 0.1, 0.3),
)  # fmt: skip


def scenes(count=16, views=2, size=32, seed=0):
    """Images of noise, and regions that are rectangles of at least 3 × 3 pixels."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 256, (count, views, size, size, 3), dtype=np.uint8)
    regions = np.zeros((count, views, size, size), np.float32)
    for region in regions.reshape(-1, size, size):
        top, left = rng.integers(0, size - 12, 2)
        height, width = rng.integers(3, 12, 2)
        region[top : top + height, left : left + width] = 1
    return images, regions


def batch(images, regions):
    n = len(regions)
    return Batch(
        np.arange(n), images, None, regions, np.zeros((n, 7), np.float32), np.zeros(n, np.int64),
        np.zeros((n, 16, 7), np.float32), np.zeros((n, 8, 3), np.float32),
        np.zeros((n, 3), np.float32), 1,
    )  # fmt: skip


def noisy(regions, noise, seed=0):
    draws = np.random.default_rng(seed).random((*regions.shape[:2], DRAWS), dtype=np.float32)
    return spoil(regions, draws, noise)


def test_augmentation_is_a_function_of_seed_and_step():
    before = batch(*scenes())
    kept = before.images.copy(), before.regions.copy()
    first, again = (augment(before, ALL, seed=1, step=2) for _ in range(2))
    np.testing.assert_array_equal(first.images, again.images)
    np.testing.assert_array_equal(first.regions, again.regions)
    other = augment(before, ALL, seed=1, step=3)
    assert (other.images != first.images).any()
    assert (other.regions != first.regions).any()
    # The batch itself is left alone.
    np.testing.assert_array_equal(before.images, kept[0])
    np.testing.assert_array_equal(before.regions, kept[1])


@pytest.mark.parametrize("world", [2, 4])
def test_augmentation_is_alike_on_any_number_of_processes(world):
    images, regions = scenes()
    whole = augment(batch(images, regions), ALL, 0, 7)
    parts = [
        augment(batch(images[part], regions[part]), ALL, 0, 7, (rank, world))
        for rank, part in enumerate(np.split(np.arange(16), world))
    ]
    np.testing.assert_array_equal(whole.images, np.concatenate([p.images for p in parts]))
    np.testing.assert_array_equal(whole.regions, np.concatenate([p.regions for p in parts]))


def test_by_default_nothing_changes():
    images, regions = scenes()
    same = vary(images, regions, AugmentOptions(), 0, 0)
    np.testing.assert_array_equal(same[0], images)
    np.testing.assert_array_equal(same[1], regions)


@pytest.mark.parametrize(
    "options",
    [
        AugmentOptions(crop=0.6, crop_by=0.3),
        AugmentOptions(shift=0.6, shift_by=0.2),
        AugmentOptions(crop=1.0, shift=1.0),
    ],
)
def test_image_and_region_get_the_same_geometry(options):
    """A region that holds the image's own values, up to a factor that costs no bit, stays equal."""
    images = np.repeat(scenes(seed=3)[0][..., :1], 3, -1)
    regions = images[..., 0].astype(np.float32) / 256
    moved, followed = vary(images, regions, options, 0, 0)
    np.testing.assert_array_equal(moved, np.repeat(np.rint(256 * followed)[..., None], 3, -1))
    changed = (moved != images).any(axis=(2, 3, 4))
    # Each view by itself, and as often as asked for.
    assert changed.mean() == pytest.approx(max(options.crop, options.shift), abs=0.2)
    if not changed.all():
        assert (changed[:, 0] != changed[:, 1]).any()


def test_a_square_is_resized_as_pillow_does():
    picture = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    top, left, side = 3.3, 1.25, 27.5
    found = resample(picture, top, left, side)
    box = (left, top, left + side, top + side)
    wanted = np.asarray(Image.fromarray(picture).resize((32, 32), Image.Resampling.BILINEAR, box))
    # At its border Pillow does not look beyond the square.
    np.testing.assert_allclose(found[1:-1, 1:-1], wanted[1:-1, 1:-1], atol=1e-5)
    np.testing.assert_array_equal(resample(picture, 0, 0, 32), picture)
    shifted = resample(picture, -2, 3, 32)
    np.testing.assert_array_equal(shifted[2:, :-3], picture[:-2, 3:])
    np.testing.assert_array_equal(shifted[:2, 0], np.repeat(picture[0, 3], 2))


def test_crops_stay_in_the_image_and_within_their_size():
    """A picture of its own coordinates: what is seen lies in it and is cut by no more than that."""
    size = 32
    at = np.stack(np.meshgrid(np.arange(size), np.arange(size), indexing="ij")) / size
    regions = np.repeat(at[None].astype(np.float32), 64, 0)  # rows in view 0, columns in view 1
    images = np.zeros((64, 2, size, size, 3), np.uint8)
    seen = vary(images, regions, AugmentOptions(crop=1.0, crop_by=0.25), 0, 0)[1]
    rows = size * (seen[:, 0, -1, 0] - seen[:, 0, 0, 0]) + 1
    assert (rows > 0.74 * size - 1).all()
    assert rows.min() < 0.8 * size
    assert rows.max() > 0.95 * size
    assert seen.min() >= 0
    assert seen.max() <= (size - 1) / size


def test_shifts_go_both_ways_along_each_axis_by_itself():
    size = 32
    number = np.arange(size * size, dtype=np.float32).reshape(size, size) / size**2
    regions = np.broadcast_to(number, (200, 2, size, size))
    images = np.zeros((200, 2, size, size, 3), np.uint8)
    seen = vary(images, regions, AugmentOptions(shift=1.0, shift_by=0.1), 0, 0)[1]
    # The middle pixel shows another's number, and so whence it came.
    moved = 16 - np.array(np.divmod(seen[..., 16, 16] * size**2, size)).reshape(2, -1)
    for axis in moved:
        assert set(axis) == set(range(-3, 4))
    assert abs(np.corrcoef(moved)[0, 1]) < 0.2


def test_cached_features_are_never_out_of_register():
    images, regions = scenes()
    features = replace(batch(images, regions), images=None, features=np.zeros((16, 2, 4, 3)))
    for options in (AugmentOptions(crop=0.1), AugmentOptions(shift=0.1), AugmentOptions(colour=1)):
        with pytest.raises(RainError, match="the batch has features"):
            augment(features, options, 0, 0)
    noise = AugmentOptions(region=RegionNoise(erode=1.0))
    assert augment(features, noise, 0, 0).regions.sum() < regions.sum()


def test_colours_change_as_named():
    image = np.random.default_rng(0).integers(60, 190, (16, 16, 3)).astype(np.uint8)
    middle = np.full(3, 0.5, np.float32)
    options = AugmentOptions(brightness=0.2, contrast=0.2, saturation=1.0)
    assert np.abs(jitter(image, middle, options).astype(int) - image).max() <= 1
    brighter = jitter(image, np.array([1.0, 0.5, 0.5], np.float32), options)
    np.testing.assert_allclose(brighter, image * 1.2, atol=1)
    grey = jitter(image, np.array([0.5, 0.5, 0.0], np.float32), options)
    weighted = image @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(grey, np.repeat(weighted[..., None], 3, -1), atol=1)


def brute(region, steps, choose):
    """Each pixel becomes the extreme of those within an octagon: ``steps`` alternating moves."""
    for number in range(steps):
        near = [(0, 0), (0, 1), (1, 0), (0, -1), (-1, 0)]
        near = near if number % 2 == 0 else list(itertools.product((-1, 0, 1), repeat=2))
        padded = np.pad(region, 1, mode="edge")
        height, width = region.shape
        moved = [padded[1 + y : 1 + y + height, 1 + x : 1 + x + width] for y, x in near]
        region = choose(moved, axis=0)
    return region


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_edges_grow_and_shrink(steps):
    region = np.random.default_rng(1).random((9, 14)).astype(np.float32)
    np.testing.assert_array_equal(grow(region, steps), brute(region, steps, np.max))
    np.testing.assert_array_equal(shrink(region, steps), brute(region, steps, np.min))
    np.testing.assert_allclose(grow(region, steps), 1 - shrink(1 - region, steps), atol=1e-6)


def test_moving_repeats_the_border():
    region = np.arange(20, dtype=np.float32).reshape(4, 5)
    wanted = np.pad(region, ((2, 0), (0, 1)), mode="edge")[:4, 1:]
    np.testing.assert_array_equal(move(region, 2, -1), wanted)


def test_a_window_about_the_region_changes_nothing():
    """Noise in a window is noise in the whole image: near the border, too."""
    regions = np.zeros((4, 1, 32, 32), np.float32)
    for region, (top, left) in zip(
        regions[:, 0], ((0, 0), (24, 26), (10, 27), (12, 12)), strict=True
    ):
        region[top : top + 8, left : left + 5] = 1
    found = noisy(regions, RegionNoise(dilate=1, edge=1 / 32))
    np.testing.assert_array_equal(found[:, 0], [brute(r, 1, np.max) for r in regions[:, 0]])
    found = noisy(regions, RegionNoise(erode=1, edge=1 / 32))
    np.testing.assert_array_equal(found[:, 0], [brute(r, 1, np.min) for r in regions[:, 0]])


def test_every_mistake_by_itself():
    regions = scenes(64)[1]
    mass = regions.sum(axis=(2, 3))

    def change(**noise):
        found = noisy(regions, RegionNoise(**noise))
        assert found.min() >= 0
        assert found.max() <= 1
        return found, found.sum(axis=(2, 3)) / mass

    found, share = change(dilate=1, edge=0.1)
    assert (share > 1).all()
    assert (found >= regions).all()
    found, share = change(erode=1, edge=0.1)
    assert (found <= regions).all()
    assert (share >= LEAST).all()
    assert (share < 1).mean() > 0.9  # of a rectangle 3 pixels wide a third would be left at most
    found, share = change(fragment=1)
    assert (found <= regions).all()
    assert (share >= LEAST).all()
    assert (share < 1).mean() > 0.9
    found, share = change(speck=1, speck_by=0.2)
    assert (found >= regions).all()
    assert (share > 1).mean() > 0.9
    # Three specks, none wider than a fifth of the side.
    assert (found.sum(axis=(2, 3)) - mass).max() <= 3 * (0.2 * 32 + 1) ** 2
    found, share = change(shift=1, shift_by=0.1)
    where = [np.argwhere(r).mean(axis=0) for r in (*found.reshape(-1, 32, 32),)]
    was = [np.argwhere(r).mean(axis=0) for r in regions.reshape(-1, 32, 32)]
    moved = np.subtract(where, was)
    assert np.abs(moved).max() <= 3
    assert set(np.rint(moved).astype(int).ravel()) == set(range(-3, 4))


def test_mistakes_are_as_frequent_as_asked_for():
    regions = np.zeros((2000, 1, 12, 12), np.float32)
    regions[..., 3:9, 3:9] = 1
    found = noisy(regions, RegionNoise(dilate=0.2, erode=0.1))
    mass = found.sum(axis=(1, 2, 3))
    assert (mass > 36).mean() == pytest.approx(0.2, abs=0.03)
    assert (mass < 36).mean() == pytest.approx(0.1, abs=0.03)


def test_soft_regions_stay_within_bounds():
    regions = np.random.default_rng(0).random((32, 2, 16, 16)).astype(np.float32)
    found = noisy(regions, ALL.region)
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1


def test_large_and_small_images_are_treated_alike():
    small, large = (np.zeros((200, 1, size, size), np.float32) for size in (64, 256))
    small[..., 16:48, 16:48] = large[..., 64:192, 64:192] = 1
    noise = RegionNoise(erode=1, edge=1 / 16)
    shares = [noisy(r, noise).mean() / r.mean() for r in (small, large)]
    assert shares[0] == pytest.approx(shares[1], abs=0.06)
    assert max(shares) < 0.9


def test_no_sample_loses_its_region_in_all_views():
    regions = scenes(200, views=3)[1]
    regions[:50, 0] = 0
    regions[50:100, 1:] = 0
    regions[100:110] = 0
    everything = RegionNoise(0.5, 0.5, 0.3, 1, 0.3, 1, drop=0.9)
    found = noisy(regions, everything).any(axis=(2, 3))
    seen = regions.any(axis=(2, 3))
    np.testing.assert_array_equal(found.any(axis=1), seen.any(axis=1))
    assert not found[~seen].any()
    # One view keeps it where all would lose it, and any view may be that one.
    alone = found[110:].sum(axis=1) == 1
    assert alone.mean() > 0.8
    assert (found[110:][alone].mean(axis=0) > 0.2).all()
    lost = ~noisy(regions, RegionNoise(drop=0.5, drop_all=True)).any(axis=(2, 3))
    assert lost[seen].mean() == pytest.approx(0.5, abs=0.07)
    assert (lost & seen)[110:].all(axis=1).mean() == pytest.approx(0.125, abs=0.08)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda: RegionNoise(drop=1.5), "augment.region.drop"),
        (lambda: RegionNoise(edge=float("nan")), "augment.region.edge"),
        (lambda: RegionNoise(dilate=0.6, erode=0.6), "dilate and erode"),
        (lambda: AugmentOptions(crop=-0.1), "augment.crop"),
        (lambda: AugmentOptions(shift_by=0.7), "augment.shift_by"),
    ],
)
def test_options_out_of_range_are_named(change, named):
    with pytest.raises(RainError, match=named):
        change()


def test_a_sheet_shows_samples_before_and_after(tmp_path):
    folder = helpers.dataset(tmp_path / "d", 2)
    dataset, out = Dataset.open(folder), tmp_path / "sheet.png"
    lost = AugmentOptions(region=RegionNoise(drop=1.0, drop_all=True))
    assert list(augmentation_sheet(dataset, lost, out, 3, 2, 0)) == [(1, 2), (2, 2)]
    with Image.open(out) as picture:
        sheet = np.asarray(picture).astype(int)
    width = 2 * TILE + GAP
    assert sheet.shape == (GAP + 2 * (TILE + CAPTION + GAP), GAP + 3 * width, 3)
    top = GAP + CAPTION
    tiles = [
        sheet[top : top + TILE, GAP + k * width : GAP + k * width + 2 * TILE] for k in range(3)
    ]
    np.testing.assert_array_equal(tiles[1], tiles[2])
    # Where the region was tinted, and only there, something changed.
    changed = (tiles[0] != tiles[1]).any(axis=-1)
    assert 0 < changed.mean() < 0.4
    with pytest.raises(RainError, match=r"\.png"):
        next(augmentation_sheet(dataset, lost, tmp_path / "sheet.jpg", 3, 2, 0))
    with pytest.raises(RainError, match="at least one"):
        next(augmentation_sheet(dataset, lost, out, 0, 2, 0))
