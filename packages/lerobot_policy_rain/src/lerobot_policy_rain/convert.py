"""RAIN checkpoints and LeRobot's pretrained folders: the same weights, two headers.

A pretrained folder's ``model.safetensors`` is a RAIN checkpoint's, with the same tensors and the
same digest of its header; the checkpoint's ``config.json`` is the field ``checkpoint`` of LeRobot's
``config.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tyro
from lerobot.policies.factory import make_pre_post_processors

from lerobot_policy_rain.configuration_rain import LeRobotRainConfig
from rain.model.checkpoint import CONFIG, FORMAT, WEIGHTS, Checkpoint, load_checkpoint
from rain.types import RainError


def read_json(path: Path) -> dict[str, Any]:
    """Read a folder's config.json; RainError where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RainError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(found, dict):
        raise RainError(f"{path}: expected an object, got {type(found).__name__}")
    return found


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is a RAIN checkpoint and not a LeRobot one."""
    return (folder / CONFIG).is_file() and read_json(folder / CONFIG).get("format") == FORMAT


@contextmanager
def as_checkpoint(meta: dict[str, Any] | None, weights: Path) -> Iterator[Path]:
    """A RAIN checkpoint folder for the block, of LeRobot's header and weights."""
    if not meta:
        raise RainError(
            f"{weights.parent / CONFIG}: checkpoint is missing; it is no policy of RAIN"
        )
    if not weights.is_file():
        raise RainError(f"{weights} is missing; copy the whole folder again")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / CONFIG).write_text(json.dumps(meta), encoding="utf-8")
        (Path(folder) / WEIGHTS).symlink_to(weights.resolve())
        yield Path(folder)


def load_pretrained(meta: dict[str, Any] | None, weights: Path) -> Checkpoint:
    """Load a pretrained folder's network, statistics and conventions, on the CPU."""
    with as_checkpoint(meta, weights) as folder:
        return load_checkpoint(folder)


def export_checkpoint(pretrained: Path, out: Path) -> Path:
    """Write a LeRobot policy as a RAIN checkpoint, for ``rain rollout``; returns its folder."""
    found = read_json(pretrained / CONFIG)
    if found.get("type") != "rain":
        raise RainError(f"{pretrained} is no LeRobot policy of type rain; give a pretrained_model")
    with as_checkpoint(found.get("checkpoint"), pretrained / WEIGHTS) as folder:
        load_checkpoint(folder)
        _claim(out)
        shutil.copyfile(folder / WEIGHTS, out / WEIGHTS)
        _write(out / CONFIG, json.dumps(found["checkpoint"], indent=2) + "\n")
    return out


def import_checkpoint(checkpoint: str, out: Path) -> Path:
    """Write a RAIN checkpoint (folder or shipped name) as a LeRobot policy; returns its folder."""
    from lerobot_policy_rain.modeling_rain import LeRobotRainPolicy

    policy = LeRobotRainPolicy(LeRobotRainConfig(init=checkpoint, device="cpu"))
    _claim(out)
    policy.save_pretrained(out)
    for processor in make_pre_post_processors(policy.config):
        processor.save_pretrained(out)
    return out


def _claim(out: Path) -> None:
    if out.exists() and any(out.iterdir()):
        raise RainError(f"{out} is not empty; choose another --out")
    out.mkdir(parents=True, exist_ok=True)


def _write(path: Path, text: str) -> None:
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def main() -> None:
    """``rain-lerobot export|import``."""
    commands: dict[str, Callable[..., Path]] = {"export": export_command, "import": import_command}
    try:
        print(tyro.extras.subcommand_cli_from_dict(commands, prog="rain-lerobot"))
    except RainError as error:
        print(f"rain-lerobot: {error}", file=sys.stderr)
        raise SystemExit(2) from None


def export_command(pretrained: Path, out: Path) -> Path:
    """Write what lerobot-train saved as a RAIN checkpoint.

    Args:
        pretrained: lerobot's folder, .../checkpoints/last/pretrained_model.
        out: Folder to write.
    """
    return export_checkpoint(pretrained, out)


def import_command(checkpoint: str, out: Path) -> Path:
    """Write a RAIN checkpoint as a folder for --policy.path.

    Args:
        checkpoint: What rain train wrote, or a shipped name.
        out: Folder to write.
    """
    return import_checkpoint(checkpoint, out)
