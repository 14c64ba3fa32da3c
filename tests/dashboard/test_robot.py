"""A real arm's run on the page: what it says is shown, what is asked reaches its queue."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from dashboard_fakes import SIZE, Table, middle

from rain.dashboard.robot import RobotMoment, RobotSession
from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Mask
from rain.types import Conventions, Progress, RainError, Subtask

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


def moment(step: int = 0, **changes: Any) -> RobotMoment:
    image = Table().render("agentview", SIZE)
    region = Table().regions(["milk_1"], "agentview", SIZE)[0]
    said = {
        "step": step,
        "images": {"agentview": image},
        "regions": {"agentview": region.astype(np.float32)},
        "instruction": "milk into the basket",
        "subtasks": (Subtask("grasp", "milk_1"), Subtask("release", "basket_1")),
        "index": 0,
        "progress": Progress(0.1, 0.2, 0.3),
        "action": np.full(7, 0.5),
        "latencies": {"policy": 12.0},
    }
    return RobotMoment(**{**said, **changes})


def test_what_the_run_says_is_shown(session):
    session.show(moment(4))
    frame = session.board.frame
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
    later = np.full((SIZE, SIZE, 3), 70, np.uint8)
    session.show(moment(1, images={"agentview": later}))
    x, y = middle("soup_1")
    session.do("point", {"frame": 1, "view": "agentview", "x": x, "y": y})
    assert queue.said == []
    pending = session.board.state()[1]["pending"]
    assert pending["frame"] == 1
    session.do("confirm", {})
    ((name, (view, mask)),) = queue.said
    assert (name, view) == ("click", "agentview")
    assert isinstance(mask, Mask)
    expected = Table().regions(["soup_1"], "agentview", SIZE)[0]
    shared = (mask.region & expected).sum() / (mask.region | expected).sum()
    assert shared > 0.8
    assert session.board.state()[1]["pending"] is None
    with pytest.raises(RainError, match="nothing is pointed at"):
        session.do("confirm", {})
    for frame, view, why in ((99, "agentview", "no longer known"), (1, "top", "unknown")):
        with pytest.raises(RainError, match=why):
            session.do("point", {"frame": frame, "view": view, "x": x, "y": y})
