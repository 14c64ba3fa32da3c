"""Collecting: bounds, seeds, failures kept aside, and going on after a kill."""

from __future__ import annotations

import dataclasses
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.cli.demos_import import find_hdf5
from rain.demos import collect as collecting
from rain.demos.collect import ATTEMPTS, CollectConfig, Outcome, collect, note_failure
from rain.demos.hdf5 import read_recordings, remove_stale, write_demonstration
from rain.demos.replay import ReplayConfig, process
from rain.demos.tally import name_missing, tally
from rain.types import RainError, Subtask, TaskScript
from rain.worlds.demonstration import Demonstration, Failure
from rain.worlds.libero import LiberoWorld, find_task
from rain.worlds.libero.suites import SUITES, Task
from rain.worlds.libero.world import libero_conventions

SCRIPT = TaskScript("grasp the milk", (Subtask("grasp", "milk_1"),))


def demonstration(seed: int, steps: int = 3) -> Demonstration:
    return Demonstration(
        "libero_object", 3, "open", seed, SCRIPT, "regions",
        np.full((steps, 5), seed, dtype=float), np.zeros((steps, 7)), np.zeros(steps, bool),
        np.zeros((0, 7)), np.zeros(steps, int),
    )  # fmt: skip


class World:
    """A scene without a simulator."""

    conventions = libero_conventions(128)

    def __init__(self, suite: str, task: int) -> None:
        self.task = find_task(suite, task)

    def close(self) -> None:
        """Nothing to free."""


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch):
    """Let ``demonstrate`` answer with a function of the seed, in this process."""

    def register(answer) -> None:
        monkeypatch.setattr(collecting, "LiberoWorld", World)
        monkeypatch.setattr(collecting, "demonstrate", lambda w, track, seed, *_: answer(seed))
        monkeypatch.setattr(
            collecting, "stream_jobs",
            lambda function, jobs, workers: (x for job in jobs for x in function(*job)),
        )  # fmt: skip

    return register


def lines(config: CollectConfig) -> list[dict[str, Any]]:
    text = (config.folder("libero_object") / "failures.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


def test_all_means_every_scene_and_seeds_never_meet() -> None:
    config = CollectConfig(suite="all", demos=3)
    config.check()
    assert len(config.scenes) == 40
    assert {suite for suite, _ in config.scenes} == set(SUITES)
    attempts = itertools.product(config.scenes, (0, 1, 99_999), (0, 1, ATTEMPTS - 1))
    seeds = [config.seed_of(*scene, number, attempt) for scene, number, attempt in attempts]
    other = CollectConfig(suite="all", seed=1).seed_of("libero_spatial", 0, 0, 0)
    assert len({*seeds, other}) == len(seeds) + 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"suite": "libero_objekt"}, "libero_object, libero_goal, libero_10, all"),
        ({"suite": "all", "tasks": (1,)}, "one suite"),
        ({"track": "closed"}, "protocol, open"),
        ({"tasks": (10,)}, "0 to 9"),
        ({"tasks": (1, 1)}, "twice"),
        ({"demos": 0}, "at least 1"),
        ({"seed": -1}, "at least 0"),
        ({"first": 99_999, "demos": 2}, "below 100000"),
    ],
)
def test_bad_collections_are_refused(tmp_path: Path, settings: dict, words: str) -> None:
    with pytest.raises(RainError, match=words) as caught:
        list(collect(CollectConfig(out=tmp_path, **settings)))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_failure_is_kept_aside_with_its_reason(tmp_path: Path, made_up) -> None:
    config = CollectConfig(tasks=(3,), demos=2, out=tmp_path)
    failing = config.seed_of("libero_object", 3, 1, 0)
    made_up(
        lambda seed: Failure(seed, "slipped", demonstration(seed)) if seed == failing
        else demonstration(seed)
    )  # fmt: skip
    outcomes = list(collect(config))
    assert [outcome.failures for outcome in outcomes] == [(), ("slipped",)]
    (line,) = lines(config)
    assert (line["task"], line["demo"], line["seed"], line["reason"]) == (3, 1, failing, "slipped")
    kept = config.folder("libero_object") / line["file"]
    (recording,) = read_recordings(kept)
    assert recording.details["failure"] == "slipped"
    assert recording.states[0, 0] == failing
    (good,) = read_recordings(config.file("libero_object", 3, 1))
    assert "failure" not in good.details
    # What is given a folder takes the good ones only; a failure must be named, and is left out.
    found = find_hdf5((tmp_path,))
    assert found == [config.file("libero_object", 3, n) for n in (0, 1)]
    assert find_hdf5((kept,)) == [kept]


def test_an_explicitly_named_failure_is_not_learned_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "failures" / "task_03" / "demo_00000_try_00.hdf5"
    write_demonstration(path, demonstration(0), find_task("libero_object", 3).bddl.name, "slipped")
    monkeypatch.setattr("rain.demos.replay.open_world", lambda suite, task, **_: World(suite, task))
    monkeypatch.setattr(
        "rain.demos.replay.run_jobs", lambda function, jobs, _: (function(*job) for job in jobs)
    )
    results = list(process([path], tmp_path / "dataset", "open", ReplayConfig()))
    messages = [message for _, some in results for message in some]
    assert len(messages) == 1
    assert "failed attempt (slipped)" in messages[0]


def test_what_cannot_be_made_is_named_and_the_rest_is_made(tmp_path: Path, made_up) -> None:
    config = CollectConfig(tasks=(3, 5), demos=4, out=tmp_path)
    hopeless = {config.seed_of("libero_object", 3, n, a) for n in (1, 2) for a in range(ATTEMPTS)}

    def answer(seed: int) -> Demonstration | Failure:
        if seed in hopeless:
            raise RainError("no layout was found")  # of one attempt, so not the run's end
        return demonstration(seed)

    made_up(answer)
    outcomes = list(collect(config))
    assert sum(outcome.made for outcome in outcomes) == 6
    assert name_missing(config) == "libero_object task 3: 1-2"
    assert len(lines(config)) == 2 * ATTEMPTS
    # The same command again tries the missing ones only, and writes no line twice.
    again = list(collect(config))
    assert [(o.task, o.number, o.made) for o in again] == [(3, 1, False), (3, 2, False)]
    assert len(lines(config)) == 2 * ATTEMPTS
    hopeless.clear()
    assert all(outcome.made for outcome in collect(config))
    assert name_missing(config) == ""


def test_a_line_that_a_kill_cut_short_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "failures.jsonl"
    note_failure(path, {"demo": 1})
    path.write_bytes(path.read_bytes() + b'{"de')
    note_failure(path, {"demo": 2})
    note_failure(path, {"demo": 1})
    assert path.read_text().splitlines() == ['{"demo": 1}', '{"de', '{"demo": 2}']


def test_only_the_temporary_files_of_the_dead_are_removed(tmp_path: Path) -> None:
    folder = tmp_path / "task_00"
    folder.mkdir()
    process_that_ended = subprocess.Popen(["true"])
    process_that_ended.wait()
    dead = folder / f".demo_00000.hdf5.{process_that_ended.pid}"
    ours, old = (folder / f".demo_0000{n}.hdf5.{os.getpid()}" for n in (1, 2))
    good = folder / "demo_00000.hdf5"
    for path in (dead, ours, old, good):
        path.touch()
    os.utime(old, (time.time() - 3600,) * 2)  # its writer's id has gone to another process
    remove_stale(tmp_path)
    assert sorted(folder.iterdir()) == sorted([ours, good])


def test_a_tally_sums_up() -> None:
    one = Outcome("libero_object", 0, 0, 100, ("grasp", "release"), ("stuck: at 3",), 2.0)
    reasons = ("stuck: at 4", "is task 051", "cabinet_1:top_drawer does not close")
    other = Outcome("libero_object", 0, 1, 0, (), reasons, 3.0)
    found = tally([one, other])
    assert (found.made, found.missing, found.tried, found.steps) == (1, 1, 5, 100)
    assert found.failures == {
        "stuck": 2, "is task …": 1, "cabinet_1:top_drawer does not close": 1
    }  # fmt: skip
    assert found.action_types == {"grasp": 1, "release": 1}
    assert found.failure_rate == 0.8


@pytest.fixture
def shared_world(libero_world: LiberoWorld, monkeypatch: pytest.MonkeyPatch) -> LiberoWorld:
    """Collect libero_object's first task in this process, in the scene that is there already."""
    monkeypatch.setattr(libero_world, "close", lambda: None)
    monkeypatch.setattr(collecting, "LiberoWorld", lambda suite, task: libero_world)
    return libero_world


def test_official_init_states_are_never_loaded(
    shared_world: LiberoWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("an official init state was loaded")

    monkeypatch.setattr(Task, "load_init_states", refuse)
    monkeypatch.setattr(LiberoWorld, "_load_init_states", refuse)
    with pytest.raises(AssertionError):
        shared_world.reset(init_state=0)
    for track in ("protocol", "open"):
        config = CollectConfig(track=track, demos=1, tasks=(0,), out=tmp_path)
        (outcome,) = collecting._collect_piece(config, "libero_object", 0, [0], None)
        assert outcome.made
        assert config.file("libero_object", 0, 0).exists()


COMMAND = "collect --suite libero_object --tasks 0 --demos 2 --workers 1 --seed 5 --out"


def command(out: Path) -> list[str]:
    program = "import sys; from rain.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", program, *COMMAND.split(), str(out)]


def contents(out: Path) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(out.rglob("*.hdf5")):
        with h5py.File(path) as file:
            demo = file["data/demo_0"]
            arrays = {name: np.asarray(demo[name]) for name in demo}
            found[str(path.relative_to(out))] = {**arrays, "rain": demo.attrs["rain"]}
    return found


def test_a_killed_collection_ends_like_an_undisturbed_one(
    shared_world: LiberoWorld, tmp_path: Path
) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    config = CollectConfig(tasks=(0,), demos=2, seed=5, out=killed)
    first, second = (config.file("libero_object", 0, number) for number in (0, 1))
    run = subprocess.Popen(command(killed), stdout=subprocess.DEVNULL)
    while not first.exists() and run.poll() is None:
        time.sleep(0.02)
    time.sleep(0.3)  # into the next one
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert first.exists()
    assert not second.exists(), "killed too late to tell anything"
    stamp = first.stat().st_mtime_ns
    half = second.with_name(f".{second.name}.{run.pid}")
    half.write_bytes(b"half a file")
    again = subprocess.run(command(killed), capture_output=True, text=True, timeout=300)
    assert again.returncode == 0, again.stderr
    assert first.stat().st_mtime_ns == stamp
    assert not half.exists()

    same = dataclasses.replace(config, out=whole)
    for _ in collecting._collect_piece(same, "libero_object", 0, [0, 1], None):
        pass
    expected, found = contents(whole), contents(killed)
    assert expected.keys() == found.keys()
    for name, arrays in expected.items():
        assert arrays.keys() == found[name].keys()
        for key, values in arrays.items():
            np.testing.assert_array_equal(values, found[name][key], err_msg=f"{name}: {key}")
    failures = [p.read_text() for p in tmp_path.rglob("failures.jsonl")]
    assert failures[:1] == failures[1:]
