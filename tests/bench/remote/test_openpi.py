from __future__ import annotations

import gc
import time
from functools import partial
from typing import Any

import numpy as np
import pytest
from bench_fakes import script
from bench_servers import (
    READING,
    ReadWorld,
    chunk,
    msgpack,
    openpi_bytes,
    openpi_server,
    openpi_value,
    read_worlds,
)

from rain.bench.records import Trial
from rain.bench.remote import RemoteError, RemotePolicies
from rain.bench.remote.openpi import pack, unpack
from rain.bench.rollouts import RolloutConfig, rollout
from rain.bench.worker import Setup, run_trials
from rain.types import RainError

LOOK = {"a": np.arange(6, dtype="<f4").reshape(2, 3), "b": [1, "two", None], "c": np.float32(0.5)}


def source(address: str, options: str = "") -> RemotePolicies:
    return RemotePolicies.from_text(f"openpi:{address}?timeout=5&{options}")


def run(policies: RemotePolicies, **changes: Any) -> tuple[ReadWorld, Any]:
    world = ReadWorld(changes.pop("success_after", None))
    config = RolloutConfig(execute=policies.execute, **{"horizon": 12, **changes})
    return world, rollout(world, policies(0), script(), config)


def test_the_codec_is_the_protocols_own():
    arrays = {"a": LOOK["a"], "b": LOOK["b"]}
    assert pack(arrays) == openpi_bytes(arrays)
    back = unpack(pack(LOOK))
    np.testing.assert_array_equal(back["a"], LOOK["a"])
    assert back["a"].dtype == np.float32
    assert back["b"] == LOOK["b"]
    assert back["c"] == 0.5
    assert isinstance(back["c"], np.float32)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        msgpack.packb({b"__ndarray__": True, b"data": b"12", b"dtype": "<f4", b"shape": [1]}),
        msgpack.packb({b"__ndarray__": True, b"data": bytes(8), b"dtype": "|O", b"shape": [1]}),
        msgpack.packb({b"__ndarray__": True, b"data": bytes(4), b"dtype": "<f4", b"shape": [9]}),
        msgpack.packb({b"__ndarray__": True}),
    ],
)
def test_broken_answers_are_one_line(data: bytes):
    with pytest.raises(RemoteError, match="not openpi's msgpack") as caught:
        unpack(data)
    assert "\n" not in str(caught.value)


def test_objects_are_not_sent():
    with pytest.raises(TypeError, match="ndarray"):
        pack({"a": np.array([object()])})


def test_a_look_is_what_openpis_own_evaluation_sends():
    looks: list[dict] = []

    def answer(look: dict) -> dict:
        looks.append(look)
        return {"actions": chunk(10), "server_timing": {"infer_ms": 1.0}}

    with openpi_server(answer) as address:
        world, result = run(source(address))
    assert set(looks[0]) == {
        "observation/image", "observation/wrist_image", "observation/state", "prompt",
    }  # fmt: skip
    assert looks[0]["prompt"] == script().instruction
    np.testing.assert_array_equal(looks[0]["observation/state"], READING)
    image = looks[0]["observation/image"]
    assert image.shape == (224, 224, 3)
    assert image.dtype == np.uint8
    # What the world shows on the left is on the right, as after LIBERO's half turn.
    assert (image[:, -50:] < 20).all()
    assert (image[:, :160] > 190).all()
    # Five of ten actions are executed before the next look, none is made up.
    assert [step for step, _ in world.looks] == [0, 5, 10]
    executed = np.array(world.actions)
    np.testing.assert_allclose(executed[:, 0], np.r_[0:5, 0:5, 0:2] / 100, rtol=1e-6)
    assert (executed[:, 6] == 1).all()
    assert result.outcome == "horizon"
    assert result.transitions == ()
    assert result.predictions == 3


def test_it_ends_when_the_goal_holds():
    with openpi_server(lambda look: {"actions": chunk(50)}) as address:
        _, result = run(source(address, "execute=16"), success_after=7)
    assert result.outcome == "success"
    assert result.success_step == 7


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"actions": chunk(4)}, "4 actions came, 5 are to be executed"),
        ({"actions": chunk(10)[:, :6]}, r"shape \(n, 7\), got float32 \(10, 6\)"),
        ({"actions": chunk(10)[0]}, r"got float32 \(7,\)"),
        ({"actions": [["a"] * 7] * 10}, "got <U1"),
        ({"actions": chunk(10) * np.nan}, "NaN or infinity"),
        ({"actions": chunk(10) + np.inf}, "NaN or infinity"),
        ({"action": chunk(10)}, "has no actions"),
        ([1, 2], "has no actions"),
        (b"\xc1", "not openpi's msgpack"),
        ("Traceback:\n  line 3\nKeyError: 'observation/state'\n", "the server failed: KeyError"),
        ("", "did not say why"),
        (None, "the connection was lost"),
    ],
)
def test_a_wrong_answer_crashes_the_episode_in_one_line(answer: Any, words: str):
    with openpi_server(lambda look: answer) as address, pytest.raises(RemoteError) as caught:
        run(source(address))
    with pytest.raises(RemoteError, match=words):
        raise caught.value
    assert "\n" not in str(caught.value)


def test_a_slow_server_is_not_waited_for_longer_than_was_said():
    def slow(look: dict) -> dict:
        time.sleep(0.4)
        return {"actions": chunk(10)}

    with openpi_server(slow) as address, pytest.raises(RemoteError, match=r"within 0\.05 s"):
        run(RemotePolicies.from_text(f"openpi:{address}?timeout=0.05"))


def test_no_server_is_said_before_any_episode():
    with openpi_server(lambda look: None) as address:
        gone = address
    with pytest.raises(RemoteError, match=r"no policy server there.*start it first"):
        source(gone)(0)


def test_a_server_that_goes_away_makes_a_crashed_record_and_never_a_failed_one():
    looks = []

    def answer(look: dict) -> Any:
        looks.append(look)
        return {"actions": chunk(5)} if len(looks) < 3 else None

    with openpi_server(answer) as address:
        policies = source(address)
        setup = Setup(policies, read_worlds, RolloutConfig(execute=5, horizon=10))
        trials = [Trial("libero_object", 0, episode) for episode in range(3)]
        records = [found for kind, found in run_trials(trials, setup) if kind == "record"]
    # The first episode had both its looks; in the second the server closed.
    assert [record.result is None for record in records] == [False, True]
    assert records[1].error is not None
    assert "the connection was lost" in records[1].error
    assert "\n" not in records[1].error


def test_a_connection_is_closed_with_its_policy():
    with openpi_server(lambda look: {"actions": chunk(10)}) as address:
        policy = source(address)(0)
        connection = policy._channel._connection
        del policy
        gc.collect()
        assert connection.state.name == "CLOSED"


def test_the_fingerprint_changes_with_what_the_server_tells_and_with_the_name():
    served = partial(openpi_server, lambda look: None)
    with served(metadata={"checkpoint": "one"}) as one, served(metadata={"checkpoint": "2"}) as two:
        first = source(one)
        assert first.fingerprint() == source(one).fingerprint()
        others = [source(two), source(one, "name=pi0"), source(one, "execute=3")]
        assert len({first.fingerprint(), *(o.fingerprint() for o in others)}) == 4
        assert source(one, "name=pi0").name == "pi0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("openpi", "openpi:ws://HOST:PORT"),
        ("openpi:127.0.0.1:8000", "openpi:ws://HOST:PORT"),
        ("groot:ws://127.0.0.1:5555", "groot:tcp://HOST:PORT"),
        ("octo:ws://a:1", "openpi, lerobot, groot"),
        ("openpi:ws://a:1?conventions=pi9", "unknown; there are openpi-libero"),
        ("openpi:ws://a:1?execute=17", "1 to 16"),
        ("openpi:ws://a:1?execute=two", "execute is not a number"),
        ("openpi:ws://a:1?execute=2.5", "execute is not a number"),
        ("openpi:ws://a:1?timeout=-1", "timeout is not a number"),
        ("openpi:ws://a:1?port=3", "port unknown"),
    ],
)
def test_a_wrong_text_says_what_is_expected(text: str, words: str):
    with pytest.raises(RainError, match=words):
        RemotePolicies.from_text(text)


def test_the_server_sees_what_openpi_client_would_decode():
    data = pack({"observation/state": READING})
    np.testing.assert_array_equal(openpi_value(data)["observation/state"], READING)


def test_a_run_that_executes_otherwise_is_refused():
    with openpi_server(lambda look: {"actions": chunk(10)}) as address:
        policy = source(address)(0)
        with pytest.raises(RainError, match=r"gives 5 actions .* the run is set to 8"):
            rollout(ReadWorld(), policy, script(), RolloutConfig(execute=8))
