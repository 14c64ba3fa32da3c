from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch

from rain.model import Normaliser


@pytest.fixture(autouse=True)
def _repeatable() -> Iterator[None]:
    torch.manual_seed(0)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # these networks are too small to gain from more
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def normaliser() -> Normaliser:
    """Statistics of random LIBERO-like samples."""
    rng = np.random.default_rng(0)
    return Normaliser.from_samples(
        "libero_ee_axis_angle_gripper",
        rng.normal(size=(50, 7)),
        rng.normal(size=(50, 16, 7)),
        rng.normal(size=(50, 8, 3)) * 0.2 + 0.1,
    )
