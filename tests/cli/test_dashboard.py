"""``rain dashboard``, ``rain rollout --dashboard``: what is refused before anything is opened."""

from __future__ import annotations

import pytest

from rain.cli.main import main


@pytest.fixture(autouse=True)
def _packages(monkeypatch):
    pytest.importorskip("uvicorn", reason="the extra 'dashboard' is not installed")
    monkeypatch.delenv("RAIN_TOKEN", raising=False)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["dashboard", "--host", "0.0.0.0"], "set RAIN_TOKEN"),
        (["dashboard", "--host", "robot.lan"], "set RAIN_TOKEN"),
        (["dashboard", "--checkpoint", "nowhere"], "nowhere"),
        (["dashboard", "--world", "omy", "--checkpoint", "omy-regions:fast"], "nothing after it"),
        (["dashboard", "--replay", "nowhere"], "nowhere"),
        (["rollout", "--dashboard", "--workers", "2"], "leave out --workers"),
        (["rollout", "--dashboard", "--host", "0.0.0.0"], "set RAIN_TOKEN"),
        (["dashboard", "causal-test", "--scenes", "0"], "--scenes"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert len(told.splitlines()) == 1


def test_the_causal_test_needs_a_browser(capsys, monkeypatch):
    monkeypatch.setenv("RAIN_CHROMIUM", "no-such-browser")
    assert main(["dashboard", "causal-test", "--world", "omy"]) == 2
    assert "needs a browser" in capsys.readouterr().err
