"""What several rooms' tests share: one LIBERO world for the whole session."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from rain.worlds.libero import LiberoWorld

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def libero_world() -> Iterator[LiberoWorld]:
    """The alphabet-soup scene; one a process, since closing a second corrupts its images."""
    pytest.importorskip("libero", reason="the simulator is not installed")
    from rain.worlds.libero import LiberoWorld

    world = LiberoWorld("libero_object", 0)
    yield world
    world.close()
