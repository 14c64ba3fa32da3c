"""``rain masks`` as a process: a click is followed; figures over HTTP; its end."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from urllib.request import urlopen

import numpy as np

from rain.cli.main import main
from rain.client import MaskClient


def picture(left: int) -> np.ndarray:
    image = np.full((40, 40, 3), 90, np.uint8)
    image[10:20, left : left + 10] = (200, 30, 20)
    return image


def test_follows_a_click_until_it_is_told_to_end():
    command = [sys.executable, "-m", "rain.cli.main", "masks"]
    options = ["--address", "tcp://127.0.0.1:*", "--metrics-port", "0"]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"classical at (tcp://127\.0\.0\.1:\d+), without a token", line)
            assert found, line
            figures = process.stdout.readline().split()[-1]
            client = MaskClient(found.group(1))
            client.begin("block_1", ground=False)
            client.look({"top": picture(5)}, 0.0)
            client.click("top", 0.0, [(10, 15)])
            region = client.look({"top": picture(7)}, 0.1).regions["top"]
            assert region[12:18, 9:15].all()
            assert region.sum() < 150
            text = urlopen(figures, timeout=5).read().decode()
            assert 'rain_requests_total{kind="look"} 2.0' in text
            assert "rain_clients 1.0" in text
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
            assert process.stdout.read() == "stopped\n"
        finally:
            process.kill()


def test_bad_input(capsys, monkeypatch, tmp_path):
    monkeypatch.delenv("RAIN_TOKEN", raising=False)
    for arguments, message in (
        (["--address", "tcp://*:5561"], "set RAIN_TOKEN"),
        (["--vlm", "http://x/v1", "--local-vlm", "y"], "not both"),
        (["--registry", str(tmp_path / "none.yaml")], "none.yaml"),
        (["--frames", "0"], "frames"),
        (["--segmenter", "sam2", "--weights", str(tmp_path)], str(tmp_path)),
    ):
        assert main(["masks", *arguments]) == 2
        assert message in capsys.readouterr().err
