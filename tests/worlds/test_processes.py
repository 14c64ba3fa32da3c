from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rain.types import RainError
from rain.worlds.processes import run_jobs


def where(number: int) -> tuple[int, int]:
    return number, os.getpid()


def fail(number: int) -> int:
    raise RainError(f"job {number} cannot be done")


def test_every_job_has_a_fresh_process() -> None:
    results = dict(run_jobs(where, [(i,) for i in range(4)], workers=2))
    assert set(results) == {0, 1, 2, 3}
    assert len(set(results.values())) == 4
    assert os.getpid() not in results.values()


def test_a_jobs_error_reaches_the_caller() -> None:
    with pytest.raises(RainError, match="cannot be done"):
        list(run_jobs(fail, [(1,), (2,)], workers=1))


def test_nothing_to_do_starts_nothing() -> None:
    assert list(run_jobs(fail, [], workers=2)) == []


PARENT = """
import os, sys, time
from rain.worlds.processes import run_jobs

def work(path):
    with open(path, "w") as file:
        file.write(str(os.getpid()))
    time.sleep(60)

if __name__ == "__main__":
    list(run_jobs(work, [(sys.argv[1],)], workers=1))
"""


def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    script, note = tmp_path / "parent.py", tmp_path / "pid"
    script.write_text(PARENT)
    parent = subprocess.Popen([sys.executable, str(script), str(note)])
    for _ in range(300):
        if note.exists() and note.read_text():
            break
        time.sleep(0.1)
    worker = int(note.read_text())
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists():
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")
