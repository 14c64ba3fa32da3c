"""Memory of a policy server and a mask server while a robot's loop asks them: it should be flat."""

from __future__ import annotations

import multiprocessing
import resource
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from common import report
from serving_speed import StillPolicies

from rain.client import MaskClient, PolicyClient, ServerError
from rain.perception.classical import ClassicalSegmenter
from rain.serving.masks import MaskParts, MaskService
from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig
from rain.types import Conventions, Observation

VIEWS = ("third", "top", "wrist")
CONVENTIONS = Conventions(VIEWS, 336, "s", "a", 30.0)


@dataclass(frozen=True)
class Options:
    """Ask at a robot's rate and look at the servers' memory."""

    minutes: float = 60.0
    """How long."""
    rate: float = 30.0
    """Frames a second; every fifth asks the policy too, and a new client comes every minute."""
    rows: int = 10
    """Times at which the memory is told."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    policy, masks = _start(_policy_server), _start(_mask_server)
    asker, eye = PolicyClient(policy[1]), MaskClient(masks[1])
    eye.begin("block_1", ground=False)
    images = dict.fromkeys(VIEWS, np.zeros((336, 336, 3), np.uint8))
    rows, start, sent, failed = [], time.monotonic(), 0, 0
    for row in range(options.rows + 1):
        until = start + 60 * options.minutes * row / options.rows
        while time.monotonic() < until:
            images = {view: _picture(sent) for view in VIEWS}
            try:
                look = eye.look(images, time.monotonic())
                if sent == 0:
                    eye.click("top", look.stamp, [(150.0, 150.0)])
                if sent % 5 == 0:
                    asker.ask(Observation(images, look.regions, np.zeros(7), "grasp"))
                asker.poll()
                if sent % int(60 * options.rate) == 0:
                    PolicyClient(policy[1]).close()
            except ServerError:
                failed += 1
            sent += 1
            time.sleep(max(0.0, start + sent / options.rate - time.monotonic()))
        rows.append(
            {
                "minutes": (time.monotonic() - start) / 60,
                "frames": sent,
                "failed": failed,
                "policy server MiB": _resident(policy[0]),
                "mask server MiB": _resident(masks[0]),
            }
        )
        print(rows[-1], flush=True)
    report("memory of the servers, 3 x 336 px", rows, options.json)


def _picture(number: int) -> np.ndarray:
    image = np.full((336, 336, 3), 90, np.uint8)
    left = 120 + number % 40
    image[120:180, left : left + 60] = (200, 30, 20)
    return image


def _start(serve: Any) -> tuple[int, str]:
    """A server in a process of its own: its number and its address."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), daemon=True)
    process.start()
    assert process.pid is not None
    return process.pid, ours.recv()


def _policy_server(told: Connection) -> None:
    _run(PolicyService(StillPolicies(CONVENTIONS)), told)


def _mask_server(told: Connection) -> None:
    _run(MaskService(MaskParts(ClassicalSegmenter)), told)


def _run(service: Any, told: Connection) -> None:
    with Server(service, ServerConfig("tcp://127.0.0.1:*", batch=64)) as server:
        told.send(server.address)
        server.run()


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main(tyro.cli(Options))
