"""GR00T's clients at a policy server: what is read from them, answered and refused."""

from __future__ import annotations

import json
from typing import Any

import msgpack
import numpy as np
import pytest
import zmq
from bench_servers import ReadWorld, npy_bytes, npy_value
from guest_fakes import LIBERO_256, STATE, Watched, sent
from serving_fakes import running

from rain.bench.episode import RolloutConfig
from rain.bench.policies import policy_source
from rain.bench.rollouts import rollout
from rain.client import PolicyClient
from rain.perception.classical import ClassicalSegmenter
from rain.perception.prompts import Box
from rain.perception.reasoner.protocols import PhrasedScript
from rain.serving.masks import MaskParts, MaskService
from rain.types import Subtask, TaskScript


class Groot:
    """A client of GR00T's, written from the protocol."""

    def __init__(self, address: str, token: str | None = None) -> None:
        self.socket = zmq.Context.instance().socket(zmq.REQ)
        self.socket.setsockopt(zmq.LINGER, 0)
        self.socket.connect(address)
        self.token = {} if token is None else {"api_token": token}

    def raw(self, data: bytes) -> Any:
        self.socket.send(data)
        assert self.socket.poll(5000), "no answer"
        return npy_value(self.socket.recv())

    def call(self, endpoint: str, data: Any = None) -> Any:
        request = {"endpoint": endpoint} | ({} if data is None else {"data": data})
        answer = self.raw(npy_bytes(request | self.token))
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(answer["error"])
        return answer


def groot_sent() -> dict[str, Any]:
    given = sent()
    return {
        "video.agentview": given["observation/agentview"][None],
        "video.wrist": given["observation/wrist"][None],
        "state.single_arm": STATE[None, :6],
        "state.gripper": STATE[None, 6:],
        "region.agentview": given["observation/region/agentview"][None],
        "action_type": ["grasp"],
        "annotation.human.task_description": ["take it"],
    }


class TestGroot:
    def test_both_versions(self, guests):
        policies = Watched()
        address, _ = guests(policies, "gr00t")
        client = Groot(address)
        assert client.call("ping")["status"] == "ok"
        actions = client.call("get_action", groot_sent())
        batched = {k: v[None] if isinstance(v, np.ndarray) else v for k, v in groot_sent().items()}
        newer, about = client.call("get_action", {"observation": batched, "options": None})
        nested = {
            "video": {"agentview": batched["video.agentview"], "wrist": batched["video.wrist"]},
            "state": {k: batched[f"state.{k}"] for k in ("single_arm", "gripper")},
            "region": {"agentview": batched["region.agentview"]},
            "action_type": "grasp",
            "language": {"annotation.human.task_description": [["take it"]]},
        }
        client.call("get_action", {"observation": nested, "options": None})
        assert actions["action.single_arm"].shape == (16, 6)
        assert newer["action.gripper"].shape == (1, 16, 1)
        assert about["completion"] == 0.9
        for seen in policies.seen:
            np.testing.assert_array_equal(seen.images["agentview"], sent()["observation/agentview"])
            np.testing.assert_array_equal(
                seen.regions["agentview"], sent()["observation/region/agentview"]
            )
            np.testing.assert_array_equal(seen.state, STATE)
        assert len(policies.seen) == 3
        assert client.call("reset", {"options": None}) == {}

    def test_an_episode_of_a_client_that_knows_nothing_of_rain(self, guests):
        """Our own client of GR00T's servers: LIBERO's keys, half turn, a gripper of 0 and 1."""

        policies = Watched(LIBERO_256)

        class Reasoner:
            def decompose(self, instruction, images):
                script = TaskScript(instruction, (Subtask("grasp", "milk_1"),))
                return PhrasedScript(script, ("the milk",))

            def ground(self, target, phrase, frame):
                return {"agentview": Box(0, 0, 64, 256)}

        reasoner = Reasoner()
        with running(MaskService(MaskParts(ClassicalSegmenter, reasoner, reasoner))) as masks:
            address, _ = guests(
                policies, "gr00t", conventions="groot-n1.6-libero", base=(0.0, 0.0, 0.0),
                masks=masks.address,
            )  # fmt: skip
            world = ReadWorld()
            policy = policy_source(f"groot:{address}?timeout=10")(0)
            rollout(world, policy, world.script, RolloutConfig(horizon=16))
        assert len(world.actions) == 16
        np.testing.assert_array_equal(np.array(world.actions)[:8, 6], [-1.0, 1.0] * 4)
        seen = policies.seen[0]
        np.testing.assert_array_equal(seen.images["wrist"], world.render("wrist", 256))
        assert seen.regions["agentview"][100, :60].all()
        assert not seen.regions["agentview"][:, 70:].any()

    def test_what_is_refused(self, guests):
        address, server = guests(Watched(), "gr00t", token="secret")
        with pytest.raises(RuntimeError, match="Invalid API token"):
            Groot(address).call("ping")
        client = Groot(address, "secret")
        for endpoint, data, message in (
            ("kill", None, "unknown endpoint 'kill'"),
            ("get_action", None, "expected an observation"),
            ("get_action", groot_sent() | {"video.wrist": np.zeros(3)}, "expected uint8"),
            ("get_action", {"region.wrist": np.zeros((32, 32))}, "action_type is missing"),
            ("get_action", groot_sent() | {"state.gripper": np.zeros((2, 2))}, "got 10"),
        ):
            with pytest.raises(RuntimeError, match=message):
                client.call(endpoint, data)
        for data in (b"", b"\xc1", b"\x80\x04pickle", msgpack.packb([1])):
            assert "error" in client.raw(data)
        assert client.call("get_action", groot_sent())
        assert len(server._clients.known) == 1

    def test_clients_that_never_say_goodbye_leave_room_for_others(self, guests):
        address, server = guests(Watched(), "gr00t", most=8)
        for _ in range(10):
            assert Groot(address).call("get_action", groot_sent())
        assert len(server._clients.known) <= 3
        assert PolicyClient(server.address).health()["clients"] <= 3

    def test_modalities_as_each_version_reads_them(self, guests):
        address, _ = guests(Watched(), "gr00t")
        told = Groot(address).call("get_modality_config")["video"]
        assert told["as_json"] == {"delta_indices": [0], "modality_keys": ["agentview", "wrist"]}
        address, _ = guests(Watched(), "gr00t", conventions="groot-n1.5-libero")
        told = Groot(address).call("get_modality_config")["action"]["as_json"]
        assert json.loads(told)["modality_keys"][0] == "action.x"
