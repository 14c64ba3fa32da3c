from __future__ import annotations

import dataclasses

import demos_helpers as helpers
import numpy as np
import pytest

from rain.demos.dataset import Dataset, DatasetWriter
from rain.demos.packed import PackedPixels, pack
from rain.types import ConventionError, RainError


def open_writer(folder, **changes):
    settings = {"conventions": helpers.conventions(), "track": "open"}
    return DatasetWriter(folder, **{**settings, **changes})


def write(folder, *episodes, **changes):
    with open_writer(folder, **changes) as writer:
        for episode in episodes:
            writer.append(episode)
    return Dataset.open(folder)


def test_episode_comes_back_equal(tmp_path):
    episode = helpers.episode(3, disturbed=(5, 6))
    found = write(tmp_path, episode).episode(0)
    for field in dataclasses.fields(episode):
        if field.name == "spans":
            continue
        mine, theirs = getattr(episode, field.name), getattr(found, field.name)
        if isinstance(mine, np.ndarray):
            np.testing.assert_array_equal(mine, theirs)
            assert mine.dtype == theirs.dtype
        else:
            assert mine == theirs
    for mine, theirs in zip(episode.spans, found.spans, strict=True):
        assert mine.subtask == theirs.subtask
        assert (mine.start, mine.interaction, mine.end) == (
            theirs.start,
            theirs.interaction,
            theirs.end,
        )
        np.testing.assert_array_equal(mine.position, theirs.position)
        np.testing.assert_array_equal(mine.rotation, theirs.rotation)


def test_motion_needs_no_pixels(tmp_path):
    data = Dataset.open(helpers.dataset(tmp_path, 3))
    for file in tmp_path.glob("data/*/*"):
        file.write_bytes(b"\0" * file.stat().st_size)
    motion = data.motion(2)
    np.testing.assert_array_equal(motion.actions, helpers.episode(2).actions)
    assert motion.table == helpers.TABLE
    with pytest.raises(RainError, match=r"data/chunk-000/file-000\.parquet"):
        data.episode(2)


def test_end_effector_path_may_differ_from_the_state(tmp_path):
    episode = helpers.episode()
    path = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    found = write(tmp_path, dataclasses.replace(episode, ee_position=path))
    np.testing.assert_array_equal(found.motion(0).positions, path)
    np.testing.assert_array_equal(episode.positions, episode.states[:, :3])


@pytest.mark.parametrize("size", [8, 12, 33])
def test_pixels_survive_at_any_size(tmp_path, size):
    rng = np.random.default_rng(size)
    episode = helpers.episode(size=size, stride=10)
    episode = dataclasses.replace(
        episode,
        images=rng.integers(0, 256, episode.images.shape, dtype=np.uint8),
        labels=rng.integers(0, 4, episode.labels.shape, dtype=np.uint8),
    )
    found = write(tmp_path, episode, conventions=helpers.conventions(size)).episode(0)
    np.testing.assert_array_equal(found.images, episode.images)
    np.testing.assert_array_equal(found.labels, episode.labels)


def test_video_keeps_every_frame_in_its_place(tmp_path):
    episodes = [helpers.episode(seed, size=64) for seed in range(3)]
    # A grey level for each frame: a frame in another's place would show.
    shaded = [
        dataclasses.replace(
            e,
            images=np.broadcast_to(
                (40 + 60 * k + 2 * np.arange(50, dtype=np.uint8))[:, None, None, None, None],
                e.images.shape,
            ).copy(),
        )
        for k, e in enumerate(episodes)
    ]
    data = write(tmp_path, *shaded, conventions=helpers.conventions(64), images="video")
    for i, episode in enumerate(shaded):
        found = data.episode(i)
        np.testing.assert_allclose(found.images, episode.images.astype(float), atol=3)
        levels = found.images.mean(axis=(1, 2, 3, 4))
        assert np.abs(levels - episode.images[:, 0, 0, 0, 0]).max() <= 1
        np.testing.assert_array_equal(found.labels, episode.labels)
    assert len(list(tmp_path.glob("videos/*/*/*.mp4"))) == 2


def test_region_of_a_target(tmp_path):
    found = Dataset.open(helpers.dataset(tmp_path, 1)).episode(0)
    red = (found.images[0] == (200, 30, 30)).all(-1)
    block = found.region(0, "block_1")
    assert block.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(block & ~red, found.region(0, "tray_1") & block & ~red)
    # Targets of the scene that no subtask names have regions too; others are errors.
    assert not found.region(0, "shelf_1").any()
    np.testing.assert_array_equal(found.region(0, "block_1->shelf_1"), block)
    with pytest.raises(RainError, match="'spoon_1' has no label"):
        found.region(0, "spoon_1")


def test_several_folders_are_one_sequence(tmp_path):
    a = helpers.dataset(tmp_path / "a", 2)
    b = helpers.dataset(tmp_path / "b", 3)
    both = Dataset.open([a, b])
    assert len(both) == 5
    assert len(list(both)) == 5
    assert [entry.details["seed"] for entry in both.entries] == [0, 1, 0, 1, 2]
    assert both.motion(4).details["instruction"] == "put the block on the tray"
    assert both.tracks == ("open",)
    assert both.fingerprint() != Dataset.open([b, a]).fingerprint()


def test_fingerprint_depends_on_content_not_on_place(tmp_path):
    a = Dataset.open(helpers.dataset(tmp_path / "a", 2))
    b = Dataset.open(helpers.dataset(tmp_path / "b", 2))
    c = Dataset.open(helpers.dataset(tmp_path / "c", 3))
    d = Dataset.open(helpers.dataset(tmp_path / "d", 2, images="video"))
    assert a.fingerprint() == b.fingerprint()
    assert len({x.fingerprint() for x in (a, c, d)}) == 3


def test_folders_of_other_conventions_are_refused(tmp_path):
    a = helpers.dataset(tmp_path / "a", 1)
    b = helpers.dataset(tmp_path / "b", 1, size=48)
    with pytest.raises(ConventionError, match=r"image_size.*32.*48"):
        Dataset.open([a, b])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": np.zeros((5, 7), np.float32)}, "actions"),
        ({"frames": np.array([0, 2, 2], np.int32)}, "frames"),
        ({"frames": np.array([0, 100], np.int32)}, "frames"),
        ({"targets": ("block_1", "other")}, "tray_1"),
        ({"spans": ()}, "spans"),
        ({"images": np.zeros((50, 2, 32, 31, 3), np.uint8)}, "images"),
        ({"labels": np.zeros((50, 2, 32, 5), np.uint8)}, "labels"),
        ({"labels": np.full((50, 2, 32, 32), 9, np.uint8)}, "label 9"),
        ({"targets": ("block_1", "tray_1", "spoon_1")}, "spoon_1"),
    ],
)
def test_wrong_episode_names_the_field(changes, message):
    with pytest.raises(RainError, match=message):
        dataclasses.replace(helpers.episode(), **changes)


def test_writer_refuses_images_of_another_size(tmp_path):
    with pytest.raises(RainError, match="32 pixels"):
        open_writer(tmp_path).append(helpers.episode(size=48))
    assert len(open_writer(tmp_path)) == 0
    with pytest.raises(RainError, match="even image size"):
        open_writer(tmp_path / "v", conventions=helpers.conventions(33), images="video")


def test_packed_pixels_equal_the_episodes(tmp_path):
    data = Dataset.open(helpers.dataset(tmp_path / "d", 3))
    cache = tmp_path / "cache"
    # Two processes share the work; what is there is not made again.
    assert pack(data, cache, share=(0, 2)) == 2
    assert pack(data, cache, share=(1, 2)) == 1
    assert pack(data, cache) == 0
    pixels = PackedPixels.open(data, cache)
    at = np.array([2, 0, 1, 2]), np.array([5, 49, 0, 30]), np.array([0, 1, 1, 0])
    images, regions = pixels.images(*at[:2]), pixels.regions(*at)
    for i, (e, f, k) in enumerate(zip(*at, strict=True)):
        episode = data.episode(e)
        np.testing.assert_array_equal(images[i], episode.images[f])
        np.testing.assert_array_equal(regions[i], episode.region(f, helpers.TARGETS[k]))


@pytest.mark.parametrize("damage", ["empty", "truncated", "shorter"])
def test_unreadable_cache_names_the_file(tmp_path, damage):
    data = Dataset.open(helpers.dataset(tmp_path / "d", 1))
    pack(data, tmp_path)
    path = next(tmp_path.glob("pixels/images/*.npy"))
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "truncated":
        path.write_bytes(path.read_bytes()[:-5])
    else:
        np.save(path, np.load(path)[:-1])
    with pytest.raises(RainError, match=r"pixels/images/.*\.npy: "):
        PackedPixels.open(data, tmp_path)
