"""Asking without waiting: every number has one outcome, whatever happens to the messages."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import zmq
from bench_fakes import FakeWorld, NoisyPolicy
from serving_fakes import serving

from rain.client import PolicyClient, ServerError
from rain.client.connection import MOST_WAITING
from rain.client.wire import Message, read
from rain.messages import conventions_out, prediction_out
from rain.types import Subtask

OBSERVATION = FakeWorld().observe(Subtask("grasp", "milk_1"))


def outcomes(client, count, within=5.0):
    """What comes of ``count`` numbers."""
    found, end = [], time.monotonic() + within
    while len(found) < count and time.monotonic() < end:
        try:
            found += client.poll()
        except ServerError as error:
            found.append((error.number, error))
        time.sleep(0.002)
    assert len(found) == count, f"{len(found)} of {count} outcomes"
    return dict(found)


def same(found, expected):
    np.testing.assert_array_equal(found.action_chunk.actions, expected.action_chunk.actions)


@contextmanager
def scripted(*answers):
    """A server that greets, then sends what answers[i] makes of request i."""
    socket = zmq.Context.instance().socket(zmq.ROUTER)
    port = socket.bind_to_random_port("tcp://127.0.0.1")

    def run():
        policy = NoisyPolicy(0)
        hello = {
            "policy": "p", "fingerprint": "f", "version": "v", "horizon": 16, "execute": 8,
            "conventions": conventions_out(policy.conventions),
        }  # fmt: skip
        for answer in (lambda asked: [Message("hello", asked.number, hello)], *answers):
            identity, *frames = socket.recv_multipart()
            for message in answer(read(frames)):
                sent = message if isinstance(message, list) else message.frames()
                socket.send_multipart([identity, *sent])

    thread = threading.Thread(target=run)
    thread.start()
    yield f"tcp://127.0.0.1:{port}"
    thread.join(5)
    socket.close(0)


def prediction(seed):
    return NoisyPolicy(seed).predict(OBSERVATION)


def answer(seed, number):
    return Message("predict", number, prediction_out(prediction(seed)))


def test_several_wait_at_once_and_asking_may_go_on_meanwhile(serve):
    client, local = PolicyClient(serve().address, seed=4), NoisyPolicy(4)
    numbers = [client.ask(OBSERVATION) for _ in range(3)]
    waited = client.predict(OBSERVATION)
    found = outcomes(client, 3)
    assert sorted(found) == numbers
    for number in numbers:
        same(found[number], local.predict(OBSERVATION))
    same(waited, local.predict(OBSERVATION))
    assert client.poll() == []


def test_doubled_reordered_and_strange_answers():
    with scripted(
        lambda asked: [],
        lambda asked: [
            answer(2, asked.number),
            Message("health", asked.number - 1, {}),
            [b"garbage"],
            answer(9, asked.number + 1),  # before it is asked
            answer(1, asked.number - 1),
            answer(8, asked.number),
            answer(8, asked.number - 1),
        ],
        lambda asked: [answer(3, asked.number)],
    ) as address:
        client = PolicyClient(address)
        first, second = client.ask(OBSERVATION), client.ask(OBSERVATION)
        found = outcomes(client, 2)
        same(found[first], prediction(1))
        same(found[second], prediction(2))
        third = client.ask(OBSERVATION)
        same(outcomes(client, 1)[third], prediction(3))
        time.sleep(0.05)
        assert client.poll() == []


def test_a_late_answer_is_an_answer_until_the_time_is_over():
    def late(asked):
        time.sleep(0.25)
        return [answer(1, asked.number)]

    with scripted(late, late) as address:
        client = PolicyClient(address, timeout=2.0)
        number = client.ask(OBSERVATION)
        assert client.poll() == []
        same(outcomes(client, 1)[number], prediction(1))
        client._connection.timeout = 0.1
        number = client.ask(OBSERVATION)
        assert outcomes(client, 1)[number].code == "no_answer"
        time.sleep(0.3)
        assert client.poll() == []


def test_an_answer_that_is_no_prediction():
    with scripted(lambda asked: [Message("predict", asked.number, {"actions": 1})]) as address:
        client = PolicyClient(address)
        number = client.ask(OBSERVATION)
        assert "expected a prediction" in str(outcomes(client, 1)[number])


def test_the_oldest_of_too_many_is_given_up():
    with scripted() as address:
        client = PolicyClient(address, timeout=30.0)
        numbers = [client.ask(OBSERVATION) for _ in range(MOST_WAITING + 2)]
        found = outcomes(client, 2)
        assert sorted(found) == numbers[:2]
        assert {error.code for error in found.values()} == {"overtaken"}


def test_a_server_that_is_killed_and_comes_back():
    with serving() as server:
        address = server.address
        client = PolicyClient(address, seed=5, timeout=0.5)
        same(client.predict(OBSERVATION), prediction(5))
    lost = [client.ask(OBSERVATION) for _ in range(2)]
    found = outcomes(client, 2)
    assert sorted(found) == lost
    assert {error.code for error in found.values()} == {"no_answer"}
    client._connection.timeout = 5.0
    early = client.ask(OBSERVATION)  # before anybody is there: sent when somebody is
    assert client.poll() == []
    with serving(address=address) as server:
        later = client.ask(OBSERVATION)
        found, local = outcomes(client, 2), NoisyPolicy(5)
        same(found[early], local.predict(OBSERVATION))
        same(found[later], local.predict(OBSERVATION))
        assert client.health()["clients"] == 1


def test_a_forgotten_client_greets_again_and_its_questions_are_answered():
    now = [0.0]
    with serving(idle=10.0, clock=lambda: now[0]) as server:
        client = PolicyClient(server.address, seed=6)
        now[0] = 20.0
        PolicyClient(server.address)  # whoever greets lets the server forget the silent
        numbers = [client.ask(OBSERVATION) for _ in range(3)]
        found, local = outcomes(client, 3), NoisyPolicy(6)
        for number in numbers:
            same(found[number], local.predict(OBSERVATION))


def test_a_client_that_leaves_makes_room(serve):
    server = serve(max_clients=1)
    for _ in range(3):
        client = PolicyClient(server.address)
        assert client.predict(OBSERVATION)
        client.close()
        with pytest.raises(ServerError, match="closed"):
            client.ask(OBSERVATION)


def test_a_killed_client_harms_nobody(serve):
    server = serve(max_clients=2)
    other, killed = PolicyClient(server.address), PolicyClient(server.address)
    for _ in range(3):
        killed.ask(OBSERVATION)
    killed._connection._finalizer.detach()
    killed._connection._socket.close(0)  # as a process that is gone: no goodbye
    for _ in range(5):
        assert other.predict(OBSERVATION)
