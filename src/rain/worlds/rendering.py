"""Camera images and geom-id maps of a MuJoCo model, rendered only when asked for.

The project renders with its own off-screen context instead of robosuite's, so that no view is
drawn that nobody asked for, sites never hide a target in the segmentation, and multisampling can
be switched off (a software renderer spends half its time on it).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from rain.types import RainError

if TYPE_CHECKING:
    import mujoco

MAX_SIZE = 512
"""Largest image side, px."""

GL_HELP = (
    "install the GL libraries (Debian: apt-get install libegl1 libgl1 libosmesa6) and set "
    "MUJOCO_GL to egl or osmesa; `rain doctor` tests both"
)


GL_BACKENDS = ("", "egl", "osmesa", "glfw", "disable", "disabled", "off", "false", "0", "enable",
               "enabled", "on", "true", "1")  # fmt: skip
"""Values of MUJOCO_GL that MuJoCo takes."""


@dataclass(frozen=True)
class RenderingMode:
    """How images are drawn. One mode for training and evaluation of a policy."""

    reflections: bool
    multisamples: int


NO_GROUP = 5
"""MuJoCo's last group of geoms, which neither LIBERO nor the arms use."""

RENDERING_MODES = {
    "official": RenderingMode(reflections=True, multisamples=4),
    "fast": RenderingMode(reflections=False, multisamples=0),
}


def choose_gl_backend() -> None:
    """Pick the headless EGL backend unless the user or a display decides otherwise.

    Must run before MuJoCo is imported for the first time in a process. RainError where MUJOCO_GL
    names something that MuJoCo does not know: its import would fail.
    """
    chosen = os.environ.get("MUJOCO_GL", "").lower().strip()
    if chosen not in GL_BACKENDS:
        raise RainError(f"MUJOCO_GL is {chosen!r}; set it to egl or osmesa, or leave it unset")
    if "MUJOCO_GL" not in os.environ and not os.environ.get("DISPLAY"):
        os.environ["MUJOCO_GL"] = "egl"


def out_of_view(model: mujoco.MjModel, data: mujoco.MjData, camera: int) -> NDArray[np.bool_]:
    """Which geoms (ngeom,) lie, with their bounding spheres, outside a square image's pyramid."""
    centres = (data.geom_xpos - data.cam_xpos[camera]) @ data.cam_xmat[camera].reshape(3, 3)
    radius = model.geom_rbound
    half = np.deg2rad(model.cam_fovy[camera]) / 2
    # A camera looks along its own -z. Of a sphere's distance to a side plane its radius is off.
    ahead, aside = -centres[:, 2], np.abs(centres[:, :2]).max(axis=1)
    outside = aside * np.cos(half) - ahead * np.sin(half) > radius
    return (outside | (ahead < -radius)) & (radius > 0)  # a plane has no radius: it is endless


class Renderer:
    """Draws one model. A process should hold one renderer at a time."""

    def __init__(self, model: mujoco.MjModel, mode: str = "fast") -> None:
        """Remember the model; the GL context is made with the first image."""
        if mode not in RENDERING_MODES:
            raise RainError(f"rendering {mode!r} is unknown; known: {', '.join(RENDERING_MODES)}")
        self._model = model
        self._mode = RENDERING_MODES[mode]
        self._gl: Any = None
        self._context: Any = None
        self._scene: Any = None

    def _open(self) -> None:
        import mujoco

        self._model.vis.global_.offwidth = MAX_SIZE
        self._model.vis.global_.offheight = MAX_SIZE
        self._model.vis.quality.offsamples = self._mode.multisamples
        try:
            from mujoco.gl_context import GLContext

            self._gl = GLContext(MAX_SIZE, MAX_SIZE)
            self._gl.make_current()
            self._context = mujoco.MjrContext(
                self._model, mujoco.mjtFontScale.mjFONTSCALE_100.value
            )
        except Exception as error:  # GL back ends raise their own, undocumented kinds
            self.close()
            raise RainError(f"cannot open an off-screen GL context ({error}): {GL_HELP}") from error
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN.value, self._context)
        self._scene = mujoco.MjvScene(self._model, maxgeom=2000)
        self._scene.flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = self._mode.reflections
        self._options = mujoco.MjvOption()
        self._options.geomgroup[0] = 0  # collision shapes
        self._options.geomgroup[NO_GROUP] = 0
        self._options.sitegroup[:] = 0  # invisible gripper sites hide targets in id maps
        self._camera = mujoco.MjvCamera()
        self._camera.type = mujoco.mjtCamera.mjCAMERA_FIXED

    def _draw(self, data: mujoco.MjData, camera: int, size: int, ids: bool) -> NDArray[np.uint8]:
        import mujoco

        if not 0 < size <= MAX_SIZE:
            raise RainError(f"image size {size} is outside 1..{MAX_SIZE}")
        if self._gl is None:
            self._open()
        self._gl.make_current()
        self._camera.fixedcamid = camera
        with self._left_out(data, camera):
            mujoco.mjv_updateScene(
                self._model, data, self._options, None, self._camera,
                mujoco.mjtCatBit.mjCAT_ALL.value, self._scene,
            )  # fmt: skip
        self._scene.flags[mujoco.mjtRndFlag.mjRND_SEGMENT] = ids
        self._scene.flags[mujoco.mjtRndFlag.mjRND_IDCOLOR] = ids
        view = mujoco.MjrRect(0, 0, size, size)
        pixels = np.empty((size, size, 3), dtype=np.uint8)
        mujoco.mjr_render(view, self._scene, self._context)
        mujoco.mjr_readPixels(pixels, None, view, self._context)
        return pixels[::-1]  # OpenGL counts rows from the bottom

    @contextmanager
    def _left_out(self, data: mujoco.MjData, camera: int) -> Iterator[None]:
        """Keep geoms out of view out of the scene too, unless it may show their traces.

        MuJoCo sends every geom to the renderer, and a software renderer transforms all of its
        triangles before it finds that none is in view: in the wrist's view that is half of them.
        """
        if self._mode.reflections or self._model.light_castshadow.any():
            yield
            return
        hidden = out_of_view(self._model, data, camera)
        groups = self._model.geom_group[hidden]
        self._model.geom_group[hidden] = NO_GROUP
        try:
            yield
        finally:
            self._model.geom_group[hidden] = groups

    def rgb(self, data: mujoco.MjData, camera: int, size: int) -> NDArray[np.uint8]:
        """Draw camera number ``camera``: upright uint8 (size, size, 3)."""
        return np.ascontiguousarray(self._draw(data, camera, size, ids=False))

    def geom_ids(self, data: mujoco.MjData, camera: int, size: int) -> NDArray[np.int32]:
        """Draw the geom id of every pixel, int32 (size, size), -1 where there is none."""
        import mujoco

        pixels = self._draw(data, camera, size, ids=True).astype(np.int32)
        segment = pixels[..., 0] + (pixels[..., 1] << 8) + (pixels[..., 2] << 16)
        count = self._scene.ngeom
        lookup = np.full(count + 1, -1, dtype=np.int32)
        for geom in self._scene.geoms[:count]:
            if geom.segid >= 0 and geom.objtype == mujoco.mjtObj.mjOBJ_GEOM:
                lookup[geom.segid + 1] = geom.objid
        segment[segment > count] = 0
        return lookup[segment]

    def close(self) -> None:
        """Free the GL context."""
        for part in (self._context, self._gl):
            if part is not None:
                part.free()
        self._gl = self._context = self._scene = None


def project_points(
    model: mujoco.MjModel, data: mujoco.MjData, camera: int, points: ArrayLike, size: int
) -> NDArray[np.float64]:
    """Project scene points (N, 3), m, to pixels (N, 2), u right, v down; NaN when behind."""
    away = np.asarray(points, dtype=np.float64) - data.cam_xpos[camera]
    local = away @ data.cam_xmat[camera].reshape(3, 3)
    focal = 0.5 * size / np.tan(np.deg2rad(model.cam_fovy[camera]) / 2)
    depth = np.where(local[:, 2] < -1e-6, -local[:, 2], np.nan)
    centre = (size - 1) / 2
    u = focal * local[:, 0] / depth + centre
    v = -focal * local[:, 1] / depth + centre
    return np.stack([u, v], axis=1)
