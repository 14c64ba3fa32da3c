"""``rain COMMAND`` dispatches lazily and reports errors as its docstring says."""

from __future__ import annotations

import subprocess
import sys
import types

import pytest

import rain
from rain.cli import main as cli
from rain.types import RainError


@pytest.fixture
def command(monkeypatch):
    """Register a made-up command; returns a function that sets what it does."""

    def register(body):
        module = types.ModuleType("rain_test_command")
        module.main = body
        monkeypatch.setitem(sys.modules, "rain_test_command", module)
        monkeypatch.setitem(cli.COMMANDS, "made-up", ("rain_test_command", "made up"))

    return register


def raising(error):
    def body(args):
        raise error

    return body


def test_arguments_and_exit_code_pass_through(command):
    seen = []
    command(lambda args: seen.append(args) or 3)
    assert cli.main(["made-up", "--task", "0"]) == 3
    assert seen == [["--task", "0"]]


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_command(flag, capsys):
    assert cli.main([flag]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out and text in out for name, (_, text) in cli.COMMANDS.items())


def test_no_command_prints_the_help_and_fails(capsys):
    assert cli.main([]) == 2
    assert "usage: rain" in capsys.readouterr().out


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"rain {rain.__version__}\n"


@pytest.mark.parametrize(
    ("name", "hint"), [("trian", "did you mean train"), ("xyzzy", "known: demo")]
)
def test_unknown_command(name, hint, capsys):
    assert cli.main([name]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"rain: error: unknown command '{name}'")
    assert hint in err
    assert err.count("\n") == 1


def test_rain_error_is_one_line(command, capsys, monkeypatch):
    monkeypatch.delenv("RAIN_TRACEBACK", raising=False)
    command(raising(RainError("no suite\n  'x': try 'y'")))
    assert cli.main(["made-up"]) == 2
    assert capsys.readouterr().err == "rain: error: no suite 'x': try 'y'\n"


def test_traceback_on_request(command, capsys, monkeypatch):
    monkeypatch.setenv("RAIN_TRACEBACK", "1")
    command(raising(RainError("no such suite")))
    assert cli.main(["made-up"]) == 2
    err = capsys.readouterr().err
    assert "Traceback" in err
    assert err.endswith("rain: error: no such suite\n")


def test_interrupt(command):
    command(raising(KeyboardInterrupt()))
    assert cli.main(["made-up"]) == 130


def test_file_errors_name_the_file(command, capsys, tmp_path):
    command(lambda args: (tmp_path / "absent.json").read_text())
    assert cli.main(["made-up"]) == 2
    assert "absent.json: No such file or directory" in capsys.readouterr().err


def test_missing_extra_says_what_to_install(command, capsys, monkeypatch):
    command(raising(ModuleNotFoundError("No module named 'mujoco'", name="mujoco")))
    monkeypatch.setattr(cli, "_installed", lambda package: False)
    assert cli.main(["made-up"]) == 2
    assert 'pip install "rain-robotics[sim]"' in capsys.readouterr().err


@pytest.mark.parametrize(
    "error", [ValueError("a bug"), ModuleNotFoundError("No module named 'rain.x'", name="rain.x")]
)
def test_a_bug_keeps_its_traceback(command, error):
    command(raising(error))
    with pytest.raises(type(error)):
        cli.main(["made-up"])


def test_help_imports_no_heavy_library():
    script = (
        "import sys; from rain.cli.main import main; main(['--help']);"
        "print([m for m in ('torch', 'transformers', 'mujoco', 'tyro') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_a_closed_pipe_is_quiet():
    script = (
        "import sys, types; from rain.cli import main as cli\n"
        "module = types.ModuleType('loud')\n"
        "module.main = lambda args: [print('x' * 99) for _ in range(9999)] and 0\n"
        "sys.modules['loud'] = module; cli.COMMANDS['loud'] = ('loud', '')\n"
        "sys.exit(cli.main(['loud']))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()
    process.wait(timeout=30)
