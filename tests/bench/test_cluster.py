"""Workers on a cluster, with a stand-in for Ray whose tasks are generators of this process."""

from __future__ import annotations

import dataclasses
import importlib
import types

import bench_fakes as fakes
import pytest

from rain.bench.cluster import cluster
from rain.bench.episode import RolloutConfig
from rain.bench.records import RecordFile, read_records
from rain.bench.runner import Runner
from rain.bench.trials import plan_trials
from rain.bench.worker import Setup
from rain.types import RainError

SETUP = Setup(
    make_policy=fakes.NoisyPolicies(),
    make_world=fakes.fake_world,
    rollout=RolloutConfig(horizon=20),
    settings={"weights": "abc"},
)
TRIALS = plan_trials("kitchen", [0, 1], 2, "own")


class FakeRay:
    """Ray as far as it is used: references are what they refer to."""

    class RayError(Exception):
        pass

    def __init__(self, die_at=None):
        self.exceptions = types.SimpleNamespace(RayError=self.RayError)
        self.options, self.calls, self.begun, self.up = {}, [], 0, False
        self.die_at = die_at

    def init(self, address, **_):
        if address == "nowhere":
            raise ConnectionError("nobody answers")
        self.up = True

    def shutdown(self):
        self.up = False

    def remote(self, **options):
        self.options = options
        return lambda function: types.SimpleNamespace(remote=lambda *job: self._run(function, job))

    def _run(self, function, job):
        self.calls.append(job)
        for message in function(*job):
            yield message
            self.begun += message[0] == "begun"
            if message[0] == "begun" and self.begun == self.die_at:
                raise self.RayError("the node died")

    def get(self, reference):
        return reference

    def cancel(self, messages, force):
        assert force


@pytest.fixture
def ray(monkeypatch):
    def stand_in(made):
        monkeypatch.setattr(
            importlib, "import_module", lambda name: made if name == "ray" else pytest.fail(name)
        )
        return made

    return stand_in


def run(path, **launch):
    with RecordFile(path) as records:
        Runner(SETUP, records, 2, **launch).run(TRIALS)
    return {r.trial: r for r in read_records(path)}


def test_same_results_as_processes_of_this_machine(ray, tmp_path):
    made = ray(FakeRay())
    with cluster(None, threads=3, device="cuda") as launch:
        there = run(tmp_path / "there.jsonl", launch=launch)
        assert made.up
    assert not made.up
    assert there == run(tmp_path / "here.jsonl")
    assert len(there) == 4
    # One task a job, each in a process that held no simulator before; the driver retries.
    assert [{trial.task for trial in trials} for trials, _ in made.calls] == [{0}, {1}]
    wanted = {"num_cpus": 3, "num_gpus": 1, "max_calls": 1, "max_retries": 0}
    assert wanted.items() <= made.options.items()


def test_a_node_that_dies_takes_one_episode_along(ray, tmp_path):
    ray(FakeRay(die_at=2))
    with cluster(None, 1, "cpu") as launch, RecordFile(tmp_path / "episodes.jsonl") as records:
        trials = plan_trials("kitchen", [0], 3, "own")
        Runner(SETUP, records, 1, launch=launch).run(trials)
        outcomes = [r.outcome for r in records.records]
    assert outcomes == ["success", "crashed", "success"]


def test_an_error_of_a_job_is_the_drivers(ray, tmp_path):
    ray(FakeRay())
    setup = dataclasses.replace(SETUP, make_policy=fakes.other_conventions_policy)
    with (
        cluster(None, 1, "cpu") as launch,
        RecordFile(tmp_path / "episodes.jsonl") as records,
        pytest.raises(RainError, match="conventions do not match"),
    ):
        Runner(setup, records, 2, launch=launch).run(TRIALS)


def test_no_cluster_and_no_ray(ray, monkeypatch):
    ray(FakeRay())
    with pytest.raises(RainError, match="no Ray cluster at nowhere"), cluster("nowhere", 1, "cpu"):
        pass

    def missing(name):
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(RainError, match=r"rain-robotics\[ray\]"), cluster(None, 1, "cpu"):
        pass
