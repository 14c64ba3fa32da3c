"""Episodes as JSON lines, one object an episode, that survive an interrupted run.

A line is written in one call and synced, so a killed run loses at most the episode it was in. A
torn last line (a power cut in the middle of that call) is dropped on reading and cut off before the
next append.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from rain.types import RainError


class Line(Protocol):
    """What a line is made of."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        ...


R = TypeVar("R", bound=Line)

Read = Callable[[dict[str, Any]], R]
"""The inverse of ``to_json``; KeyError, TypeError, ValueError or RainError for a foreign object."""


def read_lines(path: Path, read: Read[R]) -> list[R]:
    """All records of a file, oldest first; an absent file is empty, a torn last line is dropped.

    Raises RainError naming the line that is not an episode record.
    """
    if not path.exists():
        return []
    text = path.read_bytes()
    whole = text[: text.rfind(b"\n") + 1]
    records = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            records.append(read(json.loads(line)))
        except (ValueError, KeyError, TypeError, RainError) as error:
            raise RainError(
                f"{path} line {number} is not an episode record ({error}): "
                "give another --out or remove the file"
            ) from error
    return records


class LineFile(Generic[R]):
    """Appends records; holds a lock, so that two runs never write one file.

    Use as a context manager. ``records`` holds what was there and what was appended.
    """

    def __init__(self, path: Path, read: Read[R]) -> None:
        self._made_folder = not path.parent.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = open(path, "ab", buffering=0)  # noqa: SIM115 (closed in __exit__)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self.records = read_lines(path, read)
            self._cut_torn_line()
        except BlockingIOError:
            self._file.close()
            raise RainError(f"{path}: another run is writing it; give another --out") from None
        except BaseException:
            self._file.close()
            raise

    def _cut_torn_line(self) -> None:
        text = self.path.read_bytes()
        self._file.truncate(text.rfind(b"\n") + 1)

    def append(self, record: R) -> None:
        """Write one record and make sure that it is on the disk."""
        line = json.dumps(record.to_json(), separators=(",", ":"), allow_nan=False) + "\n"
        self._file.write(line.encode())
        os.fsync(self._file.fileno())
        self.records.append(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()
        if not self.records:
            self.path.unlink(missing_ok=True)
            with suppress(OSError):  # not empty: something else was written
                if self._made_folder:
                    self.path.parent.rmdir()
