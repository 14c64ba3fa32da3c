"""Where a run's policies and worlds come from: a RAIN checkpoint, LIBERO.

The factories are picklable, and what they build stays in the process that built it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rain.bench.protocols import TaskFacts, TaskWorld
from rain.types import Observation, Policy, Prediction, RainError

if TYPE_CHECKING:
    from rain.model import Checkpoint

Rendering = Literal["fast", "official"]


@dataclass(frozen=True)
class CheckpointPolicies:
    """Makes policies from one checkpoint, which each process loads once.

    checkpoint: a folder, or the name of a shipped one. threads: CPU threads of the network, a
    process. device: where the network is.
    """

    checkpoint: str
    threads: int = 1
    device: str = "cpu"

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise RainError(f"threads: expected at least 1, got {self.threads}")

    def __call__(self, seed: int) -> Policy:
        """A policy whose noise starts from ``seed``."""
        import torch

        from rain.model import RainPolicy

        torch.set_num_threads(self.threads)
        return RainPolicy(_load(self.checkpoint, self.device), seed)

    def predict_together(
        self, policies: Sequence[Policy], observations: Sequence[Observation], size: int
    ) -> list[Prediction]:
        """One prediction a policy, from one batch of ``size`` rows."""
        from rain.model.policy import RainPolicy, predict_together

        ours = [policy for policy in policies if isinstance(policy, RainPolicy)]
        return predict_together(ours, observations, size)

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
def _load(checkpoint: str, device: str) -> Checkpoint:
    from rain.model import find_checkpoint, load_checkpoint

    return load_checkpoint(find_checkpoint(checkpoint), device)


@dataclass(frozen=True)
class LiberoWorlds:
    """Makes LIBERO worlds. threads: CPU threads of the software renderer, a process."""

    rendering: Rendering = "fast"
    threads: int = 1

    def suites(self, text: str) -> tuple[str, ...]:
        """The suites that a name, several with commas or a group's name mean; RainError."""
        from rain.worlds.libero.suites import parse_suites

        return parse_suites(text)

    def tasks(self, suite: str) -> dict[int, str]:
        """Number and name of a suite's tasks; RainError when the suite is unknown."""
        from rain.worlds.libero import suite_tasks

        return suite_tasks(suite)

    def facts(self, suite: str, task: int) -> TaskFacts:
        """What is known of a task without its simulator."""
        return libero_facts(suite, task)

    def settings(self) -> dict[str, Any]:
        """What results depend on."""
        return {"rendering": self.rendering}

    def __call__(self, suite: str, task: int, image_size: int, views: tuple[str, ...]) -> TaskWorld:
        """The world of a task; RainError when suite, task or a view is unknown."""
        # Mesa reads it when the first GL context is made. On a GPU it means nothing.
        os.environ.setdefault("LP_NUM_THREADS", str(self.threads))
        from rain.worlds.libero import LiberoWorld

        return LiberoWorld(
            suite, task, image_size=image_size, rendering=self.rendering, views=views
        )


@cache
def libero_facts(suite: str, task: int) -> TaskFacts:
    """What is known of a task of LIBERO's, LIBERO-EX's or LIBERO-PRO's.

    Results on a LIBERO-EX task depend on its scene and its init states, so both are named.
    """
    from rain.worlds.libero.ex.states import STATES, digest_of, states_file
    from rain.worlds.libero.ex.tasks import ex_tasks
    from rain.worlds.libero.suites import find_task, is_ex, suite_tasks

    name = suite_tasks(suite)[task]
    if not is_ex(suite):
        try:
            return TaskFacts(name, suite, suite, find_task(suite, task).script.instruction)
        except RainError as error:
            return TaskFacts(name, suite, suite, missing=str(error))
    declared = ex_tasks()[task - 1]
    states = states_file(STATES, declared.id)
    settings: dict[str, Any] = {
        "scene": declared.digest()[:12],
        "states": digest_of(states)[:12] if states.is_file() else None,
    }
    if declared.full_goal():
        settings["whole_fails"] = True
    return TaskFacts(
        name,
        declared.type,
        declared.category,
        declared.instruction,
        declared.horizon,
        settings,
    )
