"""The folder of a run: its configuration, logs, saved states, and the checkpoint they lead to."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rain.model.checkpoint import save_checkpoint
from rain.model.net import RainNet
from rain.training.config import TrainConfig, differences
from rain.training.data import TrainingData
from rain.types import RainError


class RunFolder:
    """Paths inside ``--out`` and the check that the folder belongs to this run."""

    def __init__(self, config: TrainConfig) -> None:
        self.config, self.path = config, config.out
        self.settings = self.path / "train.json"
        self.log = self.path / "log.csv"
        self.validation = self.path / "validation.csv"
        self.curves = self.path / "curves.png"
        self.states = self.path / "state"
        self.checkpoint = self.path / "checkpoint"
        self.best = self.path / "best"

    def check(self, fingerprint: str) -> None:
        """Raise RainError where another run lies here; fingerprint: of the dataset's content."""
        if not self.settings.exists():
            if self.states.exists() or self.log.exists():
                raise RainError(f"{self.path} holds a run without train.json; choose another --out")
            return
        theirs = self._read()
        found = differences(self.config.identity(), theirs.get("config", {}))
        if found:
            raise RainError(
                f"{self.path} holds a run with another configuration: {'; '.join(found[:4])}; "
                "choose another --out"
            )
        if theirs.get("dataset") != fingerprint:
            raise RainError(
                f"{self.path}: the dataset changed since this run began; choose another --out "
                "(and --init to start from its checkpoint)"
            )

    @contextlib.contextmanager
    def held(self, fingerprint: str) -> Iterator[None]:
        """Take the folder for this run, now that all else is known to fit; no other may work in it.

        Raises RainError where another does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / ".lock").open("w") as lock:
            try:
                # The system lets go of it however this process ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RainError(f"{self.path}: another run is at work here") from None
            self.check(fingerprint)
            self.claim(fingerprint)
            yield

    def claim(self, fingerprint: str) -> None:
        """Write down what this run is, once: what decides its result, and every setting."""
        if self.settings.exists():
            return
        self.path.mkdir(parents=True, exist_ok=True)
        values = {
            "config": self.config.identity(),
            "dataset": fingerprint,
            "settings": self.config.to_dict(),
        }
        _write(self.settings, json.dumps(values, indent=1))

    def _read(self) -> dict[str, Any]:
        try:
            return json.loads(self.settings.read_text())
        except (OSError, ValueError) as error:
            raise RainError(
                f"{self.settings}: unreadable ({error}); choose another --out"
            ) from None

    def save_checkpoint(
        self, folder: Path, net: RainNet, data: TrainingData, progress: Mapping[str, Any]
    ) -> Path:
        """Save the network's present weights in ``folder``: OUT/checkpoint or OUT/best."""
        extra = {
            "preset": self.config.preset,
            "tracks": list(data.dataset.tracks),
            "suites": list(data.dataset.suites),
            "episodes": len(data.dataset),
            "samples": len(data.train),
            "retargeted_samples": len(data.retargeted),
            "training": self.config.identity(),
            **progress,
        }
        return save_checkpoint(folder, net, data.normaliser, data.dataset.conventions, extra)

    def report_bad_batch(
        self, frames: list[str], what: str, stage: int, step: int, write: bool = True
    ) -> RainError:
        """Write down a batch that broke the run, in one process; returns the error to raise."""
        path = self.path / "bad_batch.json"
        if write:
            _write(path, json.dumps({"stage": stage, "step": step, "what": what, "frames": frames}))
        return RainError(
            f"stage {stage} step {step}: {what}; the batch ({len(frames)} frames, the first "
            f"{frames[0]}) is listed in {path}; lower the learning rate or check these frames"
        )


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text + "\n")
    os.replace(temporary, path)
