"""Two clients, one arm."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rain.robot.lock import ArmLock
from rain.types import RainError

HOLD = (
    "import sys, time\nfrom pathlib import Path\nfrom rain.robot.lock import ArmLock\n"
    "lock = ArmLock('omy', Path(sys.argv[1]))\nprint('held', flush=True)\ntime.sleep(60)"
)


def test_the_second_is_refused_until_the_first_is_gone_even_if_it_was_killed(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as first:
        try:
            assert first.stdout.readline() == "held\n"
            with pytest.raises(RainError, match=f"held by another client.*process {first.pid}"):
                ArmLock("omy", tmp_path)
            ArmLock("another", tmp_path).close()
        finally:
            first.kill()
    with ArmLock("omy", tmp_path), pytest.raises(RainError):
        ArmLock("omy", tmp_path)
    ArmLock("omy", tmp_path).close()


def test_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(RainError, match="No such file"):
        ArmLock("omy", tmp_path / "none")
