"""``rain serve`` as a process: it answers, and ends when it is told to."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

import pytest

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
    ):
        assert main(["serve", *arguments]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(RainError, match="tcp://HOST:PORT"):
        is_loopback("http://127.0.0.1:80")
