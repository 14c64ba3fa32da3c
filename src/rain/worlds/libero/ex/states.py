"""The frozen init states of LIBERO-EX in files: one npz a task and SHA256SUMS; never a pickle."""

from __future__ import annotations

import hashlib
import json
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.libero.init_states import InitStates

STATES = Path(__file__).parent / "states"
"""The states that come with the package."""

SUMS = "SHA256SUMS"
EVALUATION, DEVELOPMENT = 10, 20
"""How many states of each task evaluations start from, and how many are for development."""


@dataclass(frozen=True)
class SceneSignature:
    """What must be the same for a stored state to mean the same.

    bddl: SHA-256 of the scene file's text; bodies: of the names of the model's bodies and joints,
    in order; nq, nv: sizes of the model; fixtures: names, in the order of their poses.
    """

    bddl: str
    bodies: str
    nq: int
    nv: int
    fixtures: tuple[str, ...]


@dataclass(frozen=True)
class FrozenStates:
    """One task's stored states and where they are from.

    origins: (n,), of each state the seed that it was sampled with, or the number of the official
    init state that it settled from. official: which of the two; rejected: reason -> how many
    samples were rejected for it; made_with: package -> version.
    """

    starts: InitStates
    signature: SceneSignature
    origins: NDArray[np.int64]
    official: bool
    rejected: dict[str, int]
    made_with: dict[str, str]


def states_file(folder: Path, task_id: str) -> Path:
    """The file of a task's states."""
    return folder / f"{task_id}.npz"


def write_states(path: Path, frozen: FrozenStates) -> None:
    """Write one task's states."""
    about = {
        "format": 1,
        "evaluation": frozen.starts.evaluation,
        "official": frozen.official,
        "rejected": frozen.rejected,
        "made_with": frozen.made_with,
        "signature": asdict(frozen.signature),
    }
    assert frozen.starts.fixture_poses is not None
    from rain.drawing import replacing  # late: it loads video codecs, which reading needs not

    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            states=frozen.starts.states,
            fixture_poses=frozen.starts.fixture_poses,
            origins=frozen.origins,
            about=np.array(json.dumps(about, sort_keys=True)),
        )


def read_states(path: Path) -> FrozenStates:
    """Read one task's states; RainError where they are missing or damaged."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(str(stored["about"]))
            starts = InitStates(
                stored["states"], stored["fixture_poses"], True, about["evaluation"]
            )
            origins = stored["origins"]
        signature = about["signature"] | {"fixtures": tuple(about["signature"]["fixtures"])}
        return FrozenStates(
            starts,
            SceneSignature(**signature),
            origins,
            about["official"],
            about["rejected"],
            about["made_with"],
        )
    except FileNotFoundError as error:
        raise RainError(f"{path}: no frozen init states; reinstall rain-robotics") from error
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        raise RainError(f"{path}: damaged init states ({error}); reinstall rain-robotics") from None


def digest_of(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_sums(folder: Path) -> None:
    """Write the checksums of all states in a folder, as ``sha256sum -c`` takes them."""
    from rain.drawing import replacing

    lines = [f"{digest_of(path)}  {path.name}\n" for path in sorted(folder.glob("*.npz"))]
    with replacing(folder / SUMS) as temporary:
        temporary.write_text("".join(lines))


def read_sums(folder: Path) -> dict[str, str]:
    """File name -> checksum; RainError where the file is missing or no such file."""
    path = folder / SUMS
    try:
        lines = [line.split() for line in path.read_text("utf-8").splitlines()]
        return {name: digest for digest, name in lines}
    except (OSError, ValueError) as error:
        raise RainError(f"{path}: checksums cannot be read: {error}") from error


def wrong_sum(folder: Path, task_id: str) -> str | None:
    """Say how a task's file differs from its checksum; None where it does not."""
    path, sums = states_file(folder, task_id), read_sums(folder)
    if not path.is_file():
        return f"{path.name} is missing"
    if path.name not in sums:
        return f"{SUMS} does not name {path.name}"
    if digest_of(path) != sums[path.name]:
        return f"{path.name} differs from its checksum"
    return None
