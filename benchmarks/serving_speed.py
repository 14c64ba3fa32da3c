"""What serving costs: round trips of one client by protocol, and throughput by clients.

The server is a process of its own whose policy answers at once, so that the figures are those of
the way there and back; ``--checkpoint`` puts a network behind it. Others ask too, in the same run
and in turns with ours, so that a busy machine slows all: with ``--openpi-python`` (the Python of
`make test-openpi`'s environment) the real openpi-client, with ``--lerobot-python`` (that of
`make test-lerobot`, and ``pip install grpcio protobuf``) LeRobot's asynchronous inference between
its own client and its own server.
"""

from __future__ import annotations

import json
import multiprocessing
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from common import random_observation, report

from rain.bench.sources import CheckpointPolicies
from rain.client import PolicyClient
from rain.serving.guests.ports import Guests
from rain.serving.guests.reading import GuestOptions
from rain.serving.policies import PolicyService
from rain.serving.server import Server, ServerConfig
from rain.types import ActionChunk, Conventions, Observation, Plan, Prediction, Progress

OPENPI_CLIENT = """
import sys, time, json
import numpy as np
from openpi_client.websocket_client_policy import WebsocketClientPolicy
given = np.load(sys.argv[2])
sent = {key.replace(".", "/"): given[key] for key in given.files} | {"action_type": "grasp"}
policy = WebsocketClientPolicy(sys.argv[1])
for line in sys.stdin:
    taken = []
    for _ in range(int(line)):
        start = time.perf_counter()
        policy.infer(sent)
        taken.append(time.perf_counter() - start)
    print(json.dumps(taken), flush=True)
"""


@dataclass(frozen=True)
class Options:
    """Measure a policy server."""

    checkpoint: str | None = None
    """A checkpoint folder or a shipped name; default: a policy that answers at once."""
    views: int = 3
    """Of the policy that answers at once."""
    size: int = 336
    """Side of its images, pixels."""
    requests: int = 400
    """Round trips of each protocol."""
    clients: tuple[int, ...] = (1, 4, 16)
    """Clients at a time, each a process."""
    seconds: float = 5.0
    """That they ask."""
    openpi_python: Path | None = None
    """Python of an environment with openpi-client."""
    lerobot_python: Path | None = None
    """Python of an environment with lerobot and grpcio."""
    json: Path | None = None
    """Write the figures here."""


@dataclass(frozen=True)
class StillPolicies:
    """Policies that answer at once."""

    conventions: Conventions
    name: str = "still"

    def fingerprint(self) -> str:
        return "still"

    def __call__(self, seed: int) -> StillPolicies:
        return self

    def predict_together(self, policies: Any, observations: Any, size: int) -> list[Prediction]:
        chunk, plan = ActionChunk(np.zeros((16, 7))), Plan(np.zeros((8, 3)))
        return [Prediction(chunk, plan, Progress(0.0, 0.0, 0.0))] * len(observations)


def main(options: Options) -> None:
    with served(options) as (address, openpi):
        conventions = PolicyClient(address).conventions
        observation = random_observation(conventions)
        rows = round_trips(options, address, openpi, observation)
        size = f"{len(conventions.views)} x {conventions.image_size} px"
        name = options.checkpoint or "nothing behind"
        report(f"round trip, {size}, {name}", rows, None)
        more = [throughput(address, n, options.seconds, observation) for n in options.clients]
        report(f"throughput, {size}, {name}", more, None)
    if options.json is not None:
        options.json.write_text(json.dumps({"round_trip": rows, "throughput": more}, indent=2))


def round_trips(
    options: Options, address: str, openpi: str, observation: Observation
) -> list[dict[str, Any]]:
    """Milliseconds a request of each protocol, in turns of twenty."""
    client = PolicyClient(address)
    others = other_clients(options, openpi, observation)
    taken: dict[str, list[float]] = {"rain": [], **{name: [] for name in others}}
    for turn in range(options.requests // 20 + 1):
        ours = []
        for _ in range(20):
            start = time.perf_counter()
            client.predict(observation)
            ours.append(time.perf_counter() - start)
        theirs = {name: ask_turn(name, process, 20) for name, process in others.items()}
        if turn:  # the first warms up
            for name, values in {"rain": ours, **theirs}.items():
                taken[name] += values
    for process in others.values():
        process.communicate("", timeout=20)
    return [{"client": name, "requests": len(t), **figures(t)} for name, t in taken.items()]


def figures(taken: list[float]) -> dict[str, float]:
    """Milliseconds: median, 90 %, 99 %."""
    values = 1000 * np.array(taken)
    return {f"p{p} ms": float(np.percentile(values, p)) for p in (50, 90, 99)}


def other_clients(
    options: Options, openpi: str, observation: Observation
) -> dict[str, subprocess.Popen[str]]:
    """The real clients of others, in processes of their own environments."""
    file = str(Path(tempfile.mkdtemp()) / "observation.npz")
    arrays = {f"observation.{view}": image for view, image in observation.images.items()}
    arrays |= {f"observation.region.{view}": r for view, r in observation.regions.items()}
    np.savez(file, **arrays, **{"observation.state": observation.state})
    script = str(Path(__file__).with_name("lerobot_async.py"))
    commands = {
        "openpi-client": (options.openpi_python, "-c", OPENPI_CLIENT, openpi, file),
        "LeRobot async": (options.lerobot_python, script, file),
    }
    return {
        name: subprocess.Popen(
            [str(command[0].absolute()), *map(str, command[1:])],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={}, cwd=Path(file).parent,  # LeRobot writes logs where it runs
        )
        for name, command in commands.items() if command[0] is not None
    }  # fmt: skip


def ask_turn(name: str, process: subprocess.Popen[str], count: int) -> list[float]:
    """Seconds of so many requests of another client."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{count}\n")
    process.stdin.flush()
    line = process.stdout.readline()
    if not line:
        raise SystemExit(f"{name} ended: its error is above")
    return json.loads(line)


def throughput(
    address: str, clients: int, seconds: float, observation: Observation
) -> dict[str, Any]:
    """Predictions a second of several clients that ask as fast as they are answered."""
    context = multiprocessing.get_context("spawn")
    go = context.Barrier(clients)
    pool = [context.Pipe() for _ in range(clients)]
    started = [
        context.Process(target=_client, args=(address, seconds, observation, go, theirs))
        for _, theirs in pool
    ]
    for process in started:
        process.start()
    taken = [ours.recv() for ours, _ in pool]
    for process in started:
        process.join()
    every = [t for each in taken for t in each]
    return {"clients": clients, "predictions / s": len(every) / seconds, **figures(every)}


def _client(
    address: str, seconds: float, observation: Observation, go: Any, answer: Connection
) -> None:
    client = PolicyClient(address, timeout=60.0)
    client.predict(observation)
    go.wait()
    taken, end = [], time.perf_counter() + seconds
    while (start := time.perf_counter()) < end:
        client.predict(observation)
        taken.append(time.perf_counter() - start)
    answer.send(taken)


@contextmanager
def served(options: Options) -> Iterator[tuple[str, str]]:
    """A policy server in a process of its own; its addresses."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(options, theirs), daemon=True)
    process.start()
    yield ours.recv()
    process.terminate()
    process.join()


def _serve(options: Options, told: Connection) -> None:
    conventions = Conventions(
        ("third", "top", "wrist", "left", "right")[: options.views], options.size, "s", "a", 30.0
    )  # fmt: skip
    policies: Any = StillPolicies(conventions)
    if options.checkpoint is not None:
        policies = CheckpointPolicies(options.checkpoint)
    service = PolicyService(policies)
    config = ServerConfig("tcp://127.0.0.1:*", rate=1e9)
    with Server(service, config) as server:
        guests = Guests(server, service, config, GuestOptions())
        with guests.listening("openpi", 0) as port:
            told.send((server.address, f"ws://127.0.0.1:{port}"))
            server.run()


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options)))
