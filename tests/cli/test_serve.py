"""``rain serve`` as a process: it answers, and ends when it is told to."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from urllib.request import urlopen

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from rain.bench.policies import policy_source
from rain.cli.main import main
from rain.cli.serving_options import is_loopback
from rain.client import PolicyClient
from rain.types import RainError


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_serves_the_shipped_checkpoint_until_it_is_told_to_end(ending):
    command = [sys.executable, "-m", "rain.cli.main", "serve", "--address", "tcp://127.0.0.1:*"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"rain-nano at (tcp://127\.0\.0\.1:\d+), without a token", line)
            assert found, line
            client = PolicyClient(found.group(1))
            assert client.greeting.policy == "rain-nano"
            assert client.health()["status"] == "ok"
            process.send_signal(ending)
            assert process.wait(20) == 0
            assert process.stdout.read() == "stopped\n"
        finally:
            process.kill()


def test_ports_for_other_protocols_and_figures():
    command = [sys.executable, "-m", "rain.cli.main", "serve", "--address", "tcp://127.0.0.1:*"]
    ports = ["--openpi-port", "0", "--gr00t-port", "0", "--metrics-port", "0"]
    with subprocess.Popen([*command, *ports], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"openpi at 127\.0\.0\.1:(\d+), gr00t at 127\.0\.0\.1:(\d+)", line)
            assert found, line
            figures = process.stdout.readline().split()[-1]
            connection = connect(f"ws://127.0.0.1:{found.group(1)}", compression=None)
            assert b"rain-nano" in connection.recv()
            assert policy_source(f"groot:tcp://127.0.0.1:{found.group(2)}?timeout=5").fingerprint()
            assert b"rain_clients 2.0" in urlopen(figures, timeout=5).read()
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            with pytest.raises(ConnectionClosed):
                connection.recv(5)
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("tcp://127.0.0.1:5560", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:5560", True),
        ("ipc:///tmp/x", True),
        ("tcp://*:5560", False),
        ("tcp://0.0.0.0:5560", False),
        ("tcp://192.168.1.4:5560", False),
        ("tcp://eth0:5560", False),
        ("tcp://robot.local:5560", False),
    ],
)
def test_loopback(address, expected):
    assert is_loopback(address) is expected


def test_bad_input(capsys, monkeypatch):
    monkeypatch.delenv("RAIN_TOKEN", raising=False)
    for arguments, message in (
        (["--address", "tcp://*:5560"], "set RAIN_TOKEN"),
        (["--address", "5560"], "expected tcp://HOST:PORT"),
        (["--checkpoint", "nowhere"], "nowhere"),
        (["--execute", "17"], "execute"),
        (["--openpi-port", "0", "--guests.host", "0.0.0.0"], "api_key, api_token"),
        (["--openpi-port", "99999"], "cannot listen"),
        (["--gr00t-port", "99999"], "cannot listen"),
        (["--metrics-port", "99999"], "cannot listen"),
        (["--curve", "nowhere"], "knows no client"),
        (["--guests.conventions", "none"], "unknown"),
    ):
        assert main(["serve", "--address", "tcp://127.0.0.1:*", *arguments]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(RainError, match="tcp://HOST:PORT"):
        is_loopback("http://127.0.0.1:80")
