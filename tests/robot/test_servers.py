"""The loop with the real policy server and the real mask server, over sockets."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from robot_fakes import CONVENTIONS, ROBOT, START
from serving_fakes import NAMESPACES, in_a_network_of_its_own, running, serving

from rain.client import MaskClient, PolicyClient, StreamedRegions
from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Box
from rain.perception.reasoner.protocols import PhrasedScript
from rain.perception.segmenter import Frame
from rain.robot.chunks import PlayOptions
from rain.robot.client import RolloutClient
from rain.robot.client_options import ClientOptions
from rain.robot.ports import Reading
from rain.robot.timing import SystemClock
from rain.serving.masks import MaskParts, MaskService
from rain.types import ActionChunk, Plan, Prediction, Progress, Subtask, TaskScript

SIZE = 48
VIEWS = ("third", "top", "wrist")
CORNERS = {"red_square": (8, 8), "green_square": (30, 30)}
TASK = PhrasedScript(
    TaskScript(
        "red to green", (Subtask("grasp", "red_square"), Subtask("release", "green_square"))
    ),
    ("the red square", "the green square"),
)


class Arm:
    """Is where it is told to be; sees a red and a green square, and a light that never rests."""

    def __init__(self) -> None:
        self.clock, self.state, self.count = SystemClock(), START.copy(), 0
        self.sent: list[np.ndarray] = []

    def read(self) -> Reading:
        self.count += 1
        image = np.full((SIZE, SIZE, 3), 90, np.uint8)
        image[30:40, 30:40], image[8:16, 8:16] = (20, 180, 30), (200, 30, 20)
        image[0, 0] = self.count % 256
        now = self.clock.now()
        return Reading(
            self.state.astype(np.float32), now, dict.fromkeys(VIEWS, image),
            dict.fromkeys(VIEWS, now),
        )  # fmt: skip

    def send(self, target: np.ndarray) -> None:
        self.sent.append(target)
        self.state = target.copy()


class Pointing:
    """Points at either square in two views, as the paper's deployment does."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Box]:
        self.asked.append((target, phrase))
        left, top = CORNERS[target]
        side = 8 if target == "red_square" else 10
        return dict.fromkeys(("third", "top"), Box(left, top, left + side, top + side))


class Policies:
    """Turn joint1 while the region is the right square; complete after some looks at it."""

    name = "turning"

    def __init__(self) -> None:
        self.conventions = ROBOT.conventions(VIEWS, SIZE)
        self.looks = {"grasp": 0, "release": 0}

    def fingerprint(self) -> str:
        return "turning"

    def __call__(self, seed: int) -> Policies:
        return self

    def predict(self, observation) -> Prediction:
        kind = observation.action_type
        left, top = CORNERS["red_square" if kind == "grasp" else "green_square"]
        assert set(observation.regions) == {"third", "top"}
        for region in observation.regions.values():
            assert region[top + 4, left + 4]
            assert region.sum() < 150
        self.looks[kind] += 1
        actions = observation.state + 0.001 * np.arange(1, 17)[:, None] * np.eye(7)[0]
        done = float(self.looks[kind] > 3)
        return Prediction(ActionChunk(actions), Plan(np.zeros((8, 3))), Progress(done, 0.5, 0.5))

    def predict_together(self, policies, observations, size):
        return [self.predict(observation) for observation in observations]


def test_a_task_is_done_with_regions_and_chunks_from_servers():
    pointing, policies, arm = Pointing(), Policies(), Arm()
    service = MaskService(MaskParts(ClassicalSegmenter, pointing, None, "classical"))
    with serving(policies) as policy_server, running(service) as mask_server:
        policy = PolicyClient(policy_server.address)
        masks = MaskClient(mask_server.address)
        # Two busy cores may be slow; what is watched here is what is done, not how fast.
        options = ClientOptions(PlayOptions(execute=10), settle_s=0.1)
        client = RolloutClient(ROBOT, arm, policy, StreamedRegions(masks), TASK, options=options)
        client.run(seconds=30)
        policy.close()
        masks.close()
    assert client.task.finished, client.log.counts
    # One grounding a subtask's boundary.
    assert pointing.asked == [
        ("red_square", "the red square"),
        ("green_square", "the green square"),
    ]
    assert arm.sent[-1][0] > START[0] + 0.01
    assert client.log.counts["crash"] == 0


CUT_OFF = """
import sys, threading, time
import numpy as np
from robot_fakes import ROBOT, TASK, FakeArm, FakeRegions
from serving_fakes import loopback, serving
from rain.client import PolicyClient
from rain.robot.client import RolloutClient
from rain.robot.timing import SystemClock
from test_servers import Turning

def moved():
    return bool(np.ptp([target[0] for target in arm.sent[-5:]]))

def until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end, client.log.counts
        time.sleep(0.02)

loopback(True)
clock, ended = SystemClock(), threading.Event()
arm = FakeArm(clock)
with serving(Turning()) as server:
    policy = PolicyClient(server.address)
    client = RolloutClient(ROBOT, arm, policy, FakeRegions(), TASK, clock=clock)
    run = threading.Thread(target=client.run, kwargs={"ended": ended.is_set})
    run.start()
    until(lambda: len(arm.sent) > 40 and moved())
    loopback(False)
    until(lambda: not moved())
    held, end = [], time.monotonic() + float(sys.argv[1])
    while time.monotonic() < end:
        time.sleep(0.1)
        held.append(not moved())
    silent, ticks = client.log.counts["policy_silent"], len(arm.sent)
    loopback(True)
    back = time.monotonic()
    until(moved)
    took = round(time.monotonic() - back, 2)
    print(int(all(held)), silent, ticks, client.log.counts["crash"], took)
    ended.set()
    run.join()
"""


class Turning(Policies):
    """Turns joint1 whatever it sees."""

    def __init__(self) -> None:
        self.conventions = CONVENTIONS

    def predict(self, observation) -> Prediction:
        actions = observation.state + 0.001 * np.arange(1, 17)[:, None] * np.eye(7)[0]
        return Prediction(ActionChunk(actions), Plan(np.zeros((8, 3))), Progress(0.0, 0.5, 0.5))


@NAMESPACES
def test_the_arm_holds_while_the_network_is_cut_and_goes_on():
    """RAIN_CUT_S says for how long."""
    said = in_a_network_of_its_own(CUT_OFF)
    print(said)
    held, silent, ticks, crashes, took = map(float, said.split())
    assert held
    assert silent >= 1
    assert ticks > 60, "it is held 30 times a second"
    assert not crashes
    assert took < 10
