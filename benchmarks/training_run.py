"""What a whole run of ``rain train`` does on this machine, by processes and threads.

Every row is a run of the real command, in processes of its own: seconds from the command to the
first finished step (fresh, with the images still to unpack, and again), seconds to resume a stopped
run, samples a second and the share of time that steps wait for data, from its log.csv.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import tyro
from common import report

from rain.training.logs import read_rows


@dataclass(frozen=True)
class Options:
    """Measure runs of the training command."""

    data: tuple[Path, ...]
    """Dataset folders."""
    preset: str = "rain-nano"
    """Network and recipe."""
    ways: tuple[str, ...] = ("1x1", "1x2", "2x1")
    """Processes x threads of each."""
    steps: int = 40
    """Steps of each stage; the first half is not counted."""
    batch: int | None = None
    """Global batch size; by default the recipe's."""
    arguments: str = ""
    """More options of rain train, as one string."""
    json: Path | None = None
    """Write the figures here."""


def main(options: Options) -> None:
    with tempfile.TemporaryDirectory() as folder:
        rows = [measure(options, way, Path(folder)) for way in options.ways]
    report(f"rain train --preset {options.preset}", rows, options.json)


def measure(options: Options, way: str, folder: Path) -> dict[str, object]:
    processes, threads = (int(part) for part in way.split("x"))
    cache, out = folder / f"cache-{way}", folder / way
    command = [
        *launcher(processes),
        *("train", "--preset", options.preset, "--data", *map(str, options.data)),
        *("--threads", str(threads), "--cache", str(cache), *options.arguments.split()),
        *("--stage1.steps", str(options.steps), "--stage2.steps", str(options.steps)),
        *("--validate-every", "1000000", "--log-every", str(options.steps // 2)),
    ]
    if options.batch:
        for stage in ("stage1", "stage2"):
            command += [f"--{stage}.batch", str(options.batch)]
    # Saves after its first step and stops.
    one = ["--stop-after-minutes", "0"]
    cold = seconds([*command, "--out", str(folder / f"{way}-cold"), *one], threads)
    warm = seconds([*command, "--out", str(out), *one], threads)
    resumed = seconds([*command, "--out", str(out), *one], threads)
    seconds([*command, "--out", str(out)], threads)
    last = {row["stage"]: row for row in read_rows(out / "log.csv")}
    shutil.rmtree(cache)
    return {
        "processes x threads": way,
        "batch": options.batch or "recipe",
        "samples/s, stage 1": float(last["1"]["samples_per_second"]),
        "samples/s, stage 2": float(last["2"]["samples_per_second"]),
        "waiting %, stage 1": 100 * float(last["1"]["waiting_share"]),
        "waiting %, stage 2": 100 * float(last["2"]["waiting_share"]),
        "memory MB": float(last["1"]["memory_mb"]),
        "first step s, cold": cold,
        "first step s": warm,
        "resume s": resumed,
    }


def launcher(processes: int) -> list[str]:
    if processes == 1:
        return [sys.executable, "-m", "rain.cli.main"]
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
        *("--nproc_per_node", str(processes), "-m", "rain.cli.main"),
    ]


def seconds(command: list[str], threads: int) -> float:
    """Run a command; seconds it took, its start and its end included."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{' '.join(command)}\n{result.stderr[-3000:]}")
    return time.perf_counter() - start


if __name__ == "__main__":
    main(tyro.cli(Options))
