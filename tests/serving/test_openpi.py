"""openpi's clients at a policy server: what is read from them, answered and refused."""

from __future__ import annotations

import time
from typing import Any
from urllib.request import urlopen

import msgpack
import numpy as np
import pytest
from bench_servers import ReadWorld
from guest_fakes import LIBERO_256, STATE, Watched, asking, sent
from serving_fakes import running
from websockets.exceptions import ConnectionClosed, InvalidStatus

from rain.bench.policies import policy_source
from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Box
from rain.perception.reasoner.protocols import PhrasedScript
from rain.serving.guests.reading import GuestOptions, shortest
from rain.serving.masks import MaskParts, MaskService
from rain.types import Conventions, RainError, Subtask, TaskScript


class TestOpenpi:
    def test_an_observation_by_view(self, guests):
        policies = Watched()
        address, _ = guests(policies, "openpi")
        ask = asking(address)
        assert ask.metadata["conventions"]["views"] == ["agentview", "wrist"]
        assert ask.metadata["fingerprint"] == "abc"
        answer = ask(sent())
        (seen,) = policies.seen
        np.testing.assert_array_equal(seen.images["wrist"], sent()["observation/wrist"])
        region = sent()["observation/region/agentview"]
        np.testing.assert_array_equal(seen.regions["agentview"], region)
        assert set(seen.regions) == {"agentview"}
        assert seen.action_type == "grasp"
        np.testing.assert_array_equal(seen.state, STATE)
        assert answer["actions"].shape == (16, 7)
        np.testing.assert_array_equal(answer["actions"][:, 6], [-1.0, 1.0] * 8)
        assert answer["completion"] == 0.9
        assert np.shape(answer["plan"]) == (8, 3)
        assert answer["server_timing"]["infer_ms"] > 0
        # openpi's ActionChunkBroker takes row i of every array, 0 to the horizon.
        assert [k for k, v in answer.items() if isinstance(v, np.ndarray)] == ["actions"]

    def test_sizes_and_kinds_of_regions(self, guests):
        policies = Watched()
        address, _ = guests(policies, "openpi")
        ask = asking(address)
        big = np.zeros((64, 64, 3), np.uint8)
        big[:, 32:] = 200
        mask = np.zeros((64, 64), np.uint8)
        mask[:, 32:] = 255
        soft = np.full((1, 32, 32), 0.25, np.float32)
        ask(sent(**{"observation/agentview": big, "observation/region/agentview": mask,
                    "observation/region/wrist": soft}))  # fmt: skip
        (seen,) = policies.seen
        assert seen.images["agentview"].shape == (32, 32, 3)
        assert seen.images["agentview"][:, 20:].min() == 200
        assert seen.regions["agentview"][:, 16:].all()
        assert not seen.regions["agentview"][:, :16].any()
        np.testing.assert_array_equal(seen.regions["wrist"], soft[0])

    def test_an_episode_of_a_client_that_knows_nothing_of_rain(self, guests):
        """Our own client of openpi's servers, with LIBERO's keys, half turn and 8 numbers."""
        policies = Watched(LIBERO_256)
        address, _ = guests(
            policies, "openpi", conventions="openpi-libero", base=(0.1, 0.2, 0.3),
            masks=None, empty_regions=True,
        )  # fmt: skip
        world = ReadWorld()
        with pytest.raises(RainError, match="action_type is missing"):
            policy_source(f"openpi:{address}")(0).predict(_look(world))
        ask = asking(address)
        mirrored = world.render("agentview", 256)[:, ::-1]
        region = np.zeros((256, 256), bool)
        region[:, :10] = True
        reading = np.array([0.5, 0.5, 0.5, 3.5, 0.0, 0.0, 0.04, -0.03], np.float32)
        ask({
            "observation/image": mirrored, "observation/wrist_image": mirrored,
            "observation/region/agentview": region, "observation/state": reading,
            "action_type": "release", "prompt": "x",
        })  # fmt: skip
        seen = policies.seen[-1]
        np.testing.assert_array_equal(seen.images["agentview"], world.render("agentview", 256))
        np.testing.assert_array_equal(seen.regions["agentview"], region[:, ::-1])
        expected = [0.4, 0.3, 0.2, 3.5 - 2 * np.pi, 0.0, 0.0, 0.07]
        np.testing.assert_allclose(seen.state, expected, atol=1e-6)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"observation/region/agentview": None}, "observation/region/agentview: expected"),
            ({"observation/agentview": np.zeros((32, 32), np.uint8)}, "expected uint8"),
            ({"observation/agentview": np.zeros((32, 16, 3), np.uint8)}, "square"),
            ({"observation/state": np.zeros(5)}, "expected 7 numbers, got 5"),
            ({"observation/state": np.zeros(8)}, "robot's base"),
            ({"observation/state": np.full(7, np.nan)}, "NaN"),
            ({"action_type": "juggle"}, "unknown action type"),
            ({"action_type": ""}, "action_type is missing"),
            ({"observation/region/agentview": np.full((32, 32), 2.0)}, "outside"),
        ],
    )
    def test_what_is_refused_and_why(self, guests, change, message):
        address, _ = guests(Watched(), "openpi")
        ask = asking(address)
        with pytest.raises(RuntimeError, match=message):
            ask(sent(**change))
        with pytest.raises(ConnectionClosed):
            ask(sent())
        assert asking(address)(sent())["actions"].shape == (16, 7)

    def test_no_region_is_refused_unless_it_is_meant(self, guests):
        bare = sent()
        del bare["observation/region/agentview"]
        address, _ = guests(Watched(), "openpi")
        with pytest.raises(RuntimeError, match="there is no region: send observation/region/"):
            asking(address)(bare)
        policies = Watched()
        address, _ = guests(policies, "openpi", empty_regions=True)
        asking(address)(bare)
        assert policies.seen[0].regions == {}

    @pytest.mark.parametrize("data", ["text", b"", b"\xc1", msgpack.packb([1]), b"\x80\x04p"])
    def test_what_is_no_observation(self, guests, data):
        address, _ = guests(Watched(), "openpi")
        ask = asking(address)
        ask.connection.send(data)
        assert isinstance(ask.connection.recv(), str)
        assert asking(address)(sent())

    def test_token_health_and_room(self, guests):
        address, server = guests(Watched(), "openpi", token="secret", most=1)
        assert urlopen(address.replace("ws:", "http:") + "/healthz", timeout=5).read() == b"OK\n"
        with pytest.raises(InvalidStatus, match="401"):
            asking(address)
        key = {"additional_headers": {"Authorization": "Api-Key secret"}}
        ask = asking(address, **key)
        assert ask(sent())
        with pytest.raises(RuntimeError, match="takes 1 clients"):
            asking(address, **key)
        ask.connection.close()
        end = time.monotonic() + 5
        while server._clients.known and time.monotonic() < end:
            time.sleep(0.01)
        assert asking(address, **key)(sent())


def _look(world: Any) -> Any:
    observation = world.observe(Subtask("grasp", "milk_1"))
    return type(observation)(
        observation.images, {}, observation.state, "grasp", "take it", world.proprioception()
    )


class TestMasks:
    def test_an_instruction_alone_is_enough(self, guests):
        """The mask server decomposes it, grounds each target, and the subtasks follow."""

        class Reasoner:
            def decompose(self, instruction, images):
                steps = (Subtask("grasp", "milk_1"), Subtask("release", "basket_1"))
                return PhrasedScript(TaskScript(instruction, steps), ("the milk", "the basket"))

            def ground(self, target, phrase, frame):
                asked.append(phrase)
                return {"agentview": Box(4, 4, 12, 12) if "milk" in phrase else Box(18, 18, 28, 28)}

        asked: list[str] = []
        reasoner, policies = Reasoner(), Watched()
        image = np.full((32, 32, 3), 90, np.uint8)
        image[4:12, 4:12], image[18:28, 18:28] = (200, 30, 30), (30, 30, 200)
        bare = {
            "observation/agentview": image, "observation/wrist": np.zeros((32, 32, 3), np.uint8),
            "observation/state": STATE, "prompt": "milk into the basket",
        }  # fmt: skip
        with running(MaskService(MaskParts(ClassicalSegmenter, reasoner, reasoner))) as masks:
            address, _ = guests(policies, "openpi", masks=masks.address)
            ask = asking(address)
            answers = [ask(bare) for _ in range(4)]
        assert [a["subtask"] for a in answers[:3]] == [
            "grasp milk_1", "release basket_1", "release basket_1",
        ]  # fmt: skip
        assert [a["done"] for a in answers] == [False, False, False, True]
        assert [o.action_type for o in policies.seen] == ["grasp", "grasp", "release", "release"]
        assert policies.seen[0].regions["agentview"][6:10, 6:10].all()
        assert not policies.seen[0].regions["agentview"][16:].any()
        assert policies.seen[3].regions["agentview"][20:26, 20:26].all()
        assert not policies.seen[3].regions["agentview"][:16].any()
        assert asked == ["the milk", "the basket"]

    def test_a_target_that_is_not_found_is_an_error(self, guests):
        class Reasoner:
            def decompose(self, instruction, images):
                script = TaskScript(instruction, (Subtask("grasp", "milk_1"),))
                return PhrasedScript(script, ("the milk",))

            def ground(self, target, phrase, frame):
                return {}

        bare = {key: value for key, value in sent().items() if "region" not in key}
        reasoner = Reasoner()
        with running(MaskService(MaskParts(ClassicalSegmenter, reasoner, reasoner))) as masks:
            address, _ = guests(Watched(), "openpi", masks=masks.address, patience=0.2)
            with pytest.raises(RuntimeError, match=r"no region: .*no view shows it"):
                asking(address)(bare)
            with pytest.raises(RuntimeError, match="say what is to be done"):
                asking(address)(bare | {"prompt": ""})
        gone = "tcp://127.0.0.1:9"
        assert GuestOptions(masks=gone).masks == gone


def test_shortest_is_the_same_rotation():
    rng = np.random.default_rng(0)
    for _ in range(20):
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        angle = rng.uniform(0, 2 * np.pi)
        found = shortest(axis * angle)
        assert np.linalg.norm(found) <= np.pi + 1e-9
        np.testing.assert_allclose(_matrix(found), _matrix(axis * angle), atol=1e-9)


def _matrix(vector: np.ndarray) -> np.ndarray:
    """Rodrigues."""
    angle = np.linalg.norm(vector)
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross


def test_bad_options(guests):
    with pytest.raises(RainError, match="unknown"):
        GuestOptions(conventions="none")
    with pytest.raises(RainError, match="patience"):
        GuestOptions(patience=0.0)
    other = Conventions(("third", "top"), 32, "robot", "joints", 30.0)
    with pytest.raises(RainError, match="has the views"):
        guests(Watched(other), "openpi", conventions="openpi-libero")
    with pytest.raises(RainError, match="cannot listen"):
        guests(Watched(), "openpi", host="192.0.2.1")
    with pytest.raises(RainError, match="cannot listen"):
        guests(Watched(), "gr00t", host="192.0.2.1")
