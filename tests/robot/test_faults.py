"""What goes wrong around the loop: the arm holds, the reason is logged, it goes on afterwards."""

from __future__ import annotations

import json
import threading
import time

import numpy as np
import pytest
from robot_fakes import CONVENTIONS, PERIOD, FakeClock, Rig

from rain.robot.events import EventLog
from rain.robot.policy import ThreadedPolicy
from rain.robot.timing import JUMP_S, Pace
from rain.types import RainError


def moving(**more):
    rig = Rig(delay=0.05, **more)
    rig.seconds(2)
    assert rig.moves
    return rig


def held(rig, seconds=1.0):
    """Whether the arm stands still for so long, at its last target."""
    rig.seconds(seconds)
    sent = np.array(rig.arm.sent[-round(seconds * 30) // 2 :])
    return bool((sent == sent[-1]).all())


class TestPolicy:
    def test_killed_and_started_again(self):
        rig = moving()
        rig.policy.broken = "tcp://there: no answer within 5 s"
        rig.policy.waiting.clear()
        assert held(rig, 3.0)
        assert rig.client.figures.counts["starved"] > 20
        assert "no answer" in rig.events("ask_failed")[0]["error"]
        # Not at every tick: once in a while.
        assert len(rig.events("ask_failed")) <= 16
        rig.policy.broken = None
        rig.seconds(1)
        assert rig.moves
        assert rig.client.task.index == 0

    def test_an_answer_that_is_lost_is_asked_for_again(self):
        rig = moving()
        rig.policy.lose = True
        rig.seconds(0.5)
        asked = len(rig.policy.asked)
        rig.policy.lose = False
        rig.seconds(2)
        assert rig.events("policy_silent")[0]["seconds"] == 1.0
        assert len(rig.policy.asked) > asked
        assert rig.moves

    def test_an_answer_that_comes_after_it_was_given_up_is_dropped(self):
        rig = moving()
        rig.policy.delay = 1.5
        rig.seconds(3)
        rig.policy.delay = 0.05
        rig.seconds(3)
        late = {event["number"] for event in rig.events("answer_dropped")}
        assert late
        played = len(rig.events("chunk")) + len(late)
        assert played <= len(rig.policy.asked)
        assert rig.moves

    def test_answers_that_come_twice_count_once(self):
        rig = Rig(delay=0.05)
        rig.policy.twice = True
        rig.policy.completion = 0.9
        rig.tick(3)
        rig.policy.completion = 0.0
        rig.seconds(1)
        # A doubled look above the threshold is one look: the subtask stays.
        assert rig.client.task.index == 0
        assert len(rig.events("answer_dropped")) >= 3
        assert rig.moves

    def test_answers_out_of_order(self):
        rig = moving()
        asked = len(rig.policy.asked)
        old = rig.policy.prediction(rig.policy.asked[0])
        # An answer to the first question arrives again, before that to the present one.
        rig.policy.waiting.insert(0, (0.0, 1, old))
        before = rig.arm.sent[-1]
        rig.tick(3)
        assert rig.events("answer_dropped")[-1]["number"] == 1
        assert np.abs(rig.arm.sent[-1] - before).max() < 0.01
        rig.seconds(1)
        assert len(rig.policy.asked) > asked

    def test_nan_actions_are_refused_until_good_ones_come(self):
        rig = moving()
        rig.policy.nan = True
        assert held(rig, 2.0)
        assert np.isfinite(rig.arm.sent).all()
        refused = [e for e in rig.events("clamp") if e["what"] == "refused"]
        assert refused
        rig.policy.nan = False
        rig.seconds(1)
        assert rig.moves

    def test_a_pause_of_the_network_of_30_s(self):
        rig = moving()
        rig.policy.lose = True
        assert held(rig, 30.0)
        rig.policy.lose = False
        rig.seconds(2)
        assert rig.moves
        # It asks again after a second's silence, not 30 times a second.
        assert 15 <= len(rig.events("policy_silent")) <= 30

    def test_a_chunk_from_far_away_is_gone_to_at_most_as_fast_as_joints_may(self):
        rig = moving()
        rig.policy.step = 5.0
        rig.seconds(1)
        speeds = np.abs(np.diff(rig.arm.sent, axis=0)) / PERIOD
        assert speeds[:, 0].max() <= 2.2 + 1e-9
        assert {"step", "velocity"} <= {event["what"] for event in rig.events("clamp")}


class TestRobot:
    @pytest.mark.parametrize("how", ["frozen", "dead"])
    def test_a_camera_that_freezes_or_dies(self, how):
        rig = moving()
        getattr(rig.arm, how).add("top")
        assert held(rig, 3.0)
        (hold,) = [e for e in rig.events("hold") if "camera" in e["reasons"]]
        assert "top" in hold["reasons"]["camera"]
        assert hold["t"] - 102 < 1.2
        asked = len(rig.policy.asked)
        rig.seconds(1)
        assert len(rig.policy.asked) == asked
        getattr(rig.arm, how).clear()
        rig.seconds(1)
        assert rig.moves

    def test_a_state_that_is_no_longer_measured(self):
        rig = moving()
        rig.arm.dead.add("state")
        assert held(rig, 1.0)
        assert "state" in rig.client.reasons
        rig.arm.dead.clear()
        rig.seconds(1)
        assert rig.moves

    def test_a_state_of_nan(self):
        rig = moving()
        good, rig.arm.state = rig.arm.state, np.full(7, np.nan)
        rig.arm.send = lambda target: rig.arm.sent.append(target)
        assert held(rig, 1.0)
        assert np.isfinite(rig.arm.sent).all()
        rig.arm.state = good

    def test_a_port_that_raises(self):
        rig = moving()
        rig.arm.fails = True
        assert held(rig, 1.0)
        assert "the bus is off" in rig.events("robot_failed")[0]["error"]
        rig.arm.fails = False
        rig.seconds(1)
        assert rig.moves

    def test_before_the_robot_says_anything_nothing_is_sent(self):
        rig = Rig()
        rig.arm.fails = True
        rig.seconds(1)
        assert rig.arm.sent == []


class TestRegions:
    def test_regions_that_no_longer_come(self):
        rig = moving()
        rig.regions.silent = True
        assert held(rig, 1.5)
        assert "old" in rig.client.reasons["region"]
        rig.regions.silent = False
        rig.seconds(1)
        assert rig.moves

    def test_perception_pauses_the_arm(self):
        rig = moving()
        rig.regions.pause = "the target 'the potato' is lost"
        assert held(rig, 1.0)
        assert rig.client.reasons["region"] == "the target 'the potato' is lost"

    def test_a_tracker_that_raises(self):
        rig = moving()
        rig.regions.fails = True
        assert held(rig, 1.0)
        assert "no tracker" in rig.events("regions_failed")[0]["error"]


class TestEStop:
    @pytest.mark.parametrize("fault", ["none", "camera", "policy", "nan", "jump", "port", "crash"])
    def test_during_anything(self, fault):
        rig = moving()
        if fault == "camera":
            rig.arm.frozen.add("third")
        elif fault == "policy":
            rig.policy.broken = "gone"
        elif fault == "nan":
            rig.policy.nan = True
        elif fault == "crash":
            rig.client._watch = None
        rig.seconds(0.3)
        at = rig.arm.state.copy()
        if fault == "port":
            rig.arm.fails = True
        rig.client.controls.put("e_stop")
        rig.tick(jumped=50.0 if fault == "jump" else None)
        rig.seconds(2)
        if fault == "crash":
            # The watchdog itself is broken: the arm holds all the same.
            assert np.array_equal(rig.arm.sent[-1], rig.arm.sent[-50])
            return
        assert rig.client.safety.stopped
        sent = np.array(rig.arm.sent[-60:])
        assert (sent == sent[-1]).all()
        assert np.abs(sent[-1] - at).max() <= 0.0021


class TestClock:
    def test_forward(self):
        rig = moving()
        rig.clock.time += 60
        rig.tick(jumped=60.0)
        assert rig.events("clock_jumped")[0]["seconds"] == 60.0
        rig.seconds(1)
        assert rig.moves
        assert (np.abs(np.diff(rig.arm.sent, axis=0)) < 0.01).all()

    def test_backward(self):
        rig = moving()
        rig.clock.time -= 60
        rig.tick(jumped=-60.0)
        rig.seconds(2)
        assert rig.moves
        assert (np.abs(np.diff(rig.arm.sent, axis=0)) < 0.01).all()

    @pytest.mark.parametrize("jump", [60.0, -60.0])
    def test_the_pace_finds_jumps_and_goes_on_evenly(self, jump):
        clock = FakeClock()
        pace = Pace(30, clock)
        first = [pace.wait() for _ in range(3)]
        clock.time += jump
        beat = pace.wait()
        assert beat.jumped == pytest.approx(jump, abs=0.1)
        assert abs(beat.jumped) > JUMP_S
        after = [pace.wait() for _ in range(3)]
        assert [b.tick for b in [*first, beat, *after]] == list(range(7))
        np.testing.assert_allclose(np.diff([beat.now, *(b.now for b in after)]), 1 / 30)


class TestBugs:
    def test_a_bug_holds_the_arm_until_someone_resumes(self):
        rig = moving()
        judge, rig.client._judge = rig.client._judge, None
        rig.tick()
        rig.client._judge = judge
        assert held(rig, 1.0)
        (crash,) = rig.events("crash")
        assert "NoneType" in crash["error"]
        assert "_step" in crash["traceback"]
        rig.client.controls.put("resume")
        rig.seconds(1)
        assert rig.moves

    def test_ctrl_c_ends_in_a_hold(self):
        rig = moving()

        def pressed():
            raise KeyboardInterrupt

        rig.policy.poll = pressed
        with pytest.raises(KeyboardInterrupt):
            rig.client.run(seconds=1)
        np.testing.assert_array_equal(rig.arm.sent[-1], rig.arm.sent[-2])


class TestLog:
    def test_events_are_lines_of_json_whatever_they_hold(self, tmp_path):
        log = EventLog(tmp_path / "run" / "events.jsonl")
        log.add("clamp", 1.0, 2, wanted=(float("nan"), 1.0), who={"é": None})
        log.add("bad", 1.0, 2, what=object())
        log.add("end", 2.0, 3)
        log.close()
        lines = [
            json.loads(x) for x in (tmp_path / "run" / "events.jsonl").read_text().split("\n")[:-1]
        ]
        assert [line["event"] for line in lines] == ["clamp", "end"]
        assert lines[0]["wanted"] == ["nan", 1.0]
        assert log.lost == 1

    def test_a_full_disk_stops_nothing(self):
        full = EventLog()
        full._file = open("/dev/full", "w", buffering=1)  # noqa: SIM115
        rig = moving()
        rig.client.log = full
        rig.seconds(1)
        assert rig.moves
        assert full.lost > 0
        assert full.counts["chunk"] > 0

    def test_a_folder_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(RainError, match="file"):
            EventLog(tmp_path / "file" / "events.jsonl")


class Blocking:
    """A policy that thinks until it may go on."""

    conventions = CONVENTIONS

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.seen = []

    def predict(self, observation):
        self.go.acquire()
        self.seen.append(observation)
        if observation == "bad":
            raise RainError("the server is away")
        return f"answer to {observation}"


class TestThreadedPolicy:
    def wait_for(self, threaded, count=1):
        found = []
        end = time.monotonic() + 10
        while len(found) < count and time.monotonic() < end:
            found += threaded.poll()
            time.sleep(0.002)
        return found

    def test_asking_does_not_wait(self):
        policy = Blocking()
        threaded = ThreadedPolicy(policy)
        number = threaded.ask("one")
        assert threaded.poll() == []
        policy.go.release()
        assert self.wait_for(threaded) == [(number, "answer to one")]
        threaded.close()

    def test_a_newer_question_takes_the_place_of_one_that_waits(self):
        policy = Blocking()
        threaded = ThreadedPolicy(policy)
        first = threaded.ask("one")
        while not threaded._questions.empty():
            time.sleep(0.001)
        threaded.ask("two")
        third = threaded.ask("three")
        policy.go.release(2)
        assert [number for number, _ in self.wait_for(threaded, 2)] == [first, third]
        assert policy.seen == ["one", "three"]
        threaded.close()

    def test_a_failure_is_told_once_and_the_thread_goes_on(self):
        policy = Blocking()
        threaded = ThreadedPolicy(policy)
        threaded.ask("bad")
        policy.go.release(2)
        with pytest.raises(RainError, match="the policy failed: the server is away"):
            self.wait_for(threaded)
        number = threaded.ask("good")
        assert self.wait_for(threaded) == [(number, "answer to good")]
        threaded.close()
