from __future__ import annotations

import demos_helpers
import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small only lose by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A dataset of six synthetic episodes; its packed cache lies beside it."""
    return demos_helpers.dataset(tmp_path_factory.mktemp("training") / "data", 6)
