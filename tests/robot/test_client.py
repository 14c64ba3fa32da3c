"""The control loop with fakes around it: chunks, tasks, commands, with no waiting."""

from __future__ import annotations

import json

import numpy as np
import pytest
from robot_fakes import CONVENTIONS, PERIOD, ROBOT, START, TASK, FakeClock, FakePolicy, Rig

from rain.perception.reasoner.protocols import PhrasedScript
from rain.robot.chunks import PlayOptions
from rain.robot.client import RolloutClient
from rain.robot.events import EventLog
from rain.robot.figures import write_figures
from rain.robot.timing import Pace
from rain.types import ConventionError, RainError, Subtask, TaskScript


class TestPlaying:
    def test_the_arm_goes_where_the_chunks_say(self):
        rig = Rig()
        rig.seconds(3)
        sent = np.array(rig.arm.sent)
        # The first question is answered in the next tick; then 0.002 rad a tick, once it is warm.
        moved = np.diff(sent[:, 0])
        np.testing.assert_allclose(moved[5:], 0.002, atol=1e-6)
        np.testing.assert_allclose(sent[:, 1:], START[1:][None] * np.ones((90, 1)), atol=1e-6)

    def test_one_question_every_ten_ticks(self):
        rig = Rig(delay=0.1)
        rig.seconds(10)
        assert len(rig.policy.asked) == pytest.approx(30, abs=2)
        assert rig.client.figures.counts["starved"] == 0

    def test_the_network_works_while_the_arm_moves(self):
        rig = Rig(delay=0.15)
        rig.seconds(5)
        counts = rig.client.figures.counts
        assert counts["starved"] == 0
        assert counts["waited"] <= 6
        assert counts["played"] >= 144
        assert {event["dropped"] for event in rig.events("chunk")[1:]} == {5}

    def test_answers_slower_than_the_chunk_starve_ticks_which_hold(self):
        rig = Rig(delay=0.6)
        rig.seconds(5)
        assert rig.client.figures.counts["starved"] > 10
        assert rig.client.reasons == {}
        before = rig.arm.sent[-1]
        while rig.client.figures.counts["starved"] < 40:
            starved = rig.client.figures.counts["starved"]
            rig.tick()
            if rig.client.figures.counts["starved"] > starved:
                np.testing.assert_array_equal(rig.arm.sent[-1], before)
            before = rig.arm.sent[-1]

    @pytest.mark.parametrize("seam", ["cut", "blend", "rtc"])
    def test_seams(self, seam):
        rig = Rig(delay=0.1, play=PlayOptions(seam=seam))
        rig.seconds(3)
        assert rig.moves
        assert rig.client.figures.counts["starved"] == 0

    def test_observations_are_in_the_policys_conventions(self):
        rig = Rig()
        rig.tick()
        observation = rig.policy.asked[0]
        assert tuple(observation.images) == CONVENTIONS.views
        # The wrist has no region, as in the paper.
        assert set(observation.regions) == {"third", "top"}
        assert observation.action_type == "grasp"

    def test_a_policy_of_another_arm_is_refused(self):
        rig = Rig()
        policy = FakePolicy(rig.clock)
        policy.conventions = type(CONVENTIONS)(("third",), 8, "libero", "libero_osc", 20.0)
        with pytest.raises(ConventionError, match="the policy has 'libero', omy_f3m has"):
            RolloutClient(ROBOT, rig.arm, policy, rig.regions, TASK)


class TestTasks:
    def test_two_looks_above_the_threshold_go_on_to_the_next_subtask(self):
        rig = Rig()
        rig.tick(5)
        rig.policy.completion = 0.71
        rig.tick(25)
        # The second look comes right after the first.
        (event,) = rig.events("transition")
        assert (event["subtask"], event["phrase"]) == (1, "the plate")
        assert rig.regions.targets == ["potato", "plate"]

    def test_looks_that_are_not_in_a_row_or_not_above_it_do_not(self):
        rig = Rig()
        rig.policy.completions = [0.9, 0.1, 0.9, 0.7, 0.7, 0.7, 0.9, 0.2]
        rig.seconds(4)
        assert rig.policy.completions == []
        assert rig.client.task.index == 0
        assert rig.events("transition") == []

    def test_the_run_ends_a_second_after_the_last_subtask(self):
        rig = Rig()
        rig.policy.completion = 0.9
        figures = rig.client.run(seconds=60)
        (finished,) = rig.events("finished")
        assert rig.client.task.finished
        assert rig.client.log.events[-1]["event"] == "end"
        assert figures.counts["ticks"] / 30 == pytest.approx(finished["t"] - 100 + 1.0, abs=0.1)

    def test_an_operator_goes_back_and_forth(self):
        rig = Rig(automatic=False)
        rig.policy.completion = 0.99
        rig.tick(30)
        assert rig.client.task.index == 0
        for command, index in (("next", 1), ("previous", 0)):
            rig.client.controls.put(command)
            rig.tick(3)
            assert rig.client.task.index == index
        rig.client.controls.put("set", 1)
        rig.tick(3)
        assert rig.regions.targets == ["potato", "plate", "potato", "plate"]
        assert rig.policy.asked[-1].action_type == "release"

    def test_a_subtask_that_is_not_there_is_refused_and_nothing_changes(self):
        rig = Rig()
        rig.tick(20)
        rig.client.controls.put("previous")
        rig.client.controls.put("set", 7)
        rig.tick(2)
        assert [e["command"] for e in rig.events("command_refused")] == ["previous", "set"]
        assert rig.moves
        assert rig.regions.targets == ["potato"]

    def test_another_task_of_the_registry(self):
        rig = Rig()
        rig.client._registry = Registry()
        rig.tick(10)
        rig.client.controls.put("task", "clear the table")
        rig.client.controls.put("task", "fly")
        rig.tick(2)
        assert rig.regions.targets == ["potato", "lemon"]
        assert "fly" in rig.events("command_refused")[0]["error"]

    def test_a_click_retargets_and_nothing_of_the_last_target_is_played(self):
        rig = Rig(delay=0.1)
        rig.seconds(1)
        assert rig.moves
        rig.policy.completion = 0.9  # one look says complete, of the last target
        while not rig.client.task.confirming:
            rig.tick()
        rig.policy.completion = 0.0
        rig.regions.silent = True
        rig.client.controls.put("click", {"top": (3, 4)})
        asked = len(rig.policy.asked)
        rig.seconds(0.3)
        assert rig.regions.pointed == [{"top": (3, 4)}]
        assert not rig.moves
        assert "region" in rig.client.reasons, "it waits for the region of what was pointed at"
        assert len(rig.policy.asked) == asked
        rig.regions.silent = False
        rig.seconds(0.5)
        assert rig.moves
        assert (rig.client.task.index, rig.client.task.confirming) == (0, False)
        assert rig.regions.targets == ["potato"], "nothing is grounded again"
        assert rig.events("retargeted")[0]["views"] == ["top"]

    def test_a_click_that_hits_nothing_changes_nothing(self):
        rig = Rig()
        rig.seconds(1)
        rig.regions.point = lambda prompts: (_ for _ in ()).throw(RainError("nothing lies there"))
        rig.client.controls.put("click", {"top": (3, 4)})
        rig.seconds(0.5)
        assert rig.moves
        assert rig.events("command_refused")[0]["error"] == "nothing lies there"


class TestOnlookers:
    def test_every_tick_is_told(self):
        told = []
        rig = Rig(shows=told.append)
        rig.tick(40)
        assert [moment.tick for moment in told] == list(range(40))
        last = told[-1]
        assert set(last.images) == {"third", "top", "wrist"}
        assert set(last.regions) == {"third", "top"}
        np.testing.assert_array_equal(last.sent, rig.arm.sent[-1])
        assert (last.index, last.reasons, last.pointed) == (0, {}, False)
        assert last.answer_s == pytest.approx(PERIOD)
        rig.client.controls.put("click", {"top": (3, 4)})
        rig.client.controls.put("e_stop")
        rig.tick()
        assert told[-1].pointed
        assert told[-1].reasons["e_stop"] == "an operator's"
        rig.client.controls.put("next")
        rig.tick()
        assert (told[-1].index, told[-1].pointed) == (1, False)

    def test_one_that_fails_disturbs_nobody(self):
        rig = Rig(shows=lambda moment: 1 / 0)
        rig.seconds(1)
        assert rig.moves
        assert rig.client.reasons == {}
        assert "ZeroDivisionError" in rig.events("show_failed")[0]["error"]
        log = EventLog(hears=lambda event: 1 / 0)
        log.add("chunk", 0.0, 1)
        assert (log.lost, len(log.events)) == (1, 1)


class Registry:
    def decompose(self, instruction, images):
        if instruction == "fly":
            raise RainError("there is no task fly")
        return PhrasedScript(TaskScript(instruction, (Subtask("grasp", "lemon"),)), ("the lemon",))


class TestCommands:
    def test_pause_asks_nothing_and_resume_goes_on(self):
        rig = Rig()
        rig.tick(10)
        rig.client.controls.put("pause")
        rig.tick(2)
        asked = len(rig.policy.asked)
        rig.seconds(2)
        assert len(rig.policy.asked) == asked
        assert not rig.moves
        rig.client.controls.put("resume")
        rig.tick(5)
        assert len(rig.policy.asked) > asked
        assert rig.moves

    def test_hold_goes_on_asking_and_leaves_no_subtask(self):
        rig = Rig()
        rig.tick(10)
        rig.client.controls.put("hold")
        rig.policy.completion = 0.99
        asked = len(rig.policy.asked)
        rig.seconds(2)
        # As often as if chunks played: every ten ticks.
        assert len(rig.policy.asked) - asked == pytest.approx(6, abs=1)
        assert not rig.moves
        assert rig.client.task.index == 0
        assert rig.client.latest.progress.completion == pytest.approx(0.99)

    def test_e_stop_latches_and_only_release_and_resume_end_it(self):
        rig = Rig()
        rig.tick(10)
        rig.client.controls.put("resume")
        rig.client.controls.put("e_stop")
        rig.client.controls.put("resume")
        rig.tick()
        where = rig.arm.sent[-1]
        rig.client.controls.put("resume")
        rig.client.controls.put("next")
        rig.seconds(1)
        np.testing.assert_array_equal(rig.arm.sent[-1], where)
        rig.client.controls.put("release")
        rig.seconds(1)
        np.testing.assert_array_equal(rig.arm.sent[-1], where)
        rig.client.controls.put("resume")
        rig.tick(5)
        assert rig.moves

    def test_lines_of_a_keyboard(self):
        rig = Rig()
        for line in ("pause", "set 1", "", "task fetch the lemon"):
            rig.client.controls.say(line)
        said = [(c.name, c.argument) for c in rig.client.controls.take()]
        assert said == [
            ("pause", None),
            ("set", 1),
            ("task", "fetch the lemon"),
            ("e_stop", None),
        ]
        for line in ("jump", "set", "set one", "pause now", "click 3 4"):
            with pytest.raises(RainError):
                rig.client.controls.say(line)


class TestFigures:
    def test_written_at_the_end(self, tmp_path):
        pytest.importorskip("matplotlib")
        rig = Rig(delay=0.1)
        rig.client.run(seconds=5)
        paths = write_figures(rig.client.figures, rig.client.log, tmp_path / "run")
        assert [path.name for path in paths] == ["figures.json", "figures.png"]
        told = json.loads(paths[0].read_text())
        assert told["ticks"] == pytest.approx(151, abs=1)
        assert told["ticks"] == told["played"] + told["starved"] + told["waited"] + told["held"]
        # Asked and answered on ticks: four periods cover 100 ms, but for rounding three do.
        assert 100 <= told["answers"]["p50_ms"] <= 134
        assert told["late"]["max_ms"] == 0
        assert told["period"]["p50_ms"] == pytest.approx(1000 / 30, abs=0.01)

    def test_late_ticks_are_counted_and_missed_ones_never_made_up_for(self):
        clock = FakeClock()
        pace = Pace(30, clock)
        first = pace.wait()
        clock.oversleeps.append(0.010)
        late = pace.wait()
        clock.time += 0.110
        skipped = pace.wait()
        after = pace.wait()
        assert (first.tick, first.late) == (0, 0)
        assert (late.tick, late.late) == (1, pytest.approx(0.010))
        # 43.3 ms + 110 ms after the begin is in tick 4's period.
        assert (skipped.tick, skipped.skipped) == (4, 2)
        assert skipped.late == pytest.approx(100 + 43.3333e-3 + 0.110 - (100 + 4 / 30), abs=1e-4)
        assert (after.tick, after.now) == (5, pytest.approx(100 + 5 / 30))
