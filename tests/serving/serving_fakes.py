"""A policy server in a thread, with a fake policy; a network that can be cut."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from bench_fakes import NoisyPolicies

from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig


class Served(NoisyPolicies):
    """The fakes' noisy policies, with a fingerprint that can be exchanged."""

    print = "abc"

    def fingerprint(self) -> str:
        return self.print


@contextmanager
def serving(policies: Any = None, address: str = "tcp://127.0.0.1:*", **more: Any) -> Iterator[Any]:
    """A server that runs meanwhile."""
    service = PolicyService(policies or Served(), more.pop("execute", 8))
    with running(service, address, **more) as server:
        yield server


@contextmanager
def running(service: Any, address: str = "tcp://127.0.0.1:*", **more: Any) -> Iterator[Server]:
    """A server of any service that runs meanwhile."""
    made = {"clock": more.pop("clock")} if "clock" in more else {}
    with Server(service, ServerConfig(address=address, **more), **made) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            yield server
        finally:
            server.stop()
            thread.join(10)
            assert not thread.is_alive()


def loopback(up: bool) -> None:
    """Cut this network's only link, or bring it up."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        flags = struct.pack("16sh14x", b"lo", 0x41 if up else 0x40)
        fcntl.ioctl(any_socket, 0x8914, flags)


def in_a_network_of_its_own(script: str) -> str:
    """What a script prints that is run in a network of its own, whose link it may cut.

    Its argument, s, is for how long: RAIN_CUT_S, or one second.
    """
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", script, os.environ.get("RAIN_CUT_S", "1.0")],
        capture_output=True, text=True, timeout=120, env=os.environ | {"PYTHONPATH": PATHS},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def _namespaces() -> bool:
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0


NAMESPACES = pytest.mark.skipif(not _namespaces(), reason="needs network namespaces")
PATHS = os.pathsep.join(
    [str(Path(__file__).parents[1] / room) for room in ("serving", "bench", "robot")]
    + [os.environ.get("PYTHONPATH", "")]
)
"""Where processes of their own find the tests' helpers."""
