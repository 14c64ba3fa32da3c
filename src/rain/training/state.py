"""The saved state of a run: weights, averages, optimiser, and where it stands.

One folder a state, renamed into place when complete: a kill leaves the previous one.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rain.training.optim import Average
from rain.types import RainError


@dataclass(frozen=True)
class Position:
    """Where a run stands: ``step`` steps of ``stage`` are done.

    seconds: wall time spent so far, over all sittings. meter: sums for the log's next row.
    """

    stage: int
    step: int
    seconds: float = 0.0
    meter: Mapping[str, float] = field(default_factory=dict)


def save_state(
    folder: Path,
    position: Position,
    weights: Mapping[str, nn.Parameter],
    average: Average | None,
    optimiser: torch.optim.Optimizer,
    keep: int,
) -> Path:
    """Save a state under ``folder`` and remove all but the latest ``keep``."""
    tensors = {f"weights/{name}": p.detach() for name, p in weights.items()}
    if average is not None:
        tensors |= {f"average/{name}": value for name, value in average.values.items()}
    names = {id(p): name for name, p in weights.items()}
    for parameter, moments in optimiser.state.items():
        name = names[id(parameter)]
        tensors |= {f"optimiser/{key}/{name}": torch.as_tensor(v) for key, v in moments.items()}
    # A copy of each: safetensors refuses tensors that share memory.
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in tensors.items()}
    final = folder / f"{position.stage}-{position.step:08d}"
    temporary = folder / f".{final.name}.{os.getpid()}"
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    save_file(tensors, temporary / "state.safetensors")
    (temporary / "position.json").write_text(json.dumps(asdict(position)))
    if final.exists():
        shutil.rmtree(final)
    os.replace(temporary, final)
    for old in saved_states(folder)[:-keep]:
        shutil.rmtree(old, ignore_errors=True)
    return final


def saved_states(folder: Path) -> list[Path]:
    """List the complete states, oldest first."""
    return sorted(path for path in folder.glob("[12]-*") if (path / "position.json").is_file())


@dataclass(frozen=True)
class SavedState:
    """A state read back; tensors by name without the part they belong to."""

    position: Position
    weights: dict[str, Tensor]
    average: dict[str, Tensor]
    optimiser: dict[str, dict[str, Tensor]]


def load_state(folder: Path) -> SavedState | None:
    """Load the latest state under ``folder``, or None where there is none."""
    states = saved_states(folder)
    if not states:
        return None
    path = states[-1]
    try:
        position = Position(**json.loads((path / "position.json").read_text()))
        tensors = load_file(path / "state.safetensors")
    except (OSError, ValueError, TypeError, SafetensorError) as error:
        raise RainError(
            f"{path}: unreadable state ({error}); delete it to go on from an earlier one"
        ) from error
    parts: dict[str, Any] = {"weights": {}, "average": {}, "optimiser": {}}
    for key, value in tensors.items():
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
