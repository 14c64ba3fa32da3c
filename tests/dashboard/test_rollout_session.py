"""A rollout under an operator's eyes, without a page: every command, and what it leaves alone."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from bench_fakes import FakePolicies, FakePolicy, FakeWorlds, script
from dashboard_fakes import Playing, Table, middle, quick, wait_for
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.episode import RolloutConfig
from rain.bench.records import read_records
from rain.bench.rollouts import rollout
from rain.dashboard.episodes import Begun, launch_here, run_episodes
from rain.dashboard.rollout_session import RolloutOptions, RolloutSession
from rain.types import RainError, Subtask


def state(session: RolloutSession) -> dict:
    return session.board.state()[1]


def click(session: RolloutSession, target: str, view: str = "agentview") -> dict:
    assert session.board.frame is not None
    x, y = middle(target)
    return session.do("point", {"frame": session.board.frame.number, "view": view, "x": x, "y": y})


@pytest.fixture
def session() -> RolloutSession:
    return quick(paused=True)


def test_what_is_shown(session):
    with Playing(session, completions=(0.25,)):
        frame = session.board.frame
        assert list(frame.views) == ["agentview", "wrist"]
        view = frame.views["agentview"]
        assert view.image.shape == (64, 64, 3)
        assert view.region[16, 16]
        assert not view.region[16, 48]
        told = state(session)
        assert told["subtasks"] == [["grasp", "milk_1"], ["release", "basket_1"]]
        assert (told["mode"], told["active"], told["pointed"]) == ("paused", 0, False)
        assert told["axes"][0] == "x"
        session.do("resume", {})
        wait_for(lambda: session.board.frame.facts["step"] > 5)
        facts = session.board.frame.facts
        assert facts["progress"] == {"completion": 0.25, "distance": 0.5, "alignment": 0.25}
        assert set(facts["latency"]) == {"policy", "camera"}
        assert session.board.frame.views["agentview"].plan.shape == (8, 2)
        actions = facts["actions"]
        assert actions["until"] == facts["step"]
        assert len(actions["values"]) == min(facts["step"], 40)
        assert all(len(action) == 7 for action in actions["values"])


def test_a_click_is_shown_first_and_then_acted_on_at_once(session):
    with Playing(session) as playing:
        assert click(session, "soup_1") == {"target": "soup_1", "frame": 1}
        pending = state(session)["pending"]
        assert set(pending["regions"]) == {"agentview", "wrist"}
        assert not state(session)["pointed"]
        assert session.do("confirm", {}) == {"target": "soup_1"}
        told = state(session)
        assert (told["pending"], told["target"], told["pointed"]) == (None, "soup_1", True)
        assert session.board.frame.views["agentview"].region[16, 48]
        session.do("resume", {})
        wait_for(lambda: len(playing.world.actions) > 3)
        session.do("end", {})
    assert playing.world.looks[0] == (0, Subtask("grasp", "soup_1"))
    assert playing.result.interventions[0].what == "grasp soup_1"
    assert playing.result.outcome == "stopped"


def test_pointing_and_cancelling_changes_nothing(session):
    with Playing(session, steps=30) as playing:
        click(session, "soup_1")
        session.do("cancel", {})
        with pytest.raises(RainError, match="nothing is pointed at"):
            session.do("confirm", {})
        session.do("resume", {})
        wait_for(lambda: playing.result)
    plain = rollout(Table(), FakePolicy(), script(), RolloutConfig(horizon=30))
    assert playing.result.actions_sha256 == plain.actions_sha256
    assert playing.result.interventions == ()


def test_the_frame_that_was_clicked_counts():
    session, world = quick(), Table()
    world.shift_at = 1
    with Playing(session, world=world):
        wait_for(lambda: len(world.actions) > 2)
        x, y = middle("butter_1")
        point = {"view": "wrist", "x": x, "y": y}
        session.do("pause", {})
        assert session.do("point", {"frame": 1, **point})["target"] == "butter_1"
        latest = session.board.frame.number
        assert session.do("point", {"frame": latest, **point})["target"] == "soup_1"
        with pytest.raises(RainError, match="frame 999 is no longer known"):
            session.do("point", {"frame": 999, **point})


def test_a_box_and_back_to_the_script(session):
    with Playing(session):
        frame = session.board.frame.number
        box = {"left": 6, "top": 38, "right": 26, "bottom": 58}
        session.do("box", {"frame": frame, "view": "agentview", **box})
        session.do("confirm", {})
        assert state(session)["target"] == "butter_1"
        session.do("clear", {})
        assert (state(session)["target"], state(session)["pointed"]) == ("milk_1", False)


def test_bad_pointing_says_why(session):
    with Playing(session):
        frame = session.board.frame.number
        for arguments, why in (
            ({"view": "top", "x": 1, "y": 1}, "view 'top' is unknown"),
            ({"view": "wrist", "x": 1, "y": 1}, "nothing that can be grasped"),
            ({"view": "wrist", "x": 400, "y": 1}, "outside the image"),
            ({"view": "wrist", "x": "left", "y": 1}, "x: expected a number"),
            ({"view": "wrist"}, "x: expected a number"),
        ):
            with pytest.raises(RainError, match=why):
                session.do("point", {"frame": frame, **arguments})
        with pytest.raises(RainError, match="left < right"):
            session.do("box", {"frame": frame, "view": "wrist", "left": 9, "top": 1, "right": 2,
                               "bottom": 4})  # fmt: skip
        assert state(session)["pending"] is None


def test_subtasks_are_chosen_by_hand(session):
    with Playing(session):
        session.do("next", {})
        assert state(session)["active"] == 1
        with pytest.raises(RainError, match="no subtask 3"):
            session.do("next", {})
        session.do("previous", {})
        session.do("set", {"index": 1})
        assert state(session)["active"] == 1
        with pytest.raises(RainError, match="whole number"):
            session.do("set", {"index": 0.5})
        click(session, "soup_1")  # the basket's quarter is not hit: a thing is
        session.do("previous", {})
        assert state(session)["pending"] is None  # it was pointed at for another subtask


def test_pause_stands_still_hold_goes_on_without_the_policy(session):
    with Playing(session) as playing:
        session.do("resume", {})
        wait_for(lambda: len(playing.world.actions) > 5)
        session.do("pause", {})
        count = len(playing.world.actions)
        time.sleep(0.05)
        assert len(playing.world.actions) == count
        session.do("hold", {})
        looks = len(playing.world.looks)
        wait_for(lambda: len(playing.world.actions) > count + 20)
        assert len(playing.world.looks) == looks
        assert (playing.world.actions[-1][:6] == 0).all()
        session.do("resume", {})
        wait_for(lambda: len(playing.world.looks) > looks)


def test_an_instruction_is_done_if_it_is_known(session):
    with Playing(session):
        known = session.do("instructions", {})["instructions"]
        assert "pick up soup_1 and place it in the basket" in known
        session.do("instruct", {"text": "pick up soup_1 and place it in the basket"})
        assert state(session)["subtasks"][0] == ["grasp", "soup_1"]
        with pytest.raises(RainError):
            session.do("instruct", {"text": "dance"})
        assert state(session)["subtasks"][0] == ["grasp", "soup_1"]


def test_the_stop_holds_until_it_is_released(session):
    with Playing(session) as playing:
        session.do("resume", {})
        wait_for(lambda: len(playing.world.actions) > 5)
        session.stop("a test's")
        assert state(session)["mode"] == "stopped"
        time.sleep(0.02)  # the step at work ends
        count = len(playing.world.actions)
        for command in ("resume", "hold", "again"):
            with pytest.raises(RainError, match="release it first"):
                session.do(command, {})
        time.sleep(0.05)
        assert len(playing.world.actions) == count
        session.do("release", {})
        assert state(session)["mode"] == "paused"
        with pytest.raises(RainError, match="no emergency stop"):
            session.do("release", {})
        session.do("resume", {})
        wait_for(lambda: len(playing.world.actions) > count)


def test_a_stop_is_heard_while_the_pace_is_kept_and_the_queue_is_full():
    session, world = RolloutSession("slow", RolloutOptions(64, 1, 0.02)), Table()
    with Playing(session, world=world), ThreadPoolExecutor(20) as others:
        for _ in range(20):  # a step takes 2.5 s at this pace: nobody answers meanwhile
            others.submit(session.do, "cancel", {})
        wait_for(lambda: session._commands._queue.full())
        began = time.monotonic()
        session.stop("a test's")
        wait_for(lambda: not session._commands.waiting, 1.0)  # awake, and standing
        assert time.monotonic() - began < 1.0
        assert world.actions == []


def test_it_pauses_where_it_is_asked_to():
    session = quick(pause_at=1)
    with Playing(session, completions=(0.9, 0.9, 0.0)) as playing:
        wait_for(lambda: state(session)["mode"] == "paused")
        assert state(session)["active"] == 1
        assert len(playing.world.actions) == 2
        session.do("resume", {})
        wait_for(lambda: len(playing.world.actions) > 9)
        assert state(session)["mode"] == "running"


def test_episodes_are_begun_from_the_page():
    session, world = quick(), Table()
    how = Begun("fresh", RolloutConfig(horizon=5))
    with ThreadPoolExecutor(1) as others:
        running = others.submit(run_episodes, session, world, FakePolicies(), how, 3)
        wait_for(lambda: state(session)["mode"] == "finished")
        assert state(session)["result"] == "no success"
        with pytest.raises(RainError, match="no episode is running"):
            session.do("pause", {})
        session.stop("between two episodes")
        with pytest.raises(RainError, match="release it first"):
            session.do("again", {"episode": 8})
        session.do("release", {})
        session.do("again", {"episode": 8})
        wait_for(lambda: world.resets[-1] == (None, 8))
        with pytest.raises(RainError, match="0 or more"):
            session.do("again", {"episode": -1})
        session.close()
        running.result(10)
    assert world.resets == [(None, 3), (None, 8)]


class Tables(FakeWorlds):
    def __call__(self, suite, task, image_size, views) -> Table:
        return Table(success_after=10)


def test_a_run_on_the_page_is_recorded_and_counts_for_no_other(tmp_path: Path):
    session = RolloutSession("run", RolloutOptions(64, 1, 0.0), planned=True)
    assert "again" not in session.about["commands"]
    plain = Campaign(FakePolicies(), Tables(), "kitchen", "0", 2, tmp_path,
                     rollout=RolloutConfig(horizon=12))  # fmt: skip
    steered = Campaign(FakePolicies(), Tables(), "kitchen", "0", 2, tmp_path,
                       rollout=RolloutConfig(horizon=12), operator=session,
                       launch=launch_here(session))  # fmt: skip
    assert run_campaign(steered, Console(quiet=True)) == 0
    records = read_records(tmp_path / "episodes.jsonl")
    assert [r.settings["operator"] for r in records] == [True, True]
    assert all(r.result is not None and r.result.success for r in records)
    assert "operator" not in plain.settings()
    session.close()


def test_options_are_checked():
    for wrong in ({"every": 0}, {"pixels": 8}, {"speed": -1.0}, {"speed": float("nan")}):
        with pytest.raises(RainError):
            RolloutOptions(**wrong)
