"""A real arm's run on the page: what it says is shown, what is asked reaches its queue."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from dashboard_fakes import SIZE, Table, middle, wait_for
from robot_fakes import ROBOT, TASK, VIEWS, FakeArm, FakePolicy

from rain.dashboard.browser import Operating
from rain.dashboard.robot import POINTED, RobotSession
from rain.perception.classical import ClassicalSegmenter
from rain.perception.loop import RegionLoop
from rain.perception.prompts import Box, Mask
from rain.perception.segmenter import Frame
from rain.robot.calibration import StandingCamera
from rain.robot.client import RolloutClient
from rain.robot.controls import Controls
from rain.robot.events import EventLog
from rain.robot.moment import Moment
from rain.robot.ports import Reading
from rain.robot.regions import LocalRegions
from rain.robot.timing import SystemClock
from rain.types import (
    ActionChunk,
    Conventions,
    Plan,
    Prediction,
    Progress,
    RainError,
    Subtask,
    TaskScript,
)

SCRIPT = TaskScript(
    "milk into the basket", (Subtask("grasp", "milk_1"), Subtask("release", "basket_1"))
)
PREDICTION = Prediction(
    ActionChunk(np.zeros((16, 7))), Plan(np.linspace((0, 0, 0), (0, 0.5, 0), 8)),
    Progress(0.1, 0.2, 0.3),
)  # fmt: skip
CONVENTIONS = Conventions(("agentview",), SIZE, "omy_joints_gripper", "omy_joint_absolute", 30.0)


class Queue:
    def __init__(self) -> None:
        self.said: list[tuple[str, Any]] = []

    def put(self, name: str, argument: Any = None) -> None:
        if argument == "dance":
            raise RainError("that is not in the registry")
        self.said.append((name, argument))


@pytest.fixture
def queue() -> Queue:
    return Queue()


@pytest.fixture
def session(queue) -> RobotSession:
    return RobotSession("OMY-F3M", queue, ClassicalSegmenter, CONVENTIONS)


def moment(tick: int = 0, **changes: Any) -> Moment:
    image = Table().render("agentview", SIZE)
    region = Table().regions(["milk_1"], "agentview", SIZE)[0]
    said = {
        "tick": tick,
        "images": {"agentview": image},
        "regions": {"agentview": region.astype(np.float32)},
        "script": SCRIPT,
        "index": 0,
        "prediction": PREDICTION,
        "sent": np.full(7, 0.5),
        "answer_s": 0.012,
    }
    return Moment(**{**said, **changes})


def test_what_the_run_says_is_shown(session):
    session.show(moment(4))
    frame = session.board.frame
    assert frame.facts["latency"] == {"tick late": 0.0, "policy": 12.0}
    assert frame.facts["progress"] == {"completion": 0.1, "distance": 0.2, "alignment": 0.3}
    assert frame.facts["actions"] == {"until": 4, "values": [[0.5] * 7]}
    assert frame.views["agentview"].region.sum() == 16 * 16
    told = session.board.state()[1]
    assert (told["mode"], told["active"], told["target"]) == ("running", 0, "milk_1")
    assert told["axes"][-1] == "gripper"


@pytest.mark.parametrize(
    ("reasons", "mode", "wants"),
    [
        ({"e_stop": "an operator's", "pause": "…"}, "stopped", None),
        ({"pause": "an operator's pause"}, "paused", None),
        ({"hold": "…", "camera": "top: no image yet"}, "holding", "top: no image yet"),
        ({"finished": "the task is done"}, "finished", None),
        ({"region": "lost"}, "running", "lost"),
    ],
)
def test_why_the_arm_holds_is_told(session, reasons, mode, wants):
    session.show(moment(reasons=reasons))
    told = session.board.state()[1]
    assert (told["mode"], told["wants"]) == (mode, wants)


def test_commands_reach_the_run_s_queue(session, queue):
    with pytest.raises(RainError, match="has not begun"):
        session.do("pause", {})
    session.show(moment(index=1))
    for command in ("pause", "hold", "resume", "next", "previous", "release"):
        session.do(command, {})
    session.do("set", {"index": 0})
    session.do("instruct", {"text": "milk into the basket"})
    session.do("clear", {})
    with pytest.raises(RainError, match="not in the registry"):
        session.do("instruct", {"text": "dance"})
    with pytest.raises(RainError, match="unknown"):
        session.do("again", {})
    session.stop("a test's")
    assert queue.said == [
        ("pause", None), ("hold", None), ("resume", None), ("next", None), ("previous", None),
        ("release", None), ("set", 0), ("task", "milk into the basket"), ("set", 1),
        ("e_stop", None),
    ]  # fmt: skip


def test_a_click_is_shown_in_the_frame_that_was_seen_and_then_passed_on(session, queue):
    session.show(moment())
    x, y = middle("soup_1")
    later = np.roll(Table().render("agentview", SIZE), 2, axis=1)
    for tick in range(1, 40):
        session.show(moment(tick, images={"agentview": later}))
    session.do("point", {"frame": 1, "view": "agentview", "x": x, "y": y})
    assert queue.said == []
    pending = session.board.state()[1]["pending"]
    assert pending["frame"] == 1
    session.do("confirm", {})
    ((name, prompts),) = queue.said
    (mask,) = prompts.values()
    assert (name, list(prompts)) == ("click", ["agentview"])
    assert isinstance(mask, Mask)
    # The picture has moved since the click: the region is where the soup is by now.
    expected = np.roll(Table().regions(["soup_1"], "agentview", SIZE)[0], 2, axis=1)
    shared = (mask.region & expected).sum() / (mask.region | expected).sum()
    assert shared > 0.8
    assert session.board.state()[1]["pending"] is None
    with pytest.raises(RainError, match="nothing is pointed at"):
        session.do("confirm", {})
    for frame, view, why in ((99, "agentview", "no longer known"), (1, "top", "unknown")):
        with pytest.raises(RainError, match=why):
            session.do("point", {"frame": frame, "view": view, "x": x, "y": y})


def test_what_is_gone_when_it_is_confirmed_is_refused(session, queue):
    session.show(moment())
    x, y = middle("soup_1")
    session.do("point", {"frame": 1, "view": "agentview", "x": x, "y": y})
    session.show(moment(1, images={"agentview": np.full((SIZE, SIZE, 3), 70, np.uint8)}))
    with pytest.raises(RainError, match="no longer to be seen"):
        session.do("confirm", {})
    assert queue.said == []


def test_frames_may_be_shown_seldom_and_the_state_is_told_at_once(queue):
    session = RobotSession("OMY-F3M", queue, ClassicalSegmenter, CONVENTIONS, every=5)
    for tick in range(3, 16):
        session.show(moment(tick, reasons={"pause": "…"} if tick == 14 else {}))
        assert session.board.state()[1]["mode"] == ("paused" if tick == 14 else "running")
    assert session.board.frame.number == 4  # the first, 5, 10, 15
    assert len(session.board.frame.facts["actions"]["values"]) == 13


def test_waypoints_are_drawn_into_calibrated_cameras(queue):
    down = np.array([[0.0, -1, 0], [-1, 0, 0], [0, 0, -1]])
    camera = StandingCamera(np.array([0, 0, 1.0]), down, 90.0)
    session = RobotSession(
        "OMY-F3M", queue, ClassicalSegmenter, CONVENTIONS, cameras={"agentview": camera}
    )
    session.show(moment())
    plan = session.board.frame.views["agentview"].plan
    np.testing.assert_allclose(plan[[0, 7]], [[31.5, 31.5], [15.5, 31.5]])


def test_events_are_in_the_log(session):
    session.hear({"t": 1.0, "tick": 3, "event": "chunk", "dropped": 1})
    session.hear({"t": 1.0, "tick": 3, "event": "transition", "subtask": 1, "completion": 0.81234})
    session.hear({"t": 1.0, "tick": 4, "event": "hold", "reasons": {"region": "lost"}})
    assert [(line["text"], line["kind"]) for line in session.board.lines()] == [
        ("transition: subtask 1, completion 0.812", "note"),
        ("hold: reasons lost", "warning"),
    ]


class Squares(FakeArm):
    """A red square and a green one, and a light that never rests."""

    def read(self) -> Reading:
        said = super().read()
        image = np.full((SIZE, SIZE, 3), 90, np.uint8)
        image[8:20, 8:20], image[40:52, 40:52] = (200, 30, 20), (20, 180, 30)
        image[0, 0] = int(self.clock.now() * 1000) % 251
        return Reading(said.state, said.state_stamp, dict.fromkeys(VIEWS, image), said.stamps)


class Turning(FakePolicy):
    """Joint 1 turns one way for the red square, the other way for the green one."""

    def prediction(self, observation: Any) -> Any:
        self.step = 0.002 if any(r[14, 14] for r in observation.regions.values()) else -0.002
        return super().prediction(observation)


class Red:
    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Box]:
        return dict.fromkeys(("third", "top"), Box(8, 8, 20, 20))


def test_a_click_on_the_page_turns_the_running_arm_around(serve, open_page):
    clock = SystemClock()
    arm, policy, controls = Squares(clock), Turning(clock), Controls()
    policy.conventions = ROBOT.conventions(VIEWS, SIZE)
    session = RobotSession("the arm", controls, ClassicalSegmenter, policy.conventions)
    client = RolloutClient(
        ROBOT, arm, policy, LocalRegions(RegionLoop(ClassicalSegmenter(), Red())), TASK,
        clock=clock, controls=controls, shows=session.show,
        log=EventLog(hears=session.hear),
    )  # fmt: skip
    ended = threading.Event()
    run = threading.Thread(target=client.run, kwargs={"ended": ended.is_set}, daemon=True)
    run.start()
    try:
        address = serve(session)
        operating = Operating(open_page(address), address, 20)
        wait_for(lambda: turning(arm) > 0)
        operating.point("top", 46, 46, SIZE)
        operating.confirm()
        wait_for(lambda: turning(arm) < 0)
        wait_for(lambda: session.board.state()[1]["target"] == POINTED)
        assert client.task.index == 0
        operating.page.click("#stop")
        operating.wait_for_mode("stopped")
        wait_for(lambda: turning(arm) == 0)
    finally:
        ended.set()
        run.join(10)
    assert client.log.counts["retargeted"] == 1
    assert client.log.counts["crash"] == client.log.counts["show_failed"] == 0


def turning(arm: FakeArm) -> float:
    sent = arm.sent[-5:]
    return float(np.sign(sent[-1][0] - sent[0][0])) if len(sent) == 5 else 0.0
