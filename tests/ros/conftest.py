"""A ROS domain of its own for every test, on this computer only."""

from __future__ import annotations

import itertools
import os

import pytest

_DOMAINS = itertools.count(os.getpid() % 80)


@pytest.fixture(autouse=True)
def domain(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(10 + next(_DOMAINS) % 90))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
