"""``rain doctor`` says what is missing, how to mend it, and answers with its exit code."""

from __future__ import annotations

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from rain import doctor
from rain.cli import doctor as command
from rain.doctor import Check, Probe

FINE = Check("torch", True, True, "2.13")
ABSENT = Check("GL egl", False, True, "no libEGL", "apt-get install libegl1")
SPARE = Check("GL osmesa", False, False, "no OSMesa", "apt-get install libosmesa6")


@pytest.mark.parametrize(
    ("checks", "code"),
    [([FINE], 0), ([FINE, SPARE], 0), ([FINE, ABSENT], 1)],
)
def test_exit_code_is_what_the_demo_needs(checks, code, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "examine", lambda: checks)
    assert command.main([]) == code
    assert command.main(["--json"]) == code
    out = capsys.readouterr().out
    answer = json.loads(out[out.index("\n{") :])
    assert answer["ok"] is (code == 0)
    assert [check["name"] for check in answer["checks"]] == [check.name for check in checks]


def test_report_says_how_to_mend():
    lines = doctor.report([FINE, ABSENT, SPARE]).splitlines()
    assert lines[0].split() == ["ok", "torch", "2.13"]
    assert lines[1].split() == ["missing", "GL", "egl", "no", "libEGL"]
    assert "mend: apt-get install libegl1" in lines[2]
    assert lines[3].endswith("(the demo does without it)")


def gl_where(*working: str):
    return lambda script, MUJOCO_GL: Probe(MUJOCO_GL in working, "line")


def test_gl_chosen_backend_is_needed(monkeypatch):
    monkeypatch.setenv("MUJOCO_GL", "osmesa")
    checks = doctor.check_gl(gl_where("osmesa"))
    assert [(c.name, c.ok, c.needed) for c in checks] == [
        ("GL osmesa", True, True),
        ("GL egl", False, False),
    ]
    assert checks[1].mend == "sudo apt-get install libegl1 libgl1"


def test_gl_offers_the_backend_that_works(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    egl, osmesa = doctor.check_gl(gl_where("osmesa"))
    assert (egl.ok, egl.needed, osmesa.ok) == (False, True, True)
    assert egl.mend == "export MUJOCO_GL=osmesa or sudo apt-get install libegl1 libgl1"


@pytest.mark.parametrize(
    ("working", "mend"),
    [
        (("egl", "osmesa"), "export MUJOCO_GL=egl"),
        ((), "sudo apt-get install libegl1 libgl1 and export MUJOCO_GL=egl"),
    ],
)
def test_gl_on_a_display_is_what_mujoco_takes_there(working, mend, monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    glfw = doctor.check_gl(gl_where(*working))[0]
    assert (glfw.name, glfw.needed, glfw.mend) == ("GL glfw", True, mend)


def test_gl_without_mujoco_asks_for_the_extra(monkeypatch):
    monkeypatch.delenv("MUJOCO_GL", raising=False)
    absent = Probe(False, "ModuleNotFoundError: No module named 'mujoco'")
    checks = doctor.check_gl(lambda script, **environment: absent)
    assert {check.mend for check in checks} == {doctor.INSTALL_SIM}


def test_probe_gives_the_last_line_of_the_error():
    assert doctor.run_probe("print('a'); print('b')") == Probe(True, "b")
    assert doctor.run_probe("raise SystemExit('no libEGL')") == Probe(False, "no libEGL")
    assert doctor.run_probe("import os; print(os.environ['X'])", X="1") == Probe(True, "1")


def test_probe_survives_a_crash_and_a_hang(monkeypatch):
    crash = doctor.run_probe("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert crash == Probe(False, "the process was ended by signal 11")
    monkeypatch.setattr(doctor, "PROBE_SECONDS", 0.2)
    hang = doctor.run_probe("import time; time.sleep(60)")
    assert not hang.ok
    assert "no answer" in hang.line


def test_broken_torchvision_is_found(tmp_path, monkeypatch):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (check,) = doctor.check_transformers()
    assert not check.ok
    assert "torchvision::nms" in check.detail
    assert check.mend.startswith("pip uninstall torchvision")


def test_video_is_really_encoded():
    (check,) = doctor.check_video()
    assert check.ok, check.detail


def test_video_falls_back_and_reports_both(monkeypatch):
    def only_mpeg4(codec):
        if codec == "h264":
            raise ValueError("no encoder")
        return 10

    monkeypatch.setattr(doctor, "_encode", only_mpeg4)
    assert doctor.check_video()[0].detail.startswith("mpeg4")
    monkeypatch.setattr(doctor, "_encode", lambda codec: 1 / 0)
    (check,) = doctor.check_video()
    assert not check.ok
    assert "h264: " in check.detail
    assert "mpeg4: " in check.detail


def test_checkpoint_absent_truncated_and_whole(tmp_path):
    assert not doctor.check_checkpoint(tmp_path)[0].ok
    (tmp_path / "config.json").write_text("{}")
    save_file({"weight": np.zeros(1000, np.float32)}, tmp_path / "model.safetensors")
    assert doctor.check_checkpoint(tmp_path)[0].detail.endswith("1 tensors")
    whole = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(whole[:-50])
    (check,) = doctor.check_checkpoint(tmp_path)
    assert not check.ok
    assert "rain train" in check.mend


def test_libero_absent_asks_for_the_extra(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "libero.libero", None)
    (check,) = doctor.check_libero()
    assert not check.ok
    assert check.needed
    assert check.mend == doctor.INSTALL_SIM


def test_libero_counts_its_files():
    pytest.importorskip("libero")
    (check,) = doctor.check_libero()
    assert check.ok, check.detail
    assert "130 of 130 tasks" in check.detail
