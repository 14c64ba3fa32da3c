from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rain.types import RainError
from rain.worlds.processes import run_jobs, stream_jobs


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
    assert list(stream_jobs(steps, [], workers=2)) == []


def steps(folder: Path, count: int) -> Iterator[tuple[int, int]]:
    """Yields, and does not go on before its last item was seen outside."""
    for number in range(count):
        yield number, os.getpid()
        for _ in range(200):
            if (folder / str(number)).exists():
                break
            time.sleep(0.05)
        else:
            raise RainError(f"nobody saw item {number}")
    if count == 1:
        raise RainError("job of one item cannot be done")


def test_items_come_while_the_job_is_at_work(tmp_path: Path) -> None:
    seen = []
    for number, pid in stream_jobs(steps, [(tmp_path, 3)], workers=1):
        seen.append((number, pid))
        (tmp_path / str(number)).touch()
    assert [number for number, _ in seen] == [0, 1, 2]
    assert os.getpid() not in {pid for _, pid in seen}


def test_a_streamed_jobs_error_comes_after_its_items(tmp_path: Path) -> None:
    (tmp_path / "0").touch()
    items = stream_jobs(steps, [(tmp_path, 1)], workers=2)
    assert next(items)[0] == 0
    with pytest.raises(RainError, match="cannot be done"):
        next(items)


PARENT = """
import os, sys, time
from rain.worlds.processes import run_jobs, stream_jobs

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
