"""A wheel holds everything that the installed package reads."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DATA = {".yaml", ".json", ".npz", ".safetensors", ".md", ".typed", ".html", ".css", ".js", ".svg"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Build from a copy: setuptools writes into the tree it builds."""
    pytest.importorskip("setuptools", minversion="77")
    tree = tmp_path_factory.mktemp("tree")
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(ROOT / "src", tree / "src", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree / name)
    command = [sys.executable, "-c", "from setuptools.build_meta import *; build_wheel('dist')"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (tree / "dist").glob("rain_robotics-*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_code_and_data(wheel):
    expected = {
        str(path.relative_to(ROOT / "src"))
        for path in (ROOT / "src" / "rain").rglob("*")
        if path.is_file() and (path.suffix in {*DATA, ".py"} or path.name == "SHA256SUMS")
    }
    assert expected - set(wheel.namelist()) == set()


def test_wheel_holds_nothing_else(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert tops == {"rain", next(top for top in tops if top.endswith(".dist-info"))}


def test_wheel_names_its_licence_command_and_extras(wheel):
    by_name = {name.split("/", 1)[1]: wheel.read(name).decode() for name in wheel.namelist()
               if ".dist-info/" in name}  # fmt: skip
    assert "Apache License" in by_name["licenses/LICENSE"]
    assert "rain = rain.cli.main:main" in by_name["entry_points.txt"]
    assert "Provides-Extra: sim" in by_name["METADATA"]
    core = [line for line in by_name["METADATA"].splitlines()
            if line.startswith("Requires-Dist") and "extra ==" not in line]  # fmt: skip
    assert not [line for line in core if "mujoco" in line or "libero" in line]


def test_no_data_of_the_package_is_ignored_by_git():
    data = [str(p) for p in (ROOT / "src" / "rain").rglob("*") if p.is_file() and p.suffix in DATA]
    git = shutil.which("git")
    if git is None or not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    done = subprocess.run([git, "check-ignore", *data], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == ""
