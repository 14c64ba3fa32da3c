"""Where the installed LIBERO keeps its scene files and init states."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from rain.types import RainError
from rain.worlds.rendering import choose_gl_backend

INSTALL_HELP = "the LIBERO simulator is not installed: pip install 'rain-robotics[sim]'"


@cache
def libero_root() -> Path:
    """LIBERO's folder; RainError where it is not installed."""
    choose_gl_backend()
    try:
        import libero.libero
    except ImportError as error:
        raise RainError(f"{INSTALL_HELP} ({error})") from error
    return Path(libero.libero.__file__).parent


def scene_path(suite: str, name: str) -> Path:
    """The BDDL file of a task of LIBERO's, by its name."""
    return libero_root() / "bddl_files" / suite / f"{name}.bddl"


def init_states_path(suite: str, name: str) -> Path:
    """The official init states of a task of LIBERO's, by its name."""
    return libero_root() / "init_files" / suite / f"{name}.pruned_init.npz"
