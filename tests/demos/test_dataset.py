from __future__ import annotations

import dataclasses
import json
import multiprocessing

import demos_helpers as helpers
import numpy as np
import pytest

from rain.demos.dataset import Dataset, DatasetWriter, pack_regions, unpack_regions
from rain.demos.packed import PackedPixels, pack
from rain.types import ConventionError, RainError


def open_writer(folder, **changes):
    settings = {"conventions": helpers.conventions(), "track": "open", "suite": "synthetic"}
    return DatasetWriter(folder, **{**settings, **changes})


def test_episode_comes_back_equal(tmp_path):
    episode = helpers.episode(3, disturbed=(5, 6))
    open_writer(tmp_path).append(episode)
    found = Dataset.open(tmp_path).episode(0)
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


def test_end_effector_path_may_differ_from_the_state(tmp_path):
    episode = helpers.episode()
    path = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    open_writer(tmp_path).append(dataclasses.replace(episode, ee_position=path))
    np.testing.assert_array_equal(Dataset.open(tmp_path).motion(0).positions, path)
    np.testing.assert_array_equal(episode.positions, episode.states[:, :3])


@pytest.mark.parametrize("size", [8, 12, 33])
def test_regions_survive_packing_at_any_size(size):
    regions = np.random.default_rng(size).random((3, 2, size, size)) > 0.5
    np.testing.assert_array_equal(unpack_regions(pack_regions(regions), size), regions)


def test_region_of_a_target(tmp_path):
    found = Dataset.open(helpers.dataset(tmp_path, 1)).episode(0)
    red = (found.images[0] == (200, 30, 30)).all(-1)
    block = found.region(0, "block_1")
    assert block.any(axis=(1, 2)).all()
    np.testing.assert_array_equal(block & ~red, found.region(0, "tray_1") & block & ~red)


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
    assert a.fingerprint() == b.fingerprint() != c.fingerprint()


def test_folders_of_other_conventions_are_refused(tmp_path):
    a = helpers.dataset(tmp_path / "a", 1)
    b = helpers.dataset(tmp_path / "b", 1, size=48)
    with pytest.raises(ConventionError, match=r"image_size.*32.*48"):
        Dataset.open([a, b])


def test_writer_continues_and_refuses_another_header(tmp_path):
    helpers.dataset(tmp_path, 2)
    writer = open_writer(tmp_path)
    assert 1 in writer
    assert 2 not in writer
    assert writer.append(helpers.episode(7)).name == "episode_000002.npz"
    assert len(Dataset.open(tmp_path)) == len(writer) == 3
    with pytest.raises(RainError, match="track open"):
        open_writer(tmp_path, track="protocol")
    with pytest.raises(ConventionError, match="image_size"):
        open_writer(tmp_path, conventions=helpers.conventions(48))


def test_rewriting_an_episode_replaces_it(tmp_path):
    helpers.dataset(tmp_path, 2)
    open_writer(tmp_path).append(helpers.episode(9, stride=4), index=0)
    found = Dataset.open(tmp_path)
    assert [entry.frames for entry in found.entries] == [25, 50]
    assert found.episode(0).details["seed"] == 9


def test_episode_finished_before_a_kill_is_not_lost(tmp_path):
    helpers.dataset(tmp_path, 3)
    meta = json.loads((tmp_path / "meta.json").read_text())
    del meta["episodes"][2]
    (tmp_path / "meta.json").write_text(json.dumps(meta))
    (tmp_path / "episodes" / ".episode_000003.npz.77").write_bytes(b"half")
    assert len(Dataset.open(tmp_path)) == 3
    open_writer(tmp_path)
    assert len(json.loads((tmp_path / "meta.json").read_text())["episodes"]) == 3


def _write_some(folder, numbers):
    writer = open_writer(folder)
    for number in numbers:
        writer.append(helpers.episode(number), index=number)


def test_two_processes_write_to_one_folder(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [
        context.Process(target=_write_some, args=(tmp_path, range(first, 10, 2)))
        for first in (0, 1)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    listed = json.loads((tmp_path / "meta.json").read_text())["episodes"]
    assert [entry["seed"] for entry in listed] == list(range(10))


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-200])


def damage_foreign(path):
    path.write_bytes(b"not an archive at all")


def damage_missing(path):
    path.unlink()


def damage_keys(path):
    with np.load(path) as archive:
        arrays = {key: archive[key] for key in archive if key != "states"}
    np.savez(path, **arrays)


def damage_values(path):
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["states"][3, 1] = np.nan
    np.savez(path, **arrays)


def damage_bytes(path):
    """Flip bytes inside the archive: its size stays, its checksum no longer fits."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    for i in range(middle, middle + 50):
        data[i] ^= 0xFF
    path.write_bytes(bytes(data))


@pytest.mark.parametrize(
    "damage",
    [
        damage_truncate,
        damage_foreign,
        damage_missing,
        damage_keys,
        damage_values,
        damage_bytes,
    ],
)
@pytest.mark.parametrize("listed_size", [True, False])
def test_damaged_episode_is_an_error_that_names_it(tmp_path, damage, listed_size):
    helpers.dataset(tmp_path, 2)
    if not listed_size:
        meta = json.loads((tmp_path / "meta.json").read_text())
        for entry in meta["episodes"]:
            del entry["bytes"]
        (tmp_path / "meta.json").write_text(json.dumps(meta))
    damage(tmp_path / "episodes" / "episode_000001.npz")
    with pytest.raises(RainError, match=r"episode_000001\.npz") as error:
        list(Dataset.open(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no dataset there"),
        ("{", "not readable as JSON"),
        ("[]", "not a dataset's meta.json"),
        ('{"format": 99}', "expected dataset format 1, got 99"),
        ('{"format": 1, "track": "open"}', "not a dataset's meta.json"),
    ],
)
def test_bad_meta_is_an_error_that_names_it(tmp_path, text, message):
    if text is not None:
        (tmp_path / "meta.json").write_text(text)
    with pytest.raises(RainError, match=message) as error:
        Dataset.open(tmp_path)
    assert str(tmp_path) in str(error.value)


def test_empty_dataset_is_an_error(tmp_path):
    open_writer(tmp_path)
    with pytest.raises(RainError, match="holds no episode"):
        Dataset.open(tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"states": np.zeros((5, 7), np.float32)}, "actions"),
        ({"frames": np.array([0, 2, 2], np.int32)}, "frames"),
        ({"frames": np.array([0, 100], np.int32)}, "frames"),
        ({"targets": ("block_1", "other")}, "tray_1"),
        ({"spans": ()}, "spans"),
        ({"images": np.zeros((50, 2, 32, 31, 3), np.uint8)}, "images"),
        ({"regions": np.zeros((50, 2, 2, 32, 5), np.uint8)}, "regions"),
    ],
)
def test_wrong_episode_names_the_field(changes, message):
    with pytest.raises(RainError, match=message):
        dataclasses.replace(helpers.episode(), **changes)


def test_writer_refuses_images_of_another_size(tmp_path):
    with pytest.raises(RainError, match="32 pixels"):
        open_writer(tmp_path).append(helpers.episode(size=48))
    assert len(open_writer(tmp_path)) == 0


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


def test_unreadable_cache_names_the_file(tmp_path):
    data = Dataset.open(helpers.dataset(tmp_path / "d", 1))
    pack(data, tmp_path)
    next(tmp_path.glob("pixels/*.images.npy")).write_bytes(b"")
    with pytest.raises(RainError, match=r"images\.npy: unreadable cache"):
        PackedPixels.open(data, tmp_path)
