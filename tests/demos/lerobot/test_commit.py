"""Killed at any moment: nothing lost, nothing doubled, nothing half written."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import demos_helpers as helpers
import numpy as np
import pyarrow.parquet as pq
import pytest

from rain.demos.dataset import Dataset, DatasetWriter
from rain.demos.lerobot import schema
from rain.types import ConventionError, RainError

FORK = multiprocessing.get_context("fork")
EPISODES = 4
EVERY = {"png": 17, "video": 41}
"""Which of the run's changes of the disk to be killed at; 1 tries all, in minutes."""


def writer(folder: Path, **changes) -> DatasetWriter:
    settings = {"conventions": helpers.conventions(16), "track": "open"}
    return DatasetWriter(folder, **{**settings, **changes})


def episode(seed: int):
    return helpers.episode(seed, 16, stride=10)


def collect(folder: Path, images: str) -> None:
    """What a run does: add what is not there, in two commits."""
    target = writer(folder, images=images)
    there = {entry.details["seed"] for entry in target.entries()}
    for seed in sorted(set(range(EPISODES)) - there):
        target.append(episode(seed), seed)
        if seed % 2:
            target.commit()
    target.commit()


def _killed_at(folder: Path, images: str, point: int) -> None:
    """Collect, and end like a power cut before the ``point``-th change of the disk."""
    count = 0

    def guarded(function):
        def call(*args, **kwargs):
            nonlocal count
            count += 1
            if count == point:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)

        return call

    for owner, name in (
        (os, "replace"), (os, "rename"), (os, "fsync"), (os, "rmdir"), (os, "unlink"),
        (pq.ParquetWriter, "write_table"), (Path, "unlink"), (Path, "mkdir"),
    ):  # fmt: skip
        setattr(owner, name, guarded(getattr(owner, name)))
    collect(folder, images)
    os._exit(0)


def _run(target, *args) -> int:
    process = FORK.Process(target=target, args=args)
    process.start()
    process.join(60)
    return process.exitcode


def check_whole(folder: Path, seeds: set[int] | None = None) -> set[int]:
    """Every episode is what was written, once; returns which are there."""
    data = Dataset.open(folder)
    found = [entry.details["seed"] for entry in data.entries]
    assert len(found) == len(set(found))
    for i, seed in enumerate(found):
        expected, read = episode(seed), data.episode(i)
        np.testing.assert_array_equal(read.labels, expected.labels)
        np.testing.assert_array_equal(read.states, expected.states)
        if data.stores[0].header.images == "png":
            np.testing.assert_array_equal(read.images, expected.images)
        else:
            assert read.images.shape == expected.images.shape
    stats = data.stores[0].stats
    frames = sum(entry.frames for entry in data.entries)
    assert {values["count"][0] for values in stats.values()} == {frames}
    assert seeds is None or set(found) == seeds
    return set(found)


@pytest.mark.parametrize("images", ["png", "video"])
def test_a_run_killed_at_any_point_is_continued(tmp_path: Path, images: str) -> None:
    point, killed = 1, 0
    while True:
        folder = tmp_path / str(point)
        if _run(_killed_at, folder, images, point) == 0:
            break
        killed += 1
        if (folder / schema.INFO).exists():
            info = packed(folder)
            staged = len(list((folder / "rain/staged").glob("0*")))
            if info:
                check_whole(folder)
            assert info + staged <= EPISODES + 2
        collect(folder, images)
        check_whole(folder, set(range(EPISODES)))
        left = [p for p in (folder / "rain").iterdir() if p.name in ("commit", "commit.json")]
        assert left == list((folder / "rain/staged").iterdir()) == []
        point += EVERY[images]
        shutil.rmtree(folder)
    assert killed >= 5


def packed(folder: Path) -> int:
    return int(json.loads((folder / schema.INFO).read_text())["total_episodes"])


def _append_for_ever(folder: Path, first: int) -> None:
    target = writer(folder)
    for seed in range(first, 10_000, 2):
        target.append(episode(seed), seed)
        target.commit()


def test_processes_killed_while_they_write_at_once(tmp_path: Path) -> None:
    writer(tmp_path)
    before: set[int] = set()
    for pause in (0.5, 0.8, 0.65):
        first = 2 * (max(before, default=-2) // 2 + 1)
        workers = [
            FORK.Process(target=_append_for_ever, args=(tmp_path, first + i)) for i in (0, 1)
        ]
        for worker in workers:
            worker.start()
        time.sleep(pause)
        for worker in workers:
            worker.kill()
            worker.join()
        writer(tmp_path)
        after = check_whole(tmp_path)
        assert before <= after
        before = after
    assert len(before) > 3


def test_repairs_say_so(tmp_path: Path, caplog) -> None:
    target = writer(tmp_path)
    with caplog.at_level(logging.WARNING):
        target.append(episode(0))
        assert len(target) == 1
        with pytest.raises(RainError, match="holds no episode"):
            Dataset.open(tmp_path)
        assert "1 finished episodes are not packed yet" in caplog.text
        (tmp_path / "rain/staged/.000001-ab.999999999").mkdir()
        writer(tmp_path)
        assert "removed 1 half-written episodes" in caplog.text
        assert "packed 1 episodes of an interrupted run" in caplog.text
        target.append(episode(0))
        assert target.commit() == 0
        assert "test/0 is there already; its copy was dropped" in caplog.text
    assert len(Dataset.open(tmp_path)) == len(target) == 1


def test_writer_continues_and_refuses_another_header(tmp_path: Path) -> None:
    with writer(tmp_path) as first:
        first.append(episode(0))
    with writer(tmp_path) as again:
        again.append(episode(1))
    check_whole(tmp_path, {0, 1})
    with pytest.raises(RainError, match="track open"):
        writer(tmp_path, track="protocol")
    with pytest.raises(RainError, match="images png"):
        writer(tmp_path, images="video")
    with pytest.raises(ConventionError, match="image_size"):
        writer(tmp_path, conventions=helpers.conventions(48))


def test_what_waits_is_packed_even_after_an_error(tmp_path: Path) -> None:
    def fail() -> None:
        with writer(tmp_path) as target:
            target.append(episode(0))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    check_whole(tmp_path, {0})


def test_few_may_wait_for_more(tmp_path: Path) -> None:
    target = writer(tmp_path)
    assert target.commit() == 0
    for seed in range(3):
        target.append(episode(seed))
        assert target.commit(at_least=3) == 3 * (seed == 2)
    check_whole(tmp_path, {0, 1, 2})


def test_a_large_commit_is_cut_into_files(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(schema, "FILE_MB", 0.02)
    with writer(tmp_path) as target:
        for seed in range(5):
            target.append(episode(seed))
    assert len(list(tmp_path.glob("data/*/*.parquet"))) > 1
    check_whole(tmp_path, set(range(5)))


def test_an_interrupted_packing_in_a_read_only_place_is_an_error(tmp_path, monkeypatch) -> None:
    with writer(tmp_path) as target:
        target.append(episode(0))
    (tmp_path / "rain/commit.json").write_text(json.dumps({"files": [], "staged": []}))

    def refuse(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("rain.demos.lerobot.commit.finish", refuse)
    with pytest.raises(RainError, match="open it once where it can be written"):
        Dataset.open(tmp_path)
