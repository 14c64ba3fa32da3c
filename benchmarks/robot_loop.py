"""How even the rollout client's 30 Hz are: simulated arm, policy server and client on one machine.

    PYTHONPATH=src .venv-ros/bin/python benchmarks/robot_loop.py --seconds 600 --out runs/robot-loop

The simulated arm, the client and a policy server are a process each. The policy replays the
expert's demonstration (tests/ros/ros_replay.py), so the network costs nothing; everything else is
as on the arm. Needs ROS 2 (make test-ros) and the simulator.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests" / "ros"), str(ROOT / "tests" / "serving"),
                str(ROOT / "tests" / "bench")]  # fmt: skip

from ros_replay import Recording, Replays  # noqa: E402
from serving_fakes import serving  # noqa: E402

from rain.worlds.omy import omy_conventions  # noqa: E402

TASKS = """
- instruction: put the potato on the red plate
  subtasks: [{action_type: grasp, target: potato}, {action_type: release, target: red_plate}]
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--out", type=Path, default=Path("runs/robot-loop"))
    given = parser.parse_args()
    os.environ.setdefault("ROS_DOMAIN_ID", "93")
    given.out.mkdir(parents=True, exist_ok=True)
    tasks = given.out / "tasks.yaml"
    tasks.write_text(TASKS)
    rain = [sys.executable, "-m", "rain.cli.main", "robot"]
    size = ["--image-size", str(given.image_size)]
    sim = subprocess.Popen([*rain, "sim", *size], stdout=subprocess.PIPE, text=True)
    try:
        assert sim.stdout is not None
        print(sim.stdout.readline(), end="", flush=True)
        with serving(Replays(Recording(0, 0), omy_conventions(given.image_size))) as server:
            subprocess.run(
                [*rain, "run", "--tasks", str(tasks), "--server", server.address, "--execute", "10",
                 "--instruction", "put the potato on the red plate", "--out", str(given.out),
                 "--seconds", str(given.seconds), "--client.stay", "--client.no-automatic",
                 "--client.watch.frozen-after-s", "None"],
                stdin=subprocess.DEVNULL, check=True,
            )  # fmt: skip
        sim.terminate()
        print(sim.stdout.read(), end="")
    finally:
        sim.kill()
    print(json.dumps({"load": os.getloadavg(), "cores": os.cpu_count()}))


if __name__ == "__main__":
    main()
