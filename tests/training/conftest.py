from __future__ import annotations

import gc

import demos_helpers
import pytest
import torch

import rain.training.journal as journal


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    """Networks this small only lose by a second thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _quick(monkeypatch):
    """Drawing and collecting garbage take longer than training; a module's first run has both."""
    monkeypatch.setattr(journal, "draw_curves", lambda *paths: None)
    monkeypatch.setattr(gc, "collect", lambda *generation: 0)


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    """A dataset of six synthetic episodes; its packed cache lies beside it."""
    return demos_helpers.dataset(tmp_path_factory.mktemp("training") / "data", 6)
