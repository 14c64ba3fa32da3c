"""The client runs on a robot computer: NumPy, pyzmq, msgpack and PyYAML, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ONLY = """
import sys
from importlib.abc import MetaPathFinder

ALLOWED = {allowed}

class Only(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names and not top.startswith("_"):
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

sys.meta_path.insert(0, Only())
"""
LOOP = {"rain", "numpy", "zmq", "msgpack", "yaml"}
MODULES = ["client", "policy", "regions", "figures", "safety", "lock", "session", "heard"]


def run(allowed, script):
    whole = ONLY.format(allowed=allowed) + script
    return subprocess.run([sys.executable, "-c", whole], capture_output=True, text=True)


def test_the_loop_and_the_policys_client_need_four_packages():
    modules = [*(f"rain.robot.{module}" for module in MODULES), "rain.client",
               "rain.perception.reasoner.registry"]  # fmt: skip
    script = "".join(f"import {module}\n" for module in modules)
    # The kinematics are imported where they are asked for.
    script += "from rain.robot.robot import load_robot\n"
    script += "from rain.robot.safety import Safety\n"
    script += "Safety(load_robot('omy_f3m')).check([0.0] * 7, [0.0] * 7)"
    done = run(LOOP, script)
    assert done.returncode == 0, done.stderr


def test_a_run_with_the_fakes_needs_no_more():
    script = (
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\nfrom robot_fakes import Rig\n"
        "rig = Rig()\nrig.client.run(seconds=1)\nassert rig.client.figures.counts['played'] > 20"
    )
    done = run(LOOP | {"robot_fakes"}, script)
    assert done.returncode == 0, done.stderr


def test_the_command_needs_tyro_besides():
    tyro = {"tyro", "docstring_parser", "typeguard", "typing_extensions"}
    script = "from rain.cli.main import main\nmain(['robot', 'run', '--help'])"
    done = run(LOOP | tyro, script)
    assert "--client.play.seam" in done.stdout, done.stderr


@pytest.mark.parametrize("package", ["torch", "mujoco", "PIL"])
def test_the_block_itself_works(package):
    assert f"blocked: {package}" in run(LOOP, f"import {package}").stderr
