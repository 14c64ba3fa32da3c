"""Checkpoints: a folder with ``model.safetensors`` and ``config.json``.

The JSON holds everything that the weights alone do not say: format, configuration,
normalisation, conventions and free notes. Frozen backbones are not stored. Loading a checkpoint
without its statistics, or with weights that do not fit, is an error.

A checkpoint stays readable: a new field of ``RainConfig`` has the default that older networks
have, and a change of names or meaning raises ``FORMAT_VERSION`` with a step in ``_UPGRADES`` that
lifts the version before it. What cannot be read says which version of rain made it.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from rain import __version__
from rain.model.backbones import Frozen
from rain.model.config import RainConfig
from rain.model.net import RainNet
from rain.model.normalise import Normaliser
from rain.types import Conventions, RainError

FORMAT = "rain-checkpoint"
FORMAT_VERSION = 1
WEIGHTS = "model.safetensors"
CONFIG = "config.json"

Tensors = dict[str, Tensor]
_UPGRADES: dict[int, Callable[[dict[str, Any], Tensors], Tensors]] = {}
"""By format version: changes the JSON to the next version in place and returns its tensors."""

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Checkpoint:
    """A network with what is needed to use it: statistics, conventions and the trainer's notes."""

    net: RainNet
    normaliser: Normaliser
    conventions: Conventions
    extra: dict[str, Any] = field(default_factory=dict)


def save_checkpoint(
    folder: str | Path,
    net: RainNet,
    normaliser: Normaliser,
    conventions: Conventions,
    extra: dict[str, Any] | None = None,
    dtype: str = "float32",
) -> Path:
    """Write a checkpoint and return its folder.

    extra: JSON values to keep beside it, e.g. the data's track and the training command. dtype:
    ``bfloat16`` halves the file; the weights come back as float32, rounded.
    """
    if dtype not in _DTYPES:
        raise RainError(f"checkpoint dtype must be one of {', '.join(_DTYPES)}, got {dtype!r}")
    _check_views(net.config, conventions)
    meta: dict[str, Any] = {
        "format": FORMAT,
        "version": FORMAT_VERSION,
        "code": __version__,
        "config": net.config.to_dict(),
        "normalisation": normaliser.to_dict(),
        "conventions": asdict(conventions),
        "extra": extra or {},
    }
    text = json.dumps(meta, indent=2) + "\n"
    tensors = {
        name: tensor.detach().to("cpu", _DTYPES[dtype]).contiguous()
        for name, tensor in _stored(net).items()
    }
    folder = Path(folder)
    weights, config = (folder / f"{name}.partial" for name in (WEIGHTS, CONFIG))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # The weights carry a digest of the JSON's binding part, so that an interrupted overwrite
        # (new weights beside old statistics) is noticed.
        save_file(tensors, weights, metadata={"format": "pt", "rain": _digest(meta)})
        config.write_text(text, encoding="utf-8")
        os.replace(weights, folder / WEIGHTS)
        os.replace(config, folder / CONFIG)
    except (OSError, SafetensorError) as error:
        for partial in (weights, config):
            partial.unlink(missing_ok=True)
        raise RainError(
            f"{folder}: the checkpoint cannot be written ({error}); what was there before stays"
        ) from error
    return folder


def load_checkpoint(
    folder: str | Path,
    device: torch.device | str = "cpu",
    vision: torch.nn.Module | None = None,
) -> Checkpoint:
    """Read a checkpoint; the network comes back on ``device``, in evaluation mode.

    A frozen image backbone is loaded from where it is published, unless ``vision`` is given;
    CLIP's cached text is in the checkpoint. Anything missing, foreign or torn is a RainError that
    says what to do.
    """
    folder = Path(folder)
    meta = _read_meta(folder)
    try:
        for key in ("config", "normalisation", "conventions"):
            if not isinstance(meta.get(key), dict):
                raise RainError(f"{folder / CONFIG}: {key} is missing; save the checkpoint again")
        tensors = _upgraded(meta, _read_weights(folder / WEIGHTS, _digest(meta)))
        normaliser = Normaliser.from_dict(meta["normalisation"])
        config = RainConfig.from_dict(meta["config"])
        conventions = _conventions(meta["conventions"], folder / CONFIG)
        _check_views(config, conventions)
        net = RainNet(config, vision=vision, text_encoder=False)
        load_weights(net, tensors, str(folder / WEIGHTS))
    except RainError as error:
        if meta.get("code") == __version__:
            raise
        raise RainError(f"{error} ({_made_by(meta)})") from error
    return Checkpoint(net.to(device).eval(), normaliser, conventions, meta.get("extra", {}))


def _made_by(meta: dict[str, Any]) -> str:
    made = meta.get("code", "an unknown version")
    return (
        f"the checkpoint was made by rain {made}, this is rain {__version__}; "
        f'pip install "rain-robotics=={made}" reads it'
    )


def _upgraded(meta: dict[str, Any], tensors: Tensors) -> Tensors:
    """Lift a checkpoint of an earlier format to the present one."""
    for version in range(meta["version"], FORMAT_VERSION):
        tensors = _UPGRADES[version](meta, tensors)
    return tensors


def _conventions(values: dict[str, Any], path: Path) -> Conventions:
    try:
        return Conventions(**values)
    except TypeError as error:
        raise RainError(f"{path}: conventions: {error}") from error


def load_weights(net: RainNet, tensors: Tensors, source: str) -> None:
    """Copy stored tensors into the network; ``source`` names them in errors."""
    own = _stored(net)
    missing, foreign = sorted(set(own) - set(tensors)), sorted(set(tensors) - set(own))
    if missing or foreign:
        what = f"lacks {missing[0]}" if missing else f"holds the unknown {foreign[0]}"
        raise RainError(f"{source}: {what}; it was not saved from this network configuration")
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            raise RainError(
                f"{source}: {name} is {tuple(tensors[name].shape)}, expected {tuple(tensor.shape)}"
            )
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(tensors[name])


def _stored(net: RainNet) -> Tensors:
    """Everything of the state but what lies inside a frozen backbone."""
    frozen = tuple(f"{name}." for name, module in net.named_modules() if isinstance(module, Frozen))
    return {k: v for k, v in net.state_dict().items() if not k.startswith(frozen)}


def _read_meta(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file() or not (folder / WEIGHTS).is_file():
        raise RainError(
            f"{folder} is not a checkpoint: it needs {CONFIG} and {WEIGHTS}; give the folder that "
            "`rain train` wrote"
        )
    try:
        meta = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RainError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(meta, dict) or meta.get("format") != FORMAT:
        raise RainError(f"{path} is not a RAIN checkpoint's: its format is not {FORMAT!r}")
    oldest = min(_UPGRADES, default=FORMAT_VERSION)
    version = meta.get("version")
    if not isinstance(version, int) or not oldest <= version <= FORMAT_VERSION:
        raise RainError(
            f"{path} has format version {version}, and versions {oldest} to {FORMAT_VERSION} can "
            f"be read here: {_made_by(meta)}"
        )
    return meta


def _read_weights(path: Path, digest: str) -> Tensors:
    try:
        with safe_open(path, framework="pt") as file:
            written_for = (file.metadata() or {}).get("rain")
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise RainError(f"{path} cannot be read: {error}; copy or train it again") from error
    if written_for != digest:
        raise RainError(f"{path} and {CONFIG} beside it were not written together; copy both again")
    return tensors


def _digest(meta: dict[str, Any]) -> str:
    binding = {key: meta[key] for key in ("config", "normalisation", "conventions")}
    return hashlib.sha256(json.dumps(binding, sort_keys=True).encode()).hexdigest()


def _check_views(config: RainConfig, conventions: Conventions) -> None:
    if config.views != conventions.views:
        raise RainError(
            f"the network's views {config.views} are not the conventions' {conventions.views}"
        )
