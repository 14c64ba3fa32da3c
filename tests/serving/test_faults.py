"""Servers and clients as processes that are killed, stopped and cut off."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from bench_fakes import FakeWorld, NoisyPolicy
from serving_fakes import NAMESPACES, PATHS, in_a_network_of_its_own

from rain.client import PolicyClient, ServerError
from rain.types import Subtask

OBSERVATION = FakeWorld().observe(Subtask("grasp", "milk_1"))
SERVER = """
import sys
from serving_fakes import Served
from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig
with Server(PolicyService(Served()), ServerConfig(sys.argv[1], idle=0.5, max_clients=2)) as server:
    print(server.address, flush=True)
    server.run()
"""
CLIENT = """
import sys
from bench_fakes import FakeWorld
from rain.client import PolicyClient
from rain.types import Subtask
client, seen = PolicyClient(sys.argv[1]), FakeWorld().observe(Subtask("grasp", "milk_1"))
while True:
    client.predict(seen)
    print("asked", flush=True)
"""
CUT_OFF = """
import sys, time
from bench_fakes import FakeWorld, NoisyPolicy
from serving_fakes import loopback, serving
from rain.client import PolicyClient, ServerError
from rain.types import Subtask

loopback(True)
seen, local = FakeWorld().observe(Subtask("grasp", "milk_1")), NoisyPolicy(3)
with serving() as server:
    client = PolicyClient(server.address, seed=3, timeout=0.3)
    client.predict(seen), local.predict(seen)
    loopback(False)
    end, lost = time.monotonic() + float(sys.argv[1]), 0
    while time.monotonic() < end:
        try:
            client.predict(seen)
        except ServerError as error:
            assert error.code == "no_answer", error
            lost += 1
    loopback(True)
    back = time.monotonic()
    while True:
        try:
            client.predict(seen)
            break
        except ServerError:
            assert time.monotonic() < back + 30, "it does not come back"
    print(lost, round(time.monotonic() - back, 2), client.health()["clients"])
"""


@contextmanager
def process(code: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": PATHS}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as started:
        try:
            yield started
        finally:
            started.kill()


def line(started: subprocess.Popen[str]) -> str:
    assert started.stdout is not None
    return started.stdout.readline().strip()


def same(found, expected):
    np.testing.assert_array_equal(found.action_chunk.actions, expected.action_chunk.actions)


def test_a_server_that_is_killed_and_one_that_stands_still():
    with process(SERVER, "tcp://127.0.0.1:*") as server:
        address = line(server)
        client, local = PolicyClient(address, seed=3, timeout=0.3), NoisyPolicy(3)
        same(client.predict(OBSERVATION), local.predict(OBSERVATION))
        server.send_signal(signal.SIGSTOP)
        with pytest.raises(ServerError, match="no answer within"):
            client.predict(OBSERVATION)
        server.send_signal(signal.SIGCONT)
        local.predict(OBSERVATION)  # the lost question is answered after all, and dropped
        client._connection.timeout = 5.0
        same(client.predict(OBSERVATION), local.predict(OBSERVATION))
        server.send_signal(signal.SIGKILL)
        server.wait()
        client._connection.timeout = 0.3
        with pytest.raises(ServerError, match="no answer within"):
            client.predict(OBSERVATION)
    client._connection.timeout = 20.0
    with process(SERVER, address):
        same(client.predict(OBSERVATION), NoisyPolicy(3).predict(OBSERVATION))


def test_a_killed_client_makes_room_and_disturbs_nobody(serve):
    server = serve(max_clients=2, idle=0.5)
    other = PolicyClient(server.address)
    with process(CLIENT, server.address) as killed:
        assert line(killed) == "asked"
        with pytest.raises(ServerError, match="takes 2 clients"):
            PolicyClient(server.address)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
    end = time.monotonic() + 0.7
    while time.monotonic() < end:
        assert other.predict(OBSERVATION)
        time.sleep(0.02)
    assert PolicyClient(server.address).health()["clients"] == 2


@NAMESPACES
def test_a_network_that_is_cut_and_comes_back():
    """In a network of its own whose only link goes down; RAIN_CUT_S sets for how long."""
    lost, took, clients = in_a_network_of_its_own(CUT_OFF).split()
    assert int(lost) >= 1
    assert float(took) < 10
    assert clients == "1", "it is the client that it was"
