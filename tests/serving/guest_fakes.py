"""Policies that keep what they saw, and a client of openpi's, written from the protocol."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from bench_fakes import CONVENTIONS, FakePolicy
from bench_servers import openpi_bytes, openpi_value
from serving_fakes import Served
from websockets.sync.client import connect

from rain.types import ActionChunk, Conventions, Prediction

STATE = np.arange(7, dtype=np.float32) / 8
LIBERO_256 = Conventions(("agentview", "wrist"), 256, CONVENTIONS.state, CONVENTIONS.action, 20.0)


class Watched(Served):
    """Policies that keep what they saw; their completion is 0.9, their gripper alternates."""

    def __init__(self, conventions: Conventions = CONVENTIONS) -> None:
        self.seen: list[Any] = []
        self.conventions = conventions

    def __call__(self, seed: int) -> Any:
        return FakePolicy([0.9], self.conventions)

    def predict_together(self, policies, observations, size):
        self.seen += observations
        given = [policy.predict(o) for policy, o in zip(policies, observations, strict=True)]
        actions = np.array(given[0].action_chunk.actions)
        actions[:, 6] = np.where(np.arange(16) % 2, 1.0, -1.0)
        return [Prediction(ActionChunk(actions), p.plan, p.progress) for p in given]


def sent(**changes: Any) -> dict[str, Any]:
    """An observation by view, in openpi's words; the region is the image's right half."""
    size = CONVENTIONS.image_size
    image = np.arange(size * size * 3, dtype=np.uint32).reshape(size, size, 3).astype(np.uint8)
    region = np.zeros((size, size), bool)
    region[:, size // 2 :] = True
    return {
        "observation/agentview": image,
        "observation/wrist": image[::-1].copy(),
        "observation/region/agentview": region,
        "observation/state": STATE,
        "action_type": "grasp",
        "prompt": "take it",
    } | changes


def asking(address: str, **more: Any) -> Callable[[dict], Any]:
    """A client of openpi's, written from the protocol: the metadata are its attribute."""
    connection = connect(address, compression=None, max_size=None, **more)
    metadata = connection.recv()
    if isinstance(metadata, str):
        raise RuntimeError(metadata)

    def ask(observation: dict) -> Any:
        connection.send(openpi_bytes(observation))
        answer = connection.recv()
        if isinstance(answer, str):
            raise RuntimeError(answer)
        return openpi_value(answer)

    ask.metadata, ask.connection = openpi_value(metadata), connection
    return ask
