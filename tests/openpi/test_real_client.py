"""The real openpi-client at our policy server: `make test-openpi`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path[:0] = [str(Path(__file__).parents[1] / name) for name in ("bench", "serving")]

from bench_fakes import FakePolicy  # noqa: E402
from serving_fakes import Served  # noqa: E402

from rain.serving.guests.ports import Guests  # noqa: E402
from rain.serving.guests.reading import GuestOptions  # noqa: E402
from rain.serving.policies import PolicyService  # noqa: E402
from rain.serving.server import Server, ServerConfig  # noqa: E402
from rain.types import Conventions  # noqa: E402

PYTHON = os.environ.get("RAIN_OPENPI_PYTHON")
pytestmark = pytest.mark.skipif(not PYTHON, reason="needs openpi-client's environment")
SIZE = 112


class Watched(Served):
    """Policies of a world that is half as large as openpi's images; they keep what they saw."""

    def __init__(self) -> None:
        self.seen: list[Any] = []
        self.first = FakePolicy()
        self.first.conventions = Conventions(
            ("agentview", "wrist"), SIZE, "libero_ee_axis_angle_gripper",
            "libero_osc_pose_delta", 20.0,
        )  # fmt: skip

    def __call__(self, seed: int) -> Any:
        return self.first

    def predict_together(self, policies, observations, size):
        self.seen += observations
        return [self.first.predict(o) for o in observations]


def test_its_observations_arrive_and_its_chunks_are_ours(tmp_path):
    image = np.zeros((256, 256, 3), np.uint8)
    image[:, :64] = 200  # the half turn of LIBERO's images puts right what is left
    region = np.zeros((224, 224), np.uint8)
    region[:, :56] = 1
    state = np.array([0.5, 0.5, 0.5, 3.0, 0.0, 0.0, 0.04, -0.04])
    file = tmp_path / "given.npz"
    np.savez(file, image=image, wrist=image, state=state, region=region)
    policies = Watched()
    service = PolicyService(policies)
    config = ServerConfig("tcp://127.0.0.1:*", token="secret")
    options = GuestOptions(conventions="openpi-libero", base=(0.1, 0.2, 0.3))
    with Server(service, config) as server:
        thread = threading.Thread(target=server.run)
        thread.start()
        try:
            with Guests(server, service, config, options).listening("openpi", 0) as port:
                found = ask(f"ws://127.0.0.1:{port}", "secret", str(file))
                refused = run(f"ws://127.0.0.1:{port}", "", str(file))
        finally:
            server.stop()
            thread.join()
    assert found["numpy"].startswith("1."), "its environment is its own"
    assert found["metadata"] == Served.name
    # FakePolicy's action j of look k is [k, j, 0, 0, 0, 0, 1].
    assert np.shape(found["actions"]) == (16, 7)
    assert [step[1] for step in found["steps"]] == [*range(10), 0, 1]
    assert [step[0] for step in found["steps"]] == [1] * 10 + [2] * 2
    assert "there is no region" in found["error"]
    seen = policies.seen[0]
    assert seen.images["agentview"].shape == (SIZE, SIZE, 3)
    assert seen.images["agentview"][:, 86:].min() > 190
    assert seen.images["agentview"][:, :80].max() < 10
    assert seen.regions["agentview"][:, 84:].all()
    assert not seen.regions["agentview"][:, :84].any()
    np.testing.assert_allclose(seen.state, [0.4, 0.3, 0.2, 3.0, 0.0, 0.0, 0.08], atol=1e-6)
    assert refused.returncode != 0
    assert "401" in refused.stderr


def ask(*arguments: str) -> dict[str, Any]:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    assert PYTHON is not None
    script = Path(__file__).with_name("robot_client.py")
    return subprocess.run(
        [PYTHON, str(script), *arguments], capture_output=True, text=True, timeout=120,
        env={"PATH": os.environ.get("PATH", "")},
    )  # fmt: skip
