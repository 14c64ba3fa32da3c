from __future__ import annotations

import io
import pickle
from typing import Any

import numpy as np
import pytest
from bench_fakes import script
from bench_servers import (
    READING,
    ReadWorld,
    groot_server,
    msgpack,
    npy_bytes,
)

from rain.bench.remote import RemoteError, RemotePolicies
from rain.bench.remote.groot import pack, unpack
from rain.bench.rollouts import RolloutConfig, rollout

KEYS = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
LANGUAGE = "annotation.human.action.task_description"


def actions(length: int, gripper: float, batched: bool) -> dict[str, np.ndarray]:
    """Key j says j / 10 + step / 100; the gripper as given."""
    parts = {
        f"action.{key}": np.full((length, 1), j / 10) + np.arange(length)[:, None] / 100
        for j, key in enumerate(KEYS)
    }
    parts["action.gripper"] = np.full((length, 1), gripper)
    parts = {key: part.astype(np.float32) for key, part in parts.items()}
    return {key: part[None] if batched else part[:, 0] for key, part in parts.items()}


def source(address: str, options: str = "") -> RemotePolicies:
    return RemotePolicies.from_text(f"groot:{address}?timeout=5&{options}")


def run(policies: RemotePolicies, horizon: int = 10) -> tuple[ReadWorld, Any]:
    world = ReadWorld()
    config = RolloutConfig(execute=policies.execute, horizon=horizon)
    return world, rollout(world, policies(0), script(), config)


def test_the_codec_is_the_protocols_own():
    value = {"endpoint": "get_action", "data": {"video.image": np.zeros((1, 2, 2, 3), np.uint8)}}
    assert pack(value) == npy_bytes(value)
    np.testing.assert_array_equal(
        unpack(pack(value))["data"]["video.image"], value["data"]["video.image"]
    )


def test_nothing_is_unpickled():
    file = io.BytesIO()
    np.save(file, np.array([print], dtype=object), allow_pickle=True)
    data = msgpack.packb({"__ndarray_class__": True, "as_npy": file.getvalue()})
    with pytest.raises(RemoteError, match="allow_pickle"):
        unpack(data)


@pytest.mark.parametrize("data", [b"ERROR", pickle.dumps([1]), b"PK\x03\x04torch"])
def test_a_server_of_torch_pickles_is_refused(data: bytes):
    with pytest.raises(RemoteError, match=r"torch pickles.*N1\.5 or later"):
        unpack(data)


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x93\x01"])
def test_broken_answers_are_one_line(data: bytes):
    with pytest.raises(RemoteError, match="not GR00T's msgpack") as caught:
        unpack(data)
    assert "\n" not in str(caught.value)


def test_n16_gets_batches_and_its_gripper_is_turned():
    requests: list[dict] = []
    resets: list[Any] = []

    def get_action(data: dict) -> list:
        requests.append(data)
        return [actions(16, gripper=0.9, batched=True), {}]

    handlers = {"get_action": get_action, "reset": lambda data: resets.append(data) or {}}
    with groot_server(handlers) as address:
        world, _ = run(source(address))
    assert resets == [{"options": None}], "once an episode"
    assert set(requests[0]) == {"observation", "options"}
    look = requests[0]["observation"]
    assert look["video.image"].shape == (1, 1, 256, 256, 3)
    assert look["video.wrist_image"].dtype == np.uint8
    assert (look["video.image"][0, 0, :, -60:] < 20).all(), "left and right are exchanged"
    assert look[LANGUAGE] == [script().instruction]
    states = [look[f"state.{key}"] for key in KEYS]
    assert [state.shape for state in states] == [(1, 1, 1)] * 6 + [(1, 1, 2)]
    assert {state.dtype for state in states} == {np.dtype(np.float32)}
    np.testing.assert_array_equal(np.concatenate(states, axis=-1)[0, 0], READING)
    executed = np.array(world.actions)
    np.testing.assert_allclose(executed[0, :6], np.arange(6) / 10, atol=1e-6)
    np.testing.assert_allclose(executed[7, :6], np.arange(6) / 10 + 0.07, atol=1e-6)
    # 1 opens in its data, −1 opens in LIBERO.
    assert (executed[:, 6] == -1).all()
    assert [step for step, _ in world.looks] == [0, 8]


def test_n15_gets_no_batches_and_looks_at_every_step():
    requests: list[dict] = []

    def get_action(data: dict) -> dict:
        requests.append(data)
        return actions(16, gripper=0.1, batched=False)

    with groot_server({"get_action": get_action}) as address:
        world, result = run(source(address, "conventions=groot-n1.5-libero"), horizon=3)
    assert requests[0]["video.image"].shape == (1, 256, 256, 3)
    assert requests[0]["state.x"].shape == (1, 1)
    assert requests[0]["state.gripper"].shape == (1, 2)
    assert result.predictions == 3
    np.testing.assert_allclose(np.array(world.actions)[:, 0], 0.0)
    assert (np.array(world.actions)[:, 6] == 1).all()


def fails(data: Any) -> Any:
    raise KeyError("video.image")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda data: [{"x": np.zeros((1, 16, 1))}, {}], "lacks one of action.x"),
        (lambda data: {}, "no pair of actions"),
        (lambda data: [actions(4, 1.0, batched=True), {}], "4 actions came, 8 are to be"),
        (
            lambda data: [actions(16, 1.0, True) | {"action.x": np.zeros((1, 3, 1))}, {}],
            "actions of shapes",
        ),
        (lambda data: [actions(16, np.nan, batched=True), {}], "NaN or infinity"),
        (fails, "the server failed: 'video.image'"),
        (lambda data: b"ERROR", "torch pickles"),
    ],
)
def test_a_wrong_answer_crashes_the_episode_in_one_line(answer: Any, words: str):
    handlers = {"get_action": answer, "reset": lambda data: {}}
    with groot_server(handlers) as address, pytest.raises(RemoteError, match=words) as caught:
        run(source(address))
    assert "\n" not in str(caught.value)


def test_no_server_is_said_before_any_episode():
    with groot_server({}) as address:
        gone = address
    with pytest.raises(RemoteError, match="no policy server there"):
        RemotePolicies.from_text(f"groot:{gone}?timeout=0.1")(0)


def test_an_address_that_is_none():
    with pytest.raises(RemoteError, match="not an address"):
        RemotePolicies.from_text("groot:tcp://nowhere")(0)


def test_a_server_that_stops_answering():
    with groot_server({"reset": lambda data: {}}) as address:
        policies = RemotePolicies.from_text(f"groot:{address}?timeout=0.2")
        policy = policies(0)
    with pytest.raises(RemoteError, match=r"no answer within 0\.2 s"):
        rollout(ReadWorld(), policy, script(), RolloutConfig(execute=8))
