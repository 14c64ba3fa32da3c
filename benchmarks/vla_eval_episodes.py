"""Episodes an hour: RAIN's runner beside the LIBERO loop of AI2's vla-eval.

Runs in vla-eval's environment (``make test-vla-eval`` makes it): ``PYTHONPATH=src
.venv-vla-eval/bin/python benchmarks/vla_eval_episodes.py``. Both run the same episodes, from
official init states of one suite, with the same policy: a served one that answers at once with the
same eight actions, a small sway of the arm, so that no episode ends before its horizon. Both send
it two images of 256 pixels and the state, over a WebSocket: vla-eval to a model server of its own,
in its sync mode, RAIN by openpi's protocol. Timed are the whole commands, ``vla-eval run
--no-docker`` and ``rain bench run``, from start to exit, in turn; two shards run at once, as two
workers do.

What makes the difference is what is not done: vla-eval's loop renders both views at every step,
RAIN's when the policy looks.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
import yaml
from common import report
from vla_eval.api import serve_background
from vla_eval.model_servers.predict import PredictModelServer
from websockets.asyncio.server import serve

from rain.bench.remote.openpi import pack, unpack

CHUNK = 8
SWAY = np.zeros((CHUNK, 7), np.float32)
SWAY[:, 0] = [0.3] * (CHUNK // 2) + [-0.3] * (CHUNK // 2)
SWAY[:, 6] = -1.0


@dataclass(frozen=True)
class Options:
    """Compare the two runners."""

    rain: Path = Path(".venv/bin/rain")
    """RAIN's command."""
    suite: str = "libero_object"
    """One of LIBERO's suites."""
    episodes: int = 2
    """Episodes of each of its ten tasks."""
    horizon: int = 100
    """Control steps of an episode; RAIN's successful ones take about as many."""
    workers: tuple[int, ...] = (1, 2)
    """Processes with a simulator each."""
    rounds: int = 1
    """How often each is timed, in turn; the median is reported."""
    json: Path | None = None
    """Write the figures here."""


class Swaying(PredictModelServer):
    """Answers every look with the sway."""

    def __init__(self) -> None:
        super().__init__(chunk_size=CHUNK)

    def predict(self, obs: Any, ctx: Any) -> Any:
        return {"actions": SWAY}


@contextmanager
def openpi_server() -> Iterator[str]:
    """The same over openpi's protocol; yields HOST:PORT."""

    async def answer(connection: Any) -> None:
        await connection.send(pack({}))
        async for message in connection:
            assert unpack(message)
            await connection.send(pack({"actions": SWAY}))

    async def run() -> None:
        async with serve(answer, "127.0.0.1", 0, compression=None, max_size=None) as server:
            ports.append(server.sockets[0].getsockname()[1])
            started.set()
            await asyncio.Future()

    ports: list[int] = []
    started = threading.Event()
    threading.Thread(target=lambda: asyncio.run(run()), daemon=True).start()
    if not started.wait(10):
        raise RuntimeError("the policy server did not start")
    yield f"127.0.0.1:{ports[0]}"


def seconds(commands: list[list[str]]) -> float:
    """Wall time of commands that run at once; SystemExit with what was said where one fails."""
    env = os.environ | {"OMP_NUM_THREADS": "1", "MUJOCO_GL": "egl", "PYOPENGL_PLATFORM": "egl"}
    began = time.perf_counter()
    running = [
        subprocess.Popen(c, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for c in commands
    ]
    said = [process.communicate()[0] for process in running]
    for process, text in zip(running, said, strict=True):
        if process.returncode:
            sys.exit(text[-3000:])
    return time.perf_counter() - began


def vla_eval_commands(options: Options, workers: int, url: str, folder: Path) -> list[list[str]]:
    """One command a shard."""
    config = {
        "output_dir": str(folder),
        "server": {"url": url},
        "benchmarks": [
            {
                "benchmark": "vla_eval.benchmarks.libero.benchmark:LIBEROBenchmark",
                "episodes_per_task": options.episodes,
                "max_steps": options.horizon,
                "params": {"suite": options.suite, "send_wrist_image": True, "send_state": True},
            }
        ],
    }
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config))
    one = [str(Path(sys.executable).with_name("vla-eval")), "run", "--no-docker", "-c", str(path)]
    one += ["--yes", "--eval-id", "speed"]
    if workers == 1:
        return [one]
    return [[*one, "--shard-id", str(i), "--num-shards", str(workers)] for i in range(workers)]


def rain_commands(options: Options, workers: int, address: str, folder: Path) -> list[list[str]]:
    """The command."""
    policy = f"openpi:ws://{address}?name=sway&execute={CHUNK}&size=256"
    return [
        [str(options.rain), "bench", "run", "--suite", options.suite, "--policy", policy]
        + ["--episodes", str(options.episodes), "--workers", str(workers)]
        + ["--rendering", "official", "--horizon", str(options.horizon), "--out", str(folder)]
    ]


def main(options: Options) -> None:
    taken: dict[tuple[str, int], list[float]] = {}
    with serve_background(Swaying()) as handle, openpi_server() as address:
        for _ in range(options.rounds):
            for workers in options.workers:
                for name in ("vla-eval", "rain"):
                    with tempfile.TemporaryDirectory() as folder:
                        commands = (
                            vla_eval_commands(options, workers, handle.url, Path(folder))
                            if name == "vla-eval"
                            else rain_commands(options, workers, address, Path(folder))
                        )
                        taken.setdefault((name, workers), []).append(seconds(commands))
    count = 10 * options.episodes
    median = {key: float(np.median(values)) for key, values in taken.items()}
    rows = [
        {
            "runner": name,
            "workers": workers,
            "s": value,
            "episodes an hour": 3600 * count / value,
            "times vla-eval": median["vla-eval", workers] / value,
        }
        for (name, workers), value in median.items()
    ]
    report(f"{count} episodes of {options.suite}", rows, options.json)


if __name__ == "__main__":
    main(tyro.cli(Options))
