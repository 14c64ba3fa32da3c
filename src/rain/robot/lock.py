"""One arm, one client.

On one computer a lock file keeps the second client out; the kernel lets go of it when the first one
ends, however it ends. On the network, whoever else publishes joint targets is found by ROS 2's own
discovery (``rain.robot.ros``).
"""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import TextIO

from rain.types import RainError


class ArmLock:
    """Holds an arm while it is open; a context manager."""

    def __init__(self, arm: str, folder: Path | None = None) -> None:
        """Take the arm; RainError where another process of this computer has it."""
        folder = folder or Path(tempfile.gettempdir())
        self.path = folder / f"rain-{arm}.lock"
        try:
            # Not truncated: where it is refused, it says who has it. Others may lock it as well.
            self._file: TextIO = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o666), "r+")
        except OSError as error:
            raise RainError(f"{self.path}: {error.strerror}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            who = self._file.read(80).strip()
            self._file.close()
            raise RainError(
                f"the arm {arm} is held by another client on this computer ({who}): end it first"
            ) from None
        self._file.truncate()
        self._file.write(f"process {os.getpid()}\n")
        self._file.flush()

    def close(self) -> None:
        """Let go of the arm. The file stays: to delete it would let two others lock two files."""
        self._file.close()

    def __enter__(self) -> ArmLock:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
