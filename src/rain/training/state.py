"""The saved state of a run: weights, averages, optimiser, and where it stands.

One folder a state, renamed into place when complete: a kill or a full disk leaves the previous
one. Each knows the checksum of its tensors: a damaged one is passed over for the one before it.
"""

from __future__ import annotations

import json
import os
import shutil
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rain.training.optim import Average
from rain.types import RainError

_TENSORS, _POSITION = "state.safetensors", "position.json"


@dataclass(frozen=True)
class Position:
    """Where a run stands: ``step`` steps of ``stage`` are done.

    seconds: wall time spent so far, over all sittings. meter: sums for the log's next row. usual:
    running mean of the stage's loss, 0 before its first step.
    """

    stage: int
    step: int
    seconds: float = 0.0
    usual: float = 0.0
    meter: Mapping[str, float] = field(default_factory=dict)


def save_state(
    folder: Path,
    position: Position,
    weights: Mapping[str, nn.Parameter],
    average: Average | None,
    optimiser: torch.optim.Optimizer,
    keep: int,
) -> Path:
    """Save a state under ``folder`` and remove all but the latest ``keep``.

    Where it cannot be written, as on a full disk, that is a RainError and the earlier ones stay.
    """
    tensors = _tensors(weights, average, optimiser)
    final = folder / f"{position.stage}-{position.step:08d}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    for left in folder.glob(".[12]-*"):  # by a run that was killed while it saved
        shutil.rmtree(left, ignore_errors=True)
    try:
        temporary.mkdir(parents=True)
        save_file(tensors, temporary / _TENSORS)
        values = {**asdict(position), "checksum": checksum(temporary / _TENSORS)}
        (temporary / _POSITION).write_text(json.dumps(values))
        if final.exists():
            shutil.rmtree(final)
        os.replace(temporary, final)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(temporary, ignore_errors=True)
        earlier = saved_states(folder)
        kept = f"{earlier[-1].name} before it is kept" if earlier else "there is none before it"
        raise RainError(
            f"{final}: the state cannot be saved ({error}); {kept}; make room, and the same "
            "command goes on from there"
        ) from error
    for old in saved_states(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def _tensors(
    weights: Mapping[str, nn.Parameter], average: Average | None, optimiser: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """Name everything that is saved."""
    tensors = {f"weights/{name}": p.detach() for name, p in weights.items()}
    if average is not None:
        tensors |= {f"average/{name}": value for name, value in average.values.items()}
    names = {id(p): name for name, p in weights.items()}
    for parameter, moments in optimiser.state.items():
        name = names[id(parameter)]
        tensors |= {f"optimiser/{key}/{name}": torch.as_tensor(v) for key, v in moments.items()}
    # A copy of each: safetensors refuses tensors that share memory.
    return {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}


def checksum(path: Path) -> int:
    """CRC-32 of a file."""
    crc = 0
    with path.open("rb") as file:
        while block := file.read(1 << 24):
            crc = zlib.crc32(block, crc)
    return crc


def saved_states(folder: Path) -> list[Path]:
    """List the complete states, oldest first."""
    return sorted(path for path in folder.glob("[12]-*") if (path / _POSITION).is_file())


@dataclass(frozen=True)
class SavedState:
    """A state read back; tensors by name without the part they belong to."""

    position: Position
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, dict[str, Tensor]]


def load_state(folder: Path, warn: Callable[[str], None]) -> SavedState | None:
    """Load the latest undamaged state under ``folder``, or None where there is none at all.

    warn: told of each damaged one that is passed over. RainError where all are damaged.
    """
    states = saved_states(folder)
    for path in reversed(states):
        try:
            return _load(path)
        except (OSError, ValueError, TypeError, SafetensorError) as error:
            warn(f"{path} is damaged ({error}); going on from the state before it")
    if states:
        raise RainError(f"{folder}: every saved state is damaged; choose another --out")
    return None


def _load(path: Path) -> SavedState:
    values = json.loads((path / _POSITION).read_text())
    # States saved before checksums were have none.
    wanted = values.pop("checksum", None)
    position = Position(**values)
    if wanted is not None and checksum(path / _TENSORS) != wanted:
        raise ValueError("its content does not match its checksum")
    parts: dict[str, Any] = {"weights": {}, "average": {}, "optimiser": {}}
    for key, value in load_file(path / _TENSORS).items():
        part, name = key.split("/", 1)
        if part == "optimiser":
            moment, name = name.split("/", 1)
            parts[part].setdefault(name, {})[moment] = value
        else:
            parts[part][name] = value
    return SavedState(position, **parts)


@torch.no_grad()
def restore_weights(state: SavedState, weights: Mapping[str, nn.Parameter]) -> None:
    """Copy the saved weights into the network; RainError where they do not fit it."""
    if set(state.weights) != set(weights):
        raise RainError("the saved state is of another network; choose another --out")
    for name, parameter in weights.items():
        parameter.copy_(state.weights[name])


def restore_optimiser(
    state: SavedState, weights: Mapping[str, nn.Parameter], optimiser: torch.optim.Optimizer
) -> None:
    """Give the optimiser its moments back."""
    for group in optimiser.param_groups:
        for parameter in group["params"]:
            name = next(n for n, p in weights.items() if p is parameter)
            if name in state.optimiser:
                moments = state.optimiser[name]
                optimiser.state[parameter] = {
                    key: value.to(parameter.device) for key, value in moments.items()
                }
