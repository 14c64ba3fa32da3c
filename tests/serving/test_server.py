"""Server and client over real sockets: predictions, refusals, hostile messages, restarts."""

from __future__ import annotations

import dataclasses
import threading

import numpy as np
import pytest
import zmq
from bench_fakes import CONVENTIONS, FakeWorld, NoisyPolicy
from serving_fakes import Served, serving

from rain.client import PolicyClient, ServerError
from rain.client.wire import VERSION, Message, read
from rain.messages import observation_out
from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig
from rain.types import RainError, Subtask

OBSERVATION = FakeWorld().observe(Subtask("grasp", "milk_1"))


def actions(prediction):
    return prediction.action_chunk.actions


def raw(server):
    """A socket of no client of ours."""
    socket = zmq.Context.instance().socket(zmq.DEALER)
    socket.setsockopt(zmq.LINGER, 0)
    socket.connect(server.address)
    return socket


def exchange(socket, frames):
    socket.send_multipart(frames)
    assert socket.poll(5000), "no answer"
    return read(socket.recv_multipart())


class TestAnswers:
    def test_hello_says_what_is_served(self, serve):
        greeting = PolicyClient(serve(execute=5).address).greeting
        assert greeting.conventions == CONVENTIONS
        assert (greeting.fingerprint, greeting.execute, greeting.horizon) == ("abc", 5, 16)

    def test_predictions_are_those_of_the_policy_itself(self, serve):
        server, local = serve(), NoisyPolicy(7)
        client = PolicyClient(server.address, seed=7)
        for _ in range(3):
            np.testing.assert_array_equal(
                actions(client.predict(OBSERVATION)), actions(local.predict(OBSERVATION))
            )

    def test_reset_starts_the_noise_again(self, serve):
        client = PolicyClient(serve().address, seed=3)
        first = actions(client.predict(OBSERVATION))
        client.predict(OBSERVATION)
        client.reset(3)
        np.testing.assert_array_equal(actions(client.predict(OBSERVATION)), first)

    def test_clients_have_noise_of_their_own(self, serve):
        server = serve()
        clients = [PolicyClient(server.address, seed=seed) for seed in range(4)]
        found = {}

        def ask(seed):
            found[seed] = [actions(clients[seed].predict(OBSERVATION)) for _ in range(5)]

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        for seed in range(4):
            local = NoisyPolicy(seed)
            for one in found[seed]:
                np.testing.assert_array_equal(one, actions(local.predict(OBSERVATION)))

    def test_health_and_metrics(self, serve):
        client = PolicyClient(serve().address)
        client.predict(OBSERVATION)
        health = client.health()
        assert (health["status"], health["clients"]) == ("ok", 1)
        assert health["uptime_s"] > 0
        text = client.metrics()
        assert 'rain_requests_total{kind="predict"} 1.0' in text
        assert 'rain_answer_seconds_count{kind="predict"} 1.0' in text
        assert "rain_clients 1.0" in text


class TestRefusals:
    def test_before_hello(self, serve):
        message = Message("predict", 4, observation_out(OBSERVATION))
        answer = exchange(raw(serve()), message.frames())
        assert (answer.kind, answer.number, answer.content["code"]) == ("error", 4, "not_greeted")

    def test_token(self, serve):
        server = serve(token="secret")
        for token in (None, "", "Secret"):
            with pytest.raises(ServerError, match="token is missing or wrong"):
                PolicyClient(server.address, token=token)
        assert PolicyClient(server.address, token="secret").predict(OBSERVATION)

    def test_no_more_clients_than_it_takes_and_silent_ones_are_forgotten(self, serve):
        now = [0.0]
        server = serve(max_clients=2, idle=10.0, clock=lambda: now[0])
        first, second = (PolicyClient(server.address) for _ in range(2))
        with pytest.raises(ServerError, match="takes 2 clients"):
            PolicyClient(server.address)
        now[0] = 9.0
        second.health()
        now[0] = 18.0
        third = PolicyClient(server.address)
        assert third.health()["clients"] == 2
        with pytest.raises(ServerError, match="takes 2 clients"):
            first.health()  # forgotten; it greets again, and finds no room

    def test_too_fast(self, serve):
        now = [0.0]
        client = PolicyClient(serve(rate=2, clock=lambda: now[0]).address)
        client.health()
        client.health()
        with pytest.raises(ServerError, match="more than 2 requests") as error:
            client.health()
        assert error.value.code == "too_fast"
        now[0] = 0.5
        client.health()

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"state": np.full(7, np.nan)}, "NaN"),
            (
                {"images": {"agentview": np.zeros((32, 32, 3), np.uint8)}, "regions": {}},
                "the observation has",
            ),
            ({"action_type": "juggle"}, "unknown action type"),
            ({"images": []}, "expected a mapping"),
        ],
    )
    def test_a_wrong_observation(self, serve, change, message):
        client = PolicyClient(serve().address)
        with pytest.raises(ServerError, match=message):
            client._connection.ask("predict", observation_out(OBSERVATION) | change)
        assert client.predict(OBSERVATION), "the server goes on"

    def test_a_policy_that_fails(self, serve):
        client = PolicyClient(serve().address)
        with pytest.raises(ServerError, match="it does not let go") as error:
            client.predict(dataclasses.replace(OBSERVATION, action_type="release"))
        assert error.value.code == "policy_failed"
        assert client.predict(OBSERVATION)


class TestHostile:
    @pytest.mark.parametrize(
        ("frames", "code"),
        [
            ([b""], "bad_request"),
            ([b"\x80\x04pickle"], "bad_request"),
            ([b"x"] * 40, "bad_request"),
            (Message("explode", 1).frames(), "bad_request"),
            (Message("hello", 1, {"seed": -1}).frames(), "bad_request"),
            (Message("hello", 1).frames()[:1] + [b"stray"], "bad_request"),
        ],
    )
    def test_is_answered_with_an_error(self, serve, frames, code):
        server = serve()
        assert exchange(raw(server), frames).content["code"] == code
        assert PolicyClient(server.address).predict(OBSERVATION)

    def test_another_version(self, serve, monkeypatch):
        monkeypatch.setattr("rain.client.wire.VERSION", VERSION + 1)
        frames = Message("hello", 1).frames()
        monkeypatch.undo()
        assert exchange(raw(serve()), frames).content["code"] == "version"

    def test_what_is_too_large_is_not_read(self, serve):
        server = serve(max_message=10_000)
        socket = raw(server)
        socket.send_multipart([bytes(20_000)])
        assert not socket.poll(300)
        small = PolicyClient(server.address)
        assert small.health()["status"] == "ok"

    def test_random_frames(self, serve):
        server = serve()
        socket, rng = raw(server), np.random.default_rng(0)
        for _ in range(300):
            socket.send_multipart([rng.bytes(int(rng.integers(0, 60))) for _ in range(3)])
        assert PolicyClient(server.address).predict(OBSERVATION)


class TestAway:
    def test_nobody_there(self):
        with pytest.raises(ServerError, match=r"no answer within 0.2 s"):
            PolicyClient("tcp://127.0.0.1:9", timeout=0.2)
        with pytest.raises(ServerError, match="expected tcp://HOST:PORT"):
            PolicyClient("nonsense", timeout=0.2)

    def test_a_server_that_comes_back(self):
        with serving() as server:
            address = server.address
            client = PolicyClient(address, seed=5, timeout=0.5)
            first = actions(client.predict(OBSERVATION))
        with pytest.raises(ServerError, match="no answer"):
            client.predict(OBSERVATION)
        with serving(address=address):
            client._connection.timeout = 5.0
            np.testing.assert_array_equal(actions(client.predict(OBSERVATION)), first)

    def test_a_server_that_comes_back_with_another_policy(self):
        other = Served()
        other.__class__ = type("Other", (Served,), {"print": "def"})
        with serving() as server:
            address = server.address
            client = PolicyClient(address)
        with (
            serving(other, address=address),
            pytest.raises(ServerError, match="another policy now"),
        ):
            client.predict(OBSERVATION)

    def test_late_and_doubled_answers_are_dropped(self):
        socket = zmq.Context.instance().socket(zmq.ROUTER)
        port = socket.bind_to_random_port("tcp://127.0.0.1")

        def confuse():
            for _ in range(2):  # hello, then health
                identity, *frames = socket.recv_multipart()
                asked = read(frames)
                with_hello = {
                    "policy": "p", "fingerprint": "f", "version": "v", "horizon": 16, "execute": 8,
                    "conventions": dataclasses.asdict(CONVENTIONS),
                }  # fmt: skip
                content = with_hello if asked.kind == "hello" else {"status": "right"}
                for number, said in ((asked.number - 1, "late"), (asked.number + 1, "early")):
                    wrong = Message(asked.kind, number, {"status": said})
                    socket.send_multipart([identity, *wrong.frames()])
                socket.send_multipart([identity, b"garbage"])
                right = Message(asked.kind, asked.number, content).frames()
                socket.send_multipart([identity, *right])
                socket.send_multipart([identity, *right])

        thread = threading.Thread(target=confuse)
        thread.start()
        client = PolicyClient(f"tcp://127.0.0.1:{port}")
        assert client.health() == {"status": "right"}
        thread.join()
        socket.close(0)


def test_an_address_that_is_taken(serve):
    with pytest.raises(RainError, match="cannot listen there"):
        Server(PolicyService(Served()), ServerConfig(address=serve().address))


@pytest.mark.parametrize("wrong", [{"batch": 0}, {"rate": 0.0}, {"idle": 0.0}])
def test_wrong_configuration(wrong):
    with pytest.raises(RainError, match="expected"):
        ServerConfig(**wrong)


@pytest.mark.parametrize("execute", [0, 17])
def test_wrong_number_of_actions_to_execute(execute):
    with pytest.raises(RainError, match="execute: expected 1 to 16"):
        PolicyService(Served(), execute)
