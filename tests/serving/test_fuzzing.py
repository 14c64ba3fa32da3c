"""Whatever comes over the wire is read or refused in one line; nothing else is ever raised."""

from __future__ import annotations

import contextlib
import resource

import msgpack
import pytest
import zmq
from bench_fakes import FakeWorld
from hypothesis import given, settings
from hypothesis import strategies as st

from rain.bench.remote import groot, openpi
from rain.client import PolicyClient
from rain.client.wire import Message, WireError, read
from rain.messages import (
    FRAME,
    conventions_in,
    look_in,
    observation_in,
    observation_out,
    prediction_in,
)
from rain.types import RainError, Subtask

OBSERVATION = FakeWorld().observe(Subtask("grasp", "milk_1"))
FRAMES = [bytes(f) for f in Message("predict", 1, observation_out(OBSERVATION)).frames()]

plain = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text()
heads = st.tuples(
    st.sampled_from(["|u1", "<f4", "|b1", "|O", "<f8", "<U4", "", "<M8[s]", ">f4"]),
    st.lists(st.integers(-1, 2**63) | st.sampled_from([0, 1, 7, 32]), max_size=70),
)
extensions = st.builds(
    lambda code, head, rest: msgpack.ExtType(code, msgpack.packb(head) + rest),
    st.integers(0, 4),
    heads,
    st.binary(max_size=8),
)
names = st.sampled_from(
    ["images", "regions", "state", "action_type", "instruction", "proprioception", "agentview",
     "actions", "waypoints", "stamp", "stamps", "scores", "notes", "views", "grasp"]
)  # fmt: skip
values = st.recursive(
    plain | extensions | st.binary(max_size=8) | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names | plain, inner, max_size=6),
    max_leaves=20,
)
headers = st.builds(
    lambda version, kind, number, content: msgpack.packb([version, kind, number, content]),
    st.sampled_from([1, 1, 1, 0, 2, "1", None]),
    st.sampled_from(["hello", "predict", "reset", "metrics", "", "bye"]) | plain,
    st.integers(-5, 5) | plain,
    values,
)


@st.composite
def broken(draw):
    """A real request with something cut off, changed, doubled, dropped or out of its order."""
    frames = list(FRAMES)
    for _ in range(draw(st.integers(1, 3))):
        i = draw(st.integers(0, len(frames) - 1))
        frame = frames[i]
        how = draw(st.sampled_from(["cut", "change", "double", "drop", "swap", "grow"]))
        if how == "cut":
            frames[i] = frame[: draw(st.integers(0, len(frame)))]
        elif how == "change" and frame:
            at = draw(st.integers(0, len(frame) - 1))
            frames[i] = frame[:at] + bytes([draw(st.integers(0, 255))]) + frame[at + 1 :]
        elif how == "double":
            frames.insert(i, frame)
        elif how == "drop" and len(frames) > 1:
            del frames[i]
        elif how == "swap":
            j = draw(st.integers(0, len(frames) - 1))
            frames[i], frames[j] = frames[j], frames[i]
        else:
            frames[i] = frame + draw(st.binary(max_size=8))
    return frames


requests = broken() | st.builds(lambda h, f: [h, *f], headers, st.lists(st.binary(max_size=16)))


@given(requests)
@settings(max_examples=300, deadline=None)
def test_frames(frames):
    with contextlib.suppress(WireError):
        content = read(frames).content
        for reader in (observation_in, prediction_in, look_in, conventions_in):
            with contextlib.suppress(RainError):
                reader(content)


@given(st.binary(max_size=200) | values.map(msgpack.packb))
@settings(max_examples=200, deadline=None)
def test_guests_bytes(data):
    for codec in (openpi, groot):
        with contextlib.suppress(RainError):
            codec.unpack(data)


class TestServer:
    def test_answers_every_broken_request_with_an_error_and_goes_on(self, serve):
        server = serve(rate=1e6)
        socket = zmq.Context.instance().socket(zmq.DEALER)
        socket.setsockopt(zmq.LINGER, 0)
        socket.connect(server.address)

        def ask(frames):
            socket.send_multipart(frames)
            assert socket.poll(5000), "no answer"
            return read(socket.recv_multipart())

        assert ask(Message("hello", 1, {}).frames()).kind == "hello"

        @given(broken())
        @settings(max_examples=150, deadline=None)
        def every(frames):
            answer = ask(frames)
            assert answer.kind in ("error", "predict")
            assert answer.kind == "predict" or answer.content["code"] in ("bad_request", "version")

        every()
        assert ask(FRAMES).kind == "predict"

    @pytest.mark.parametrize(
        "head",
        [
            ("|u1", [2**62, 4]), ("|u1", [1] * 70), ("|O", [1]), ("<U4", [1]), ("<f4", [0, 2**62]),
            ("<M8[s]", [1]), (">f4", [1]), ("|u1", [-1]), ("|u1", [True]), (1, 1),
        ],
    )  # fmt: skip
    def test_arrays_that_cannot_be(self, serve, head):
        client = PolicyClient(serve().address)
        content = observation_out(OBSERVATION) | {"state": None}
        array = msgpack.ExtType(FRAME, msgpack.packb(head))
        header = msgpack.packb([1, "predict", 9, {"state": array}])
        with pytest.raises(WireError, match="not a message"):
            read([header, b"1234"])
        with pytest.raises(RainError, match="Observation"):
            observation_in(content)
        assert client.predict(OBSERVATION)


def test_memory_is_flat_over_many_requests(serve):
    """A leak of one observation (32 x 32 px, 8 KB) a request would be 12 MB here."""
    client = PolicyClient(serve(rate=1e6).address)

    def ask(count):
        for _ in range(count):
            client.predict(OBSERVATION)
        return resident()

    ask(300)
    before = ask(100)
    assert ask(1500) - before < 4e6


def resident() -> float:
    """Bytes of memory that this process holds."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_memory_does_not_grow_with_clients_that_come_and_go(serve):
    server = serve(max_clients=4)
    for _ in range(30):
        client = PolicyClient(server.address)
        client.close()
    assert len(server._clients.known) <= 4
    assert PolicyClient(server.address).health()["clients"] <= 4
