"""The mask server over real sockets: grounding once, following, pointing in a frame, refusals."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import numpy as np
import pytest
from serving_fakes import running

from rain.client import MaskClient, PolicyClient, ServerError, StreamedRegions
from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Box, Mask, Points
from rain.perception.reasoner.protocols import PhrasedScript, ReasonError
from rain.perception.segmenter import Frame, Tracked
from rain.serving.masks import MaskParts, MaskService
from rain.types import RainError, Subtask, TaskScript

SIZE = 48


def picture(number: int) -> np.ndarray:
    """A red square that moves a pixel a frame, and a green one that stands still."""
    image = np.full((SIZE, SIZE, 3), 90, np.uint8)
    image[30:40, 30:40] = (20, 180, 30)
    image[8:16, 6 + number : 14 + number] = (200, 30, 20)
    return image


def square(number: int) -> np.ndarray:
    region = np.zeros((SIZE, SIZE), bool)
    region[8:16, 6 + number : 14 + number] = True
    return region


GREEN = np.zeros((SIZE, SIZE), bool)
GREEN[30:40, 30:40] = True


def iou(found: np.ndarray, expected: np.ndarray) -> float:
    return (found & expected).sum() / (found | expected).sum()


class Pointing:
    """Points at the red square; counts, and waits until ``go`` is set."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, float]] = []
        self.go = threading.Event()
        self.go.set()
        self.error: Exception | None = None

    def ground(self, target: str, phrase: str, frame: Frame) -> Mapping[str, Box]:
        self.asked.append((target, phrase, frame.stamp))
        self.go.wait(5)
        if self.error is not None:
            raise self.error
        (column,) = np.flatnonzero(frame.images["top"][8, :, 0] == 200)[:1]
        return {"top": Box(column, 8, column + 8, 16)}


class Scripted:
    """Decomposes into one subtask, when ``go`` is set."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.go.set()

    def decompose(self, instruction, images):
        self.go.wait(5)
        if instruction == "fly":
            raise ReasonError("there are no wings")
        subtask = Subtask("grasp", f"potato_{len(images)}")
        return PhrasedScript(TaskScript(instruction, (subtask,)), ("the potato",))


class Slow(ClassicalSegmenter):
    """Takes its time over every frame."""

    def follow(self, frame: Frame) -> dict[str, Tracked]:
        time.sleep(0.05)
        return super().follow(frame)


@pytest.fixture
def pointing():
    return Pointing()


@pytest.fixture
def masks(pointing):
    parts = MaskParts(ClassicalSegmenter, pointing, Scripted(), "classical")
    with running(MaskService(parts)) as server:
        yield server


def settled(client, number, stamp):
    """The first look without a pause, at frames that follow each other."""
    for i in range(100):
        look = client.look({"top": picture(number)}, stamp + i / 1000)
        if look.pause is None:
            return look
        time.sleep(0.005)
    raise AssertionError(look)


class TestLooks:
    def test_grounds_once_and_follows(self, masks, pointing):
        client = MaskClient(masks.address)
        assert (client.greeting.segmenter, client.greeting.reasons) == ("classical", True)
        assert client.look({"top": picture(0)}, 0.0).pause == "no subtask has begun"
        client.begin("red_block_1")
        settled(client, 0, 1.0)
        for number in range(1, 12):
            look = client.look({"top": picture(number)}, 2.0 + number / 30)
            assert iou(look.regions["top"], square(number)) > 0.8
            assert look.stamps["top"] == look.stamp == 2.0 + number / 30
            assert 0.5 < look.scores["top"] <= 1
        ((target, phrase, _),) = pointing.asked
        assert (target, phrase) == ("red_block_1", "the red block")
        client.begin("red_block_1", "that block")
        settled(client, 12, 3.0)
        assert [phrase for _, phrase, _ in pointing.asked] == ["the red block", "that block"]
        client.ground_again()
        settled(client, 12, 4.0)
        assert len(pointing.asked) == 3

    def test_who_watches_gets_the_last_look_of_whoever_sends(self, masks, pointing):
        sender, watcher = (MaskClient(masks.address, session="one") for _ in range(2))
        sender.begin("red_block_1")
        assert watcher.latest() is None
        look = settled(sender, 0, 1.0)
        seen = watcher.latest()
        assert seen.stamp == look.stamp
        np.testing.assert_array_equal(seen.regions["top"], look.regions["top"])
        sender.begin("green_block_1")
        assert watcher.latest() is None

    def test_a_pause_while_it_is_grounded_keeps_nobody_waiting(self, masks, pointing):
        pointing.go.clear()
        client = MaskClient(masks.address, timeout=2.0)
        client.begin("red_block_1", "the block")
        look = client.look({"top": picture(0)}, 0.0)
        assert look.pause == "grounding 'the block'"
        assert not look.regions
        assert client.health()["clients"] == 1
        pointing.go.set()
        assert settled(client, 0, 0.1).regions

    def test_what_cannot_be_grounded_is_a_reason_to_pause(self, masks, pointing):
        pointing.error = ReasonError("nothing is red")
        client = MaskClient(masks.address)
        client.begin("red_block_1", "the block")
        for i in range(100):
            pause = client.look({"top": picture(0)}, float(i)).pause
            if "failed" in pause:
                break
            time.sleep(0.005)
        assert pause == "grounding 'the block' failed: nothing is red"

    def test_sessions_are_apart_unless_they_share_a_name(self, masks):
        first, second = MaskClient(masks.address), MaskClient(masks.address)
        first.begin("red_block_1")
        settled(first, 0, 0.0)
        assert second.look({"top": picture(0)}, 1.0).pause == "no subtask has begun"
        arm = MaskClient(masks.address, session="arm")
        page = MaskClient(masks.address, session="arm")
        page.begin("green_block_1", ground=False)
        assert "nobody points" in arm.look({"top": picture(0)}, 1.0).pause
        region = page.click("top", 1.0, [(35, 35)])
        assert iou(region, GREEN) > 0.9
        assert iou(arm.look({"top": picture(1)}, 1.1).regions["top"], GREEN) > 0.9

    def test_options_of_a_session(self, masks):
        client = MaskClient(masks.address, loop={"lost_after_s": 30.0, "frozen_after_s": None})
        client.begin("red_block_1")
        settled(client, 0, 0.0)
        assert client.look({"top": picture(0)}, 25.0).pause is None
        with pytest.raises(ServerError, match="expected some of"):
            MaskClient(masks.address, loop={"speed": 1.0})
        with pytest.raises(ServerError, match="may be none"):
            MaskClient(masks.address, loop={"max_age_s": None})
        with pytest.raises(ServerError, match="0 or more seconds"):
            MaskClient(masks.address, loop={"max_age_s": -1.0})


class TestPointing:
    def test_in_exactly_the_frame_that_is_named(self, masks):
        client = MaskClient(masks.address)
        client.begin("red_block_1", ground=False)
        for number in range(6):
            client.look({"top": picture(number)}, float(number))
        assert iou(client.click("top", 2.0, [(12, 12)], [(35, 35)]), square(2)) > 0.8
        assert iou(client.box("top", 4.0, (9, 7, 19, 17)), square(4)) > 0.8
        np.testing.assert_array_equal(client.mask("top", 5.0, square(5)), square(5))
        assert iou(client.look({"top": picture(6)}, 6.0).regions["top"], square(6)) > 0.8
        client.point_at_next("top", Mask(GREEN))
        assert iou(client.look({"top": picture(7)}, 7.0).regions["top"], GREEN) > 0.8
        with pytest.raises(ServerError, match="it has"):
            client.mask("top", 6.0, np.ones((4, 4), bool))

    def test_overrules_the_model_and_can_be_taken_back(self, masks, pointing):
        pointing.go.clear()
        client = MaskClient(masks.address)
        client.begin("green_block_1")
        client.look({"top": picture(0)}, 0.0)
        client.click("top", 0.0, [(35, 35)])
        pointing.go.set()
        for i in range(1, 6):
            look = client.look({"top": picture(0)}, i / 10)
            assert iou(look.regions["top"], GREEN) > 0.9
            time.sleep(0.01)
        client.clear()
        assert "nobody points" in client.look({"top": picture(0)}, 0.7).pause

    def test_in_the_next_frame(self, masks):
        client = MaskClient(masks.address)
        client.begin("red_block_1", ground=False)
        client.point_at_next("top", Points(((11, 12),)))
        assert iou(client.look({"top": picture(1)}, 1.0).regions["top"], square(1)) > 0.8

    def test_bad_input_loses_nothing(self, masks):
        client = MaskClient(masks.address)
        client.look({"top": picture(0)}, 0.0)
        with pytest.raises(ServerError, match="no subtask has begun"):
            client.click("top", 0.0, [(12, 12)])
        client.begin("red_block_1", ground=False)
        for number in range(40):
            client.look({"top": picture(number % 20)}, 1.0 + number)
        client.click("top", 40.0, [(35, 35)])
        for call, message in (
            (lambda: client.click("top", 3.0, [(12, 12)]), "is not kept; there are those of 11 to"),
            (lambda: client.click("top", 40.0, [(99, 12)]), "outside the image"),
            (lambda: client.click("side", 40.0, [(9, 12)]), "no image to seed"),
            (lambda: client.click("top", 40.0, []), "at least one"),
            (lambda: client.box("top", 40.0, (9, 9, 3, 3)), "left < right"),
            (lambda: client.begin(""), "target: expected a text"),
            (lambda: client.look({"top": [1]}, 50.0), "expected an image"),
            (lambda: client.look({"top": picture(0)}, float("nan")), "stamp: expected a number"),
            (lambda: client._connection.ask("box", {"view": "top"}), "expected 4 numbers"),
        ):
            with pytest.raises(ServerError, match=message) as error:
                call()
            assert error.value.code == "bad_request"
        assert iou(client.look({"top": picture(0)}, 51.0).regions["top"], GREEN) > 0.9
        views = {f"view_{i}": picture(0) for i in range(9)}
        with pytest.raises(ServerError, match="at most 8 views"):
            client.look(views, 52.0)


class TestReasoning:
    def test_decomposes(self, masks):
        client = MaskClient(masks.address)
        found = client.decompose("take it", {"top": picture(0)})
        assert found == [(Subtask("grasp", "potato_1"), "the potato")]
        with pytest.raises(ServerError, match="there are no wings"):
            client.decompose("fly", {})

    def test_a_slow_answer_keeps_no_frame_waiting(self):
        reasoner = Scripted()
        reasoner.go.clear()
        with running(MaskService(MaskParts(ClassicalSegmenter, None, reasoner))) as server:
            client = MaskClient(server.address)
            number = client._connection.send("decompose", {"instruction": "x", "images": {}})
            assert client.look({"top": picture(0)}, 0.0).pause
            with pytest.raises(ServerError, match="wait for it"):
                client.decompose("y", {})
            reasoner.go.set()
            deadline = time.monotonic() + 5
            while not (found := dict(client.poll())) and time.monotonic() < deadline:
                time.sleep(0.005)
            assert found[number][0]["target"] == "potato_0"

    def test_without_models_people_point(self):
        with running(MaskService(MaskParts(ClassicalSegmenter))) as server:
            client = MaskClient(server.address)
            assert not client.greeting.reasons
            with pytest.raises(ServerError, match="decomposes no instructions"):
                client.decompose("x", {})
            client.begin("red_block_1")
            pauses = [client.look({"top": picture(0)}, i / 100).pause for i in range(10)]
            assert "no model that points" in pauses[-1]


class TestStreams:
    def test_only_the_newest_of_waiting_frames_is_looked_at(self, pointing):
        with running(MaskService(MaskParts(Slow, pointing)), batch=64) as server:
            client = MaskClient(server.address)
            client.begin("red_block_1")
            settled(client, 0, 0.0)
            stream, seen, end = StreamedRegions(client), set(), time.monotonic() + 5
            for number in range(1, 31):
                stream.look({"top": picture(number // 4)}, 1.0 + number)
                time.sleep(0.01)
                look = stream.poll()
                seen |= {look.stamp} if look else set()
            while 31.0 not in seen and time.monotonic() < end:
                seen |= {stream.poll().stamp}
            assert max(seen) == 31.0, "the last frame is looked at"
            assert len(seen) < 20, "others were left out"
            assert stream.error is None
            assert iou(stream.poll().regions["top"], square(30 // 4)) > 0.8

    def test_looks_at_the_last_target_do_not_count(self, masks):
        stream = StreamedRegions(MaskClient(masks.address))
        stream.begin("red_block_1", "")
        stream.look({"top": picture(0)}, 0.0)
        stream.begin("red_block_1", "the other")
        assert stream.poll() is None
        end = time.monotonic() + 5
        while (look := stream.poll()) is None and time.monotonic() < end:
            stream.look({"top": picture(0)}, time.monotonic())
            time.sleep(0.01)
        assert look.stamp > 0.0

    def test_what_is_pointed_at_is_the_target_and_nothing_else(self, masks):
        stream = StreamedRegions(MaskClient(masks.address))
        stream.begin("red_block_1", "")

        def look_at(shows):
            end = time.monotonic() + 5
            while not shows(look := stream.poll()) and time.monotonic() < end:
                stream.look({"top": picture(0), "side": picture(0)}, time.monotonic())
                time.sleep(0.01)
            return look

        assert set(look_at(lambda look: look and look.regions).regions) == {"top"}
        stream.point({"side": Points(((35.0, 35.0),))})
        assert stream.poll() is None
        look = look_at(lambda look: look and look.regions)
        assert set(look.regions) == {"side"}
        assert look.regions["side"][35, 35]
        assert iou(look.regions["side"], square(0)) == 0.0

    def test_a_server_that_was_killed_begins_the_subtask_anew(self, pointing):
        parts = MaskParts(ClassicalSegmenter, pointing)
        with running(MaskService(parts)) as server:
            address = server.address
            client = MaskClient(address, timeout=0.3)
            client.begin("red_block_1", "the block")
            settled(client, 0, 0.0)
        stream = StreamedRegions(client)
        stream.look({"top": picture(1)}, 1.0)
        end = time.monotonic() + 5
        while stream.error is None and time.monotonic() < end:
            assert stream.poll() is None
            time.sleep(0.01)
        assert stream.error.code == "no_answer"
        client._connection.timeout = 5.0
        with running(MaskService(parts), address) as server:
            for i in range(500):
                stream.look({"top": picture(2)}, 2.0 + i / 1000)
                time.sleep(0.01)
                look = stream.poll()
                if look is not None and look.pause is None:
                    break
        assert iou(look.regions["top"], square(2)) > 0.8
        assert [phrase for _, phrase, _ in pointing.asked] == ["the block", "the block"]


def test_the_wrong_server(masks, serve):
    with pytest.raises(ServerError, match="no mask server of RAIN's"):
        MaskClient(serve().address)
    with pytest.raises(ServerError, match="no policy server of RAIN's"):
        PolicyClient(masks.address)


def test_wrong_parts():
    with pytest.raises(RainError, match="frames: expected at least 1"):
        MaskParts(ClassicalSegmenter, frames=0)


def test_a_tracker_that_fails_is_a_pause():
    class Failing(ClassicalSegmenter):
        def follow(self, frame):
            raise MemoryError("no room")

    with running(MaskService(MaskParts(Failing, Pointing()))) as server:
        client = MaskClient(server.address)
        client.begin("red_block_1")
        for i in range(100):
            pause = client.look({"top": picture(0)}, i / 100).pause
            if "failed" in pause:
                break
            time.sleep(0.005)
        assert pause == "perception failed: MemoryError: no room"
