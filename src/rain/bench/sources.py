"""Where a run's policies and worlds come from: a RAIN checkpoint, LIBERO.

The factories are picklable, and what they build stays in the process that built it.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rain.bench.protocols import TaskWorld
from rain.types import Policy, RainError

if TYPE_CHECKING:
    from rain.model import Checkpoint

Rendering = Literal["fast", "official"]


@dataclass(frozen=True)
class CheckpointPolicies:
    """Makes policies from one checkpoint, which each process loads once.

    checkpoint: a folder, or the name of a shipped one. threads: CPU threads of the network, a
    process.
    """

    checkpoint: str
    threads: int = 1

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise RainError(f"threads: expected at least 1, got {self.threads}")

    def __call__(self, seed: int) -> Policy:
        """A policy whose noise starts from ``seed``."""
        import torch

        from rain.model import RainPolicy

        torch.set_num_threads(self.threads)
        return RainPolicy(_load(self.checkpoint), seed)

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change with the weights and their configuration."""
        from rain.model import find_checkpoint
        from rain.model.checkpoint import CONFIG, WEIGHTS

        folder = find_checkpoint(self.checkpoint)
        digest = hashlib.sha256()
        for name in (CONFIG, WEIGHTS):
            path = folder / name
            if not path.is_file():
                raise RainError(f"{folder} is not a checkpoint: it has no {name}")
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()[:12]

    @property
    def name(self) -> str:
        """A short name for folders and titles."""
        return Path(self.checkpoint).resolve().name


@lru_cache(maxsize=1)
def _load(checkpoint: str) -> Checkpoint:
    from rain.model import find_checkpoint, load_checkpoint

    return load_checkpoint(find_checkpoint(checkpoint))


@dataclass(frozen=True)
class LiberoWorlds:
    """Makes LIBERO worlds. threads: CPU threads of the software renderer, a process."""

    rendering: Rendering = "fast"
    threads: int = 1

    def tasks(self, suite: str) -> dict[int, str]:
        """Number and name of a suite's tasks; RainError when the suite is unknown."""
        from rain.worlds.libero import suite_tasks

        return suite_tasks(suite)

    def settings(self) -> dict[str, Any]:
        """What results depend on."""
        return {"rendering": self.rendering}

    def __call__(self, suite: str, task: int, image_size: int) -> TaskWorld:
        """The world of a task; RainError when suite or task is unknown."""
        # Mesa reads it when the first GL context is made. On a GPU it means nothing.
        os.environ.setdefault("LP_NUM_THREADS", str(self.threads))
        from rain.worlds.libero import LiberoWorld

        return LiberoWorld(suite, task, image_size=image_size, rendering=self.rendering)
