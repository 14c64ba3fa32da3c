"""What works on this machine, and how to mend what does not.

Every check tries the thing itself (renders a picture, encodes a video) instead of looking for a
package. Whatever may bring its process down with it, as graphics drivers and half-installed
libraries do, is tried in a process of its own. Imports no other room.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import cast

import numpy as np

DEFAULT_CHECKPOINT = "rain-nano"
SUITES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
SUITE_TASKS = 130
PROBE_SECONDS = 120.0

INSTALL_SIM = 'pip install "rain-robotics[sim]"'


@dataclass(frozen=True)
class Check:
    """One line of the report.

    needed: the demo cannot run without it. mend: what to do, empty where nothing is to be done.
    """

    name: str
    ok: bool
    needed: bool
    detail: str
    mend: str = ""


@dataclass(frozen=True)
class Probe:
    """How a script ended in a process of its own: its last line of output or of its error."""

    ok: bool
    line: str


def run_probe(script: str, **environment: str) -> Probe:
    """Run a Python ``script`` in a fresh interpreter with ``environment`` added to ours."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            timeout=PROBE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Probe(False, f"no answer within {PROBE_SECONDS:.0f} s")
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode < 0:
        return Probe(False, f"the process was ended by signal {-done.returncode}")
    return Probe(done.returncode == 0, lines[-1].strip() if lines else "")


# The OpenGL libraries may load and still draw nothing: only a picture tells.
_GL_PROBE = """
import os, sys
try:
    import mujoco
    model = mujoco.MjModel.from_xml_string(
        '<mujoco><worldbody><light pos="0 0 3"/>'
        '<geom type="sphere" size=".3" rgba="1 0 0 1"/></worldbody></mujoco>')
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    renderer = mujoco.Renderer(model, 48, 64)
    renderer.update_scene(data)
    image = renderer.render()
    if image.max() == image.min():
        raise RuntimeError("the rendered picture is empty")
    from OpenGL import GL
    print(GL.glGetString(GL.GL_RENDERER).decode())
except Exception as error:
    # Leave at once: half-made renderers complain when they are collected and bury the reason.
    print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
    os._exit(1)
"""

_GL_PACKAGES = {"egl": "libegl1 libgl1", "osmesa": "libosmesa6 libgl1"}


def check_gl(probe: Callable[..., Probe] = run_probe) -> list[Check]:
    """Render off screen with EGL and OSMesa, and with the backend that a rollout would take.

    That one is needed: what MUJOCO_GL names, else EGL, or MuJoCo's own choice on a display.
    """
    default = "glfw" if os.environ.get("DISPLAY") else "egl"
    chosen = os.environ.get("MUJOCO_GL", "").strip().lower() or default
    backends = list(dict.fromkeys([chosen, "egl", "osmesa"]))
    with ThreadPoolExecutor(len(backends)) as pool:
        futures = {name: pool.submit(probe, _GL_PROBE, MUJOCO_GL=name) for name in backends}
        probes = {name: future.result() for name, future in futures.items()}
    working = [name for name, result in probes.items() if result.ok]
    checks = []
    for name, result in probes.items():
        mend = "" if result.ok else _mend_gl(name, result.line, working if name == chosen else [])
        checks.append(Check(f"GL {name}", result.ok, name == chosen, result.line, mend))
    return checks


def _mend_gl(backend: str, reason: str, working: list[str]) -> str:
    if "No module named" in reason:
        return INSTALL_SIM
    ways = [f"export MUJOCO_GL={working[0]}"] if working else []
    if backend in _GL_PACKAGES:
        ways.append(f"sudo apt-get install {_GL_PACKAGES[backend]}")
    elif not working:
        ways.append(f"sudo apt-get install {_GL_PACKAGES['egl']} and export MUJOCO_GL=egl")
    return " or ".join(ways)


def check_libero() -> list[Check]:
    """Find LIBERO's tasks, initial states and meshes."""
    try:
        from libero.libero import get_libero_path

        bddl, states, assets = (
            Path(get_libero_path(key)) for key in ("bddl_files", "init_states", "assets")
        )
    except Exception as error:  # whatever a broken installation raises
        return [Check("LIBERO", False, True, _one_line(error), INSTALL_SIM)]
    tasks = sum(len(list((bddl / suite).glob("*.bddl"))) for suite in SUITES)
    suites_with_states = sum(any((states / suite).glob("*")) for suite in SUITES)
    meshes = sum(1 for _ in assets.glob("stable_hope_objects/*/*.xml"))
    complete = tasks == SUITE_TASKS and suites_with_states == len(SUITES) and meshes > 0
    detail = (
        f"{tasks} of {SUITE_TASKS} tasks, initial states of {suites_with_states} of {len(SUITES)} "
        f"suites, {'meshes' if meshes else 'no meshes'} in {assets}"
    )
    mend = "" if complete else f'{INSTALL_SIM} --force-reinstall (or mend "config.yaml" of LIBERO)'
    return [Check("LIBERO", complete, True, detail, mend)]


_TORCH_PROBE = """
import torch
device = "cuda" if torch.cuda.is_available() else "cpu"
x = torch.ones(64, 64, device=device)
assert (x @ x).sum().item() == 64.0 ** 3
name = torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"
print(f"{torch.__version__} on {device} ({name})")
"""


def check_torch() -> list[Check]:
    """Multiply on the device that the policy would run on."""
    probe = run_probe(_TORCH_PROBE)
    mend = "" if probe.ok else 'pip install "torch>=2.6"'
    return [Check("torch", probe.ok, True, probe.line, mend)]


_TRANSFORMERS_PROBE = """
import importlib.metadata, importlib.util
if importlib.util.find_spec("torchvision") is not None:
    try:
        import torchvision
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise SystemExit(f"torchvision is installed but does not import: {first}")
from transformers import CLIPTextModelWithProjection, Dinov2Model
print(importlib.metadata.version("transformers"))
"""


def check_transformers() -> list[Check]:
    """Import the frozen backbones of rain-l and rain-s; a broken torchvision stops them."""
    probe = run_probe(_TRANSFORMERS_PROBE)
    mend = ""
    if not probe.ok and "torchvision" in probe.line:
        mend = "pip uninstall torchvision (RAIN does without), or install your torch's build of it"
    elif not probe.ok:
        mend = 'pip install "transformers>=5.0"'
    return [Check("transformers", probe.ok, False, probe.line, mend)]


def check_video() -> list[Check]:
    """Encode a few frames as H.264, or MPEG-4 where there is no H.264 encoder."""
    reasons = []
    for codec in ("h264", "mpeg4"):
        try:
            size = _encode(codec)
        except Exception as error:  # PyAV raises its own family of errors and ImportError
            reasons.append(f"{codec}: {_one_line(error)}")
        else:
            return [Check("video", True, True, f"{codec} in mp4 ({size} bytes for 4 frames)")]
    return [Check("video", False, True, "; ".join(reasons), "pip install --force-reinstall av")]


def _encode(codec: str) -> int:
    import av

    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = cast("av.VideoStream", container.add_stream(codec, rate=20))
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for level in (0, 80, 160, 240):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), level, np.uint8), "rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return buffer.getbuffer().nbytes


def check_checkpoint(folder: Path | None = None) -> list[Check]:
    """Read the header of the checkpoint that comes with the package."""
    folder = folder or Path(str(files("rain"))) / "checkpoints" / DEFAULT_CHECKPOINT
    try:
        from safetensors import safe_open

        json.loads((folder / "config.json").read_text(encoding="utf-8"))
        with safe_open(folder / "model.safetensors", framework="numpy") as tensors:
            count = len(tensors.keys())
    except Exception as error:  # absent, truncated, not JSON, not safetensors
        mend = "reinstall rain-robotics, or train one: rain train --help"
        return [Check("checkpoint", False, True, f"{folder.name}: {_one_line(error)}", mend)]
    return [Check("checkpoint", True, True, f"{folder.name}, {count} tensors")]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


CHECKS: tuple[Callable[[], list[Check]], ...] = (
    check_gl,
    check_libero,
    check_torch,
    check_transformers,
    check_video,
    check_checkpoint,
)


def examine() -> list[Check]:
    """Run every check, several at a time; the order of the answer is that of ``CHECKS``."""
    with ThreadPoolExecutor(len(CHECKS)) as pool:
        return [check for checks in pool.map(lambda run: run(), CHECKS) for check in checks]


def healthy(checks: list[Check]) -> bool:
    """Say whether everything that the demo needs works."""
    return all(check.ok for check in checks if check.needed)


def report(checks: list[Check]) -> str:
    """Lay the checks out for a terminal, one a line, with how to mend below what is missing."""
    width = max(len(check.name) for check in checks)
    lines = []
    for check in checks:
        note = "" if check.ok or check.needed else " (the demo does without it)"
        state = "ok     " if check.ok else "missing"
        lines.append(f"{state}  {check.name:<{width}}  {check.detail}{note}")
        if check.mend:
            lines.append(f"{'':9}{'':{width}}  mend: {check.mend}")
    return "\n".join(lines)
