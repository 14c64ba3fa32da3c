"""Simulated arm, policy server and client as processes of their own: ``make test-ros``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="make test-ros has it")
pytest.importorskip("mujoco", reason="the simulator is not installed")

from ros_replay import Recording, Replays
from serving_fakes import serving

from rain.worlds.omy import omy_conventions

START, SIZE = 3, 64
RAIN = [sys.executable, "-m", "rain.cli.main", "robot"]
TASKS = """
- instruction: put the potato on the red plate
  subtasks:
  - {action_type: grasp, target: potato}
  - {action_type: release, target: red_plate}
"""


@pytest.fixture(scope="module")
def replays():
    return Replays(Recording(0, START), omy_conventions(SIZE))


@pytest.fixture
def sim():
    command = [*RAIN, "sim", "--start", str(START), "--image-size", str(SIZE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert "put the potato on the red plate" in process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


def client(tmp_path: Path, address: str, *more: str) -> subprocess.Popen:
    tasks = tmp_path / "tasks.yaml"
    tasks.write_text(TASKS)
    command = [*RAIN, "run", "--tasks", str(tasks), "--server", address, "--execute", "10",
               "--instruction", "Put the potato on the red plate.", "--out", str(tmp_path / "run"),
               "--client.watch.frozen-after-s", "None", *more]  # fmt: skip
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def events(tmp_path: Path) -> list[dict]:
    path = tmp_path / "run" / "events.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def of_kind(tmp_path, kind):
    return [event for event in events(tmp_path) if event["event"] == kind]


def until(found, seconds=40.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found():
            return True
        time.sleep(0.05)
    return False


def test_the_task_is_done_although_the_policy_server_dies_in_the_middle(tmp_path, sim, replays):
    says: list[str] = []
    threading.Thread(target=lambda: says.extend(sim.stdout), daemon=True).start()
    with serving(replays) as server:
        address = server.address
        run = client(tmp_path, address, "--seconds", "90")
        try:
            assert until(lambda: of_kind(tmp_path, "transition")), run.poll()
        except AssertionError:
            run.kill()
            raise AssertionError(run.stdout.read()) from None
    # The server is gone; the arm holds with what it grasped. Then one with the same policy is back.
    asked = ("policy_silent", "policy_failed", "ask_failed")
    assert until(lambda: any(of_kind(tmp_path, kind) for kind in asked))
    with serving(replays, address):
        out, _ = run.communicate(timeout=90)
    assert run.returncode == 0, out
    assert of_kind(tmp_path, "finished"), out
    assert until(lambda: any('"success": true' in line for line in says), 5), says
    assert {e["what"] for e in of_kind(tmp_path, "clamp")} <= {"slow_start", "step", "velocity"}
    figures = json.loads((tmp_path / "run" / "figures.json").read_text())
    assert figures["played"] > 100
    assert figures["events"].get("crash", 0) == 0


def test_e_stop_a_second_client_and_a_killed_one(tmp_path, sim, replays):
    with serving(replays) as server:
        (tmp_path / "one").mkdir()
        (tmp_path / "two").mkdir()
        run = client(tmp_path / "one", server.address, "--dashboard", "--port", "0", "--audit",
                     str(tmp_path / "audit.jsonl"))  # fmt: skip
        try:
            page = run.stdout.readline().split()[-1]
            assert until(lambda: of_kind(tmp_path / "one", "chunk"))
            second = client(tmp_path / "two", server.address)
            out, _ = second.communicate(timeout=60)
            assert second.returncode == 2
            assert f"held by another client on this computer (process {run.pid})" in out
            run.stdin.write("\n")
            run.stdin.flush()
            assert until(lambda: of_kind(tmp_path / "one", "command"))
            assert of_kind(tmp_path / "one", "command")[-1]["command"] == "e_stop"
            assert until(lambda: "e_stop" in of_kind(tmp_path / "one", "hold")[-1]["reasons"])
            run.stdin.write("release\n")
            run.stdin.flush()
            assert until(lambda: "e_stop" not in of_kind(tmp_path / "one", "hold")[-1]["reasons"])
            with urllib.request.urlopen(page, timeout=10) as got:
                assert b"<title>" in got.read()
            urllib.request.urlopen(urllib.request.Request(f"{page}/stop", b""), timeout=10).close()
            assert until(lambda: "e_stop" in of_kind(tmp_path / "one", "hold")[-1]["reasons"])
            run.terminate()
            assert run.wait(20) == 0
            assert events(tmp_path / "one")[-1]["event"] == "end"
        finally:
            run.kill()
    assert os.path.exists(tmp_path / "one" / "run" / "figures.json")


def test_a_client_without_a_server_says_so_in_one_line(tmp_path):
    run = client(tmp_path, "tcp://127.0.0.1:9")
    out, _ = run.communicate(timeout=60)
    assert run.returncode == 2
    assert "rain: error: tcp://127.0.0.1:9: no answer within 5 s" in out
