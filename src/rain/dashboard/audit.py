"""What operators did, one JSON object a line: who, from where, when, what, and what came of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


class Audit:
    """Appends lines; each is on its way to the disk before its command is answered."""

    def __init__(self, path: Path) -> None:
        """Append to ``path``, which is made with its folder."""
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()

    def note(
        self,
        viewer: str,
        address: str,
        command: str,
        arguments: Mapping[str, Any],
        error: str | None = None,
    ) -> None:
        """Note a command; ``error`` says why it was refused."""
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "viewer": viewer,
            "address": address,
            "command": command,
            "arguments": dict(arguments),
            "error": error,
        }
        with self._lock:
            if not self._file.closed:
                self._file.write(json.dumps(line) + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
