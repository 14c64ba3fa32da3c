"""Real worker processes around a fake world."""

from __future__ import annotations

import dataclasses
import json

import bench_fakes as fakes
import pytest

from rain.bench.episode import RolloutConfig
from rain.bench.records import RecordFile, Trial, read_records
from rain.bench.runner import Runner, split_jobs
from rain.bench.trials import plan_trials
from rain.bench.worker import Setup, run_trials
from rain.types import ConventionError, RainError

SETUP = Setup(
    make_policy=fakes.fake_policy,
    make_world=fakes.fake_world,
    rollout=RolloutConfig(horizon=20),
    settings={"weights": "abc"},
)
TRIALS = plan_trials("libero_object", [0, 1], 2, "own")


def run(path, setup=SETUP, trials=TRIALS, workers=2, on_record=lambda record: None):
    with RecordFile(path) as records:
        Runner(setup, records, workers, on_record).run(trials)
    return read_records(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "episodes.jsonl"


def by_trial(records):
    return {(r.trial.task, r.trial.episode): r for r in records}


def test_workers_record_every_trial_once(path):
    records = run(path)
    assert sorted(by_trial(records)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert len(records) == 4
    assert {r.outcome for r in records} == {"success"}
    assert {r.init_state for r in records} == {0, 1}


def test_interrupted_run_goes_on_where_it_stopped(path):
    def interrupt(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, workers=1, on_record=interrupt)
    kept = path.read_bytes()
    assert len(read_records(path)) == 1
    told = []
    records = run(path, workers=1, on_record=told.append)
    assert path.read_bytes().startswith(kept)
    assert len(records) == len(by_trial(records)) == 4
    assert len(told) == 3


def test_other_settings_run_again(path):
    trials = TRIALS[:1]
    run(path, trials=trials)
    other = dataclasses.replace(SETUP, settings={"weights": "def"})
    assert len(run(path, other, trials)) == 2
    assert len(run(path, other, trials)) == 2


@pytest.mark.parametrize("die", [False, True])
def test_a_crash_is_not_a_failure_and_the_rest_goes_on(path, die):
    setup = dataclasses.replace(SETUP, make_world=fakes.crashing_world(die))
    trials = plan_trials("libero_object", [0], 3, "own")
    records = by_trial(run(path, setup, trials, workers=1))
    assert [records[0, e].outcome for e in range(3)] == ["success", "crashed", "success"]
    crashed = records[0, 1]
    assert ("exit code 7" if die else "the simulator is unstable") in crashed.error
    assert crashed.init_state == 1
    assert "success" not in json.loads(path.read_text().splitlines()[1])


def test_a_crashed_episode_runs_again_on_resume(path, tmp_path):
    setup = dataclasses.replace(
        SETUP, make_world=fakes.crashing_world(False, tmp_path / "crashed_once")
    )
    trials = plan_trials("libero_object", [0], 2, "own")
    assert [r.outcome for r in run(path, setup, trials)].count("crashed") == 1
    records = run(path, setup, trials)
    assert len(records) == 3
    assert by_trial(records)[0, 1].outcome == "success"


@pytest.mark.parametrize(
    ("changes", "trials", "message"),
    [
        ({}, [Trial("s", 99, 0)], "there is no task 99"),
        ({"make_policy": fakes.other_conventions_policy}, TRIALS, "conventions do not match"),
        ({"make_world": fakes.dead_world}, TRIALS[:1], "a worker died"),
    ],
)
def test_what_cannot_run_at_all_is_an_error_and_leaves_nothing(path, changes, trials, message):
    with pytest.raises(RainError, match=message) as caught:
        run(path, dataclasses.replace(SETUP, **changes), trials)
    assert "\n" not in str(caught.value)
    assert not path.exists()


def test_jobs():
    trials = plan_trials("s", [0, 1, 2], 4, "own")
    assert [{t.task for t in job} for job in split_jobs(trials, 2)] == [{0}, {1}, {2}]
    jobs = split_jobs(plan_trials("s", [5], 5, "own"), 2)
    assert sorted(t.episode for job in jobs for t in job) == list(range(5))
    assert len(jobs) == 2
    assert split_jobs([], 2) == []


def test_workers_are_at_least_one(path):
    with pytest.raises(RainError, match="workers"):
        run(path, workers=0)


class TestInProcess:
    def collect(self, setup, trials):
        return [found for kind, found in run_trials(trials, setup) if kind == "record"]

    def test_film_of_the_first(self, tmp_path):
        setup = dataclasses.replace(SETUP, film="first", folder=tmp_path)
        first, second = self.collect(setup, TRIALS[:2])
        assert (tmp_path / first.video).stat().st_size > 0
        assert second.video is None

    def test_region_following_points_at_others(self):
        trials = plan_trials("libero_object", [0], 3, "another")
        records = self.collect(SETUP, trials)
        assert sorted(r.marked for r in records) == ["butter_1", "ketchup_1", "soup_1"]
        assert all(r.outcome == "success" for r in records)
        assert all(r.result.grasps[0].object == r.marked for r in records)

    def test_own_success_does_not_count_when_another_is_marked(self):
        # A policy that ignores the region: it grasps the milk whatever is marked.
        def stubborn(suite, task, image_size, views):
            return fakes.FakeWorld(success_after=10, grasps=lambda marked: "milk_1")

        setup = dataclasses.replace(SETUP, make_world=stubborn)
        records = self.collect(setup, plan_trials("libero_object", [0], 3, "another"))
        assert [r.outcome for r in records] == ["horizon"] * 3
        assert all(r.result.grasps[0].object == "milk_1" for r in records)

    def test_conventions_are_compared_before_the_first_episode(self):
        setup = dataclasses.replace(SETUP, make_policy=fakes.other_conventions_policy)
        with pytest.raises(ConventionError, match="the policy has"):
            self.collect(setup, TRIALS[:1])
