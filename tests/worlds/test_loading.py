from __future__ import annotations

import builtins
import sys
from pathlib import Path

import numpy as np
import pytest

from rain.types import RainError
from rain.worlds.libero import find_task, loading
from rain.worlds.rendering import Renderer, choose_gl_backend


def test_unknown_gl_backend_is_refused_before_mujoco_is_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "vulkan")
    with pytest.raises(RainError, match="egl or osmesa"):
        choose_gl_backend()


def test_egl_is_chosen_only_where_nothing_else_was(monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    choose_gl_backend()
    assert os.environ["MUJOCO_GL"] == "egl"
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    choose_gl_backend()
    assert os.environ["MUJOCO_GL"] == "osmesa"
    monkeypatch.delenv("MUJOCO_GL")
    monkeypatch.setenv("DISPLAY", ":0")
    choose_gl_backend()
    assert "MUJOCO_GL" not in os.environ


@pytest.mark.parametrize(
    ("raised", "words"),
    [
        (ModuleNotFoundError("No module named 'robosuite'"), "pip install"),
        (AttributeError("'NoneType' object has no attribute 'eglQueryString'"), "libegl1"),
        (OSError("libOSMesa.so.8: cannot open"), "libosmesa6"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    monkeypatch: pytest.MonkeyPatch, raised: Exception, words: str
) -> None:
    pytest.importorskip("libero")
    real = builtins.__import__

    def refuse(name: str, *rest, **more):
        if name.split(".")[0] == "robosuite":
            raise raised
        return real(name, *rest, **more)

    bddl = find_task("libero_object", 0).bddl
    monkeypatch.setattr(builtins, "__import__", refuse)
    monkeypatch.delitem(sys.modules, "robosuite", raising=False)
    with pytest.raises(RainError, match=words) as caught:
        loading.make_env(bddl)
    assert "\n" not in str(caught.value)


def test_missing_scene_file_is_named() -> None:
    with pytest.raises(RainError, match=r"lost\.bddl"):
        loading.make_env(Path("lost.bddl"))


def test_unknown_rendering_is_refused() -> None:
    with pytest.raises(RainError, match="official, fast"):
        Renderer(None, "pretty")  # type: ignore[arg-type]


def test_quaternion_product_composes_rotations() -> None:
    pytest.importorskip("scipy")
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(0)
    for _ in range(5):
        one, two = Rotation.random(rng=rng), Rotation.random(rng=rng)
        ours = loading.quaternion_product(
            one.as_quat(scalar_first=True), two.as_quat(scalar_first=True)
        )
        np.testing.assert_allclose(
            Rotation.from_quat(ours, scalar_first=True).as_matrix(), (one * two).as_matrix()
        )


def test_a_scene_whose_meshes_are_not_bundled_is_one_line() -> None:
    pytest.importorskip("libero")
    with pytest.raises(RainError, match=r"red_box.* lacks .*red_box\.xml"):
        loading.make_env(find_task("libero_object_with_red_box", 0).bddl)
