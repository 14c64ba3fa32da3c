"""Runs in processes of their own: several at once, and killed ones."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from training_helpers import assert_equal_runs, gradients_into, small

from rain.model.checkpoint import load_checkpoint
from rain.training.config import StageConfig
from rain.training.logs import read_rows
from rain.training.loop import train

SCRIPT = """
import sys
from pathlib import Path
data, out, gradients = map(Path, sys.argv[1:4])
sys.path[:0] = sys.argv[5:]
from training_helpers import gradients_into, small
from rain.training.loop import train

with gradients_into(gradients):
    train(small(data, out, precision="fp32", micro_batch=int(sys.argv[4])))
"""


def command(tmp_path: Path, data: Path, out: Path, micro: int) -> list[str]:
    """Arguments of Python that train in a process; gradients land in tmp_path/OUT-gradients."""
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    tests = Path(__file__).parent
    paths = [str(tests), str(tests.parent / "demos")]
    gradients = tmp_path / f"{out.name}-gradients"
    return [str(script), str(data), str(out), str(gradients), str(micro), *paths]


ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def gradients_of(tmp_path: Path, name: str) -> dict[str, torch.Tensor]:
    found = [load_file(tmp_path / f"{name}-gradients" / f"{stage}.safetensors") for stage in (1, 2)]
    return {f"{i + 1}/{key}": value for i, part in enumerate(found) for key, value in part.items()}


def test_gradients_are_those_of_one_process_and_one_piece(data, tmp_path):
    """First gradients of both stages: in one piece, in micro-batches, in two processes of these."""
    for name, micro in (("whole", None), ("micro", 4)):
        config = small(data, tmp_path / name, precision="fp32", micro_batch=micro)
        with gradients_into(tmp_path / f"{name}-gradients"):
            train(config)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    several = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]
    several += ["--master_addr", "127.0.0.1", "--master_port", str(port)]
    several += command(tmp_path, data, tmp_path / "two", 2)
    result = subprocess.run(
        several, env=ENVIRONMENT, capture_output=True, text=True, timeout=180, check=False
    )
    assert result.returncode == 0, result.stderr[-3000:]
    whole = gradients_of(tmp_path, "whole")
    for stage in "12":
        largest = max(v.abs().max() for k, v in whole.items() if k[0] == stage)
        for name in ("micro", "two"):
            others = gradients_of(tmp_path, name)
            assert others.keys() == whole.keys()
            for key in (k for k in whole if k[0] == stage):
                # Sums in another order round otherwise; stage 2 starts six such steps later.
                bound = (1e-5 if stage == "1" else 1e-3) * largest
                assert (others[key] - whole[key]).abs().max() < bound, (name, key)
    rows = read_rows(tmp_path / "whole" / "log.csv")
    for name in ("micro", "two"):
        theirs = read_rows(tmp_path / name / "log.csv")
        for mine, other in zip(rows, theirs, strict=True):
            assert mine["step"] == other["step"]
            assert float(other["loss"]) == pytest.approx(float(mine["loss"]), rel=1e-3)
    assert load_checkpoint(tmp_path / "two" / "checkpoint").extra["processes"] == 2


def test_sigkill_at_any_time_changes_nothing(data, tmp_path):
    """Killed in earnest, wherever it happens to be, and continued here."""
    undisturbed = small(data, tmp_path / "undisturbed", precision="fp32")
    train(undisturbed)
    killed, deaths = replace(undisturbed, out=tmp_path / "killed"), 0
    for wanted in ("1-00000002", "2-00000002"):
        process = subprocess.Popen(
            [sys.executable, *command(tmp_path, data, killed.out, 8)],
            env=ENVIRONMENT,
            stderr=subprocess.DEVNULL,
        )
        while process.poll() is None and not (killed.out / "state" / wanted).exists():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        deaths += process.wait() == -signal.SIGKILL
    assert deaths >= 1
    assert train(killed).finished
    assert_equal_runs(undisturbed, killed)


def test_two_runs_may_not_work_in_one_folder(data, tmp_path, monkeypatch):
    from rain.training import trainer
    from rain.types import RainError

    config = small(data, tmp_path / "run", stage2=StageConfig(0, 8, 1e-3, 1))
    original, told = trainer.Trainer._step, []

    def meanwhile(self, *arguments):
        if not told:
            with pytest.raises(RainError, match="another run is at work here") as error:
                train(config)
            told.append(str(error.value))
        return original(self, *arguments)

    monkeypatch.setattr(trainer.Trainer, "_step", meanwhile)
    assert train(config).finished
    assert told
