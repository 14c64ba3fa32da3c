"""Imports between the rooms point down only, and the core does without the simulator."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rain

SOURCE = Path(rain.__file__).parent

# docs/architecture.md. A room may import rooms of a lower number.
LEVELS = {
    "types": 0,
    "messages": 1,
    "model": 1,
    "retarget": 1,
    "drawing": 1,
    "worlds": 2,
    "client": 2,
    "demos": 2,
    "training": 3,
    "bench": 3,
    "perception": 3,
    "serving": 4,
    "robot": 5,
    "dashboard": 6,
    "doctor": 6,
    "cli": 7,
}
SIDEWAYS = {("demos", "worlds")}
# Worlds and demonstrations know nothing of policies, or N worlds and M policies would cost N x M.
NEVER = {("worlds", "model"), ("demos", "model")}

SIMULATOR = {"mujoco", "robosuite", "libero", "bddl"}
FOREIGN = {
    "types": {"torch", "transformers", *SIMULATOR},
    "messages": {"torch", "transformers", *SIMULATOR},
    "retarget": {"torch", "transformers", *SIMULATOR},
    "drawing": {"torch", "transformers", *SIMULATOR},
    "model": SIMULATOR,
    "training": SIMULATOR,
    "client": {"torch", "transformers", "prometheus_client", *SIMULATOR},
    "serving": SIMULATOR,
    "robot": {"torch", "transformers", *SIMULATOR},
    "cli": SIMULATOR,
}
"""Packages that a room must not import."""


def room_of(path: Path) -> str:
    """Name the room of a source file; the package's own ``__init__`` is the room ``rain``."""
    first = path.relative_to(SOURCE).parts[0]
    name = first.removesuffix(".py")
    return "rain" if name == "__init__" else name


def imported_modules(tree: ast.AST, package: str) -> Iterator[tuple[int, str]]:
    """Yield (line, absolute module name) of every import, lazy ones in functions as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = package.split(".")
                parent = parts[: len(parts) - node.level + 1]
                base = ".".join([*parent, base] if base else parent)
            # `from rain import model` names the room only in its alias.
            yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args:
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            argument = node.args[0]
            if name in {"import_module", "__import__"} and isinstance(argument, ast.Constant):
                yield node.lineno, str(argument.value)


def violations(source: str, room: str, package: str) -> list[str]:
    """Say which imports of a source file, which is in ``room``, must not be."""
    found = []
    for line, module in imported_modules(ast.parse(source), package):
        top, _, rest = module.partition(".")
        if top in FOREIGN.get(room, set()):
            found.append(f"line {line}: {room} must not import {top}")
        target = rest.partition(".")[0]
        if top != "rain" or target == room or target.startswith("__") or not target:
            continue
        if target not in LEVELS:
            found.append(f"line {line}: {module} is in no room that this test knows")
        elif not may_import(room, target):
            found.append(f"line {line}: {room} must not import {target} ({module})")
    return found


def may_import(room: str, target: str) -> bool:
    """Say whether files of ``room`` may import the room ``target``."""
    if room == "rain" or (room, target) in NEVER:
        return False
    return LEVELS[target] < LEVELS[room] or (room, target) in SIDEWAYS


def package_of(path: Path) -> str:
    """Name the package that a file's relative imports start from."""
    return ".".join(path.relative_to(SOURCE.parent).parent.parts)


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=lambda p: p.name)
def test_imports_point_down(path: Path):
    room = room_of(path)
    assert room == "rain" or room in LEVELS, f"{path}: give the room {room} a level"
    assert violations(path.read_text(encoding="utf-8"), room, package_of(path)) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("model", "import rain.training"),
        ("model", "from rain import training"),
        ("model", "from rain.worlds.libero import suites"),
        ("model", "def f():\n    from rain.cli.main import main"),
        ("model", "from ..demos import dataset"),
        ("model", "import importlib\nimportlib.import_module('rain.bench')"),
        ("retarget", "import rain.model"),
        ("worlds", "import rain.model"),
        ("worlds", "import rain.demos"),
        ("demos", "from rain.model.normalise import Normaliser"),
        ("bench", "import rain.training"),
        ("types", "import rain.model"),
        ("rain", "from rain import types"),
        ("model", "import rain.somewhere"),
        ("retarget", "import torch.nn"),
        ("model", "from robosuite import make"),
    ],
)
def test_a_violation_is_found(room, source):
    assert len(violations(source, room, f"rain.{room}")) == 1


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("model", "import rain.types\nfrom rain import __version__\nimport torch"),
        ("model", "from . import config\nfrom .flow import euler_sample\nfrom ..types import Plan"),
        ("demos", "from rain.worlds import libero"),
        ("worlds", "import mujoco"),
        ("cli", "from rain import doctor"),
    ],
)
def test_what_is_allowed_is_not_found(room, source):
    assert violations(source, room, f"rain.{room}") == []


def run(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_types_imports_numpy_only():
    script = """
import sys
before = set(sys.modules)
import rain.types
added = {name.partition(".")[0] for name in set(sys.modules) - before}
foreign = {name for name in added if name.lstrip("_") not in sys.stdlib_module_names
           and name not in sys.stdlib_module_names}
print(sorted(foreign))
"""
    assert run(script).strip() == "['numpy', 'rain']"


NO_SIMULATOR = """
import sys
from importlib.abc import MetaPathFinder

class NoSimulator(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {simulator}:
            raise ModuleNotFoundError(f"blocked: {{name}}", name=name)

sys.meta_path.insert(0, NoSimulator())
"""


def test_core_imports_without_the_simulator():
    # Only the rooms that exist: later ones join by being there.
    core = ["types", "model", "retarget", "training", "serving", "doctor"]
    there = [room for room in core if (SOURCE / room).is_dir() or (SOURCE / f"{room}.py").exists()]
    imports = "\n".join(["import rain", *(f"import rain.{room}" for room in there)])
    commands = "import rain.cli.main\nassert rain.cli.main.main(['--version']) == 0"
    out = run("\n".join([NO_SIMULATOR.format(simulator=SIMULATOR), imports, commands]))
    assert out.strip() == f"rain {rain.__version__}"


def test_the_block_itself_works():
    script = NO_SIMULATOR.format(simulator=SIMULATOR) + "\nimport mujoco"
    with pytest.raises(AssertionError, match="blocked: mujoco"):
        run(script)
