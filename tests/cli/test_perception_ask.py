"""``rain perception ask`` against a local server."""

from __future__ import annotations

import numpy as np
from perception_server import StubServer, completion
from PIL import Image

from rain.cli.main import main

REGISTRY = """
- instruction: take the milk
  subtasks: [{action_type: grasp, target: milk_1, phrase: the white carton}]
"""


def test_it_prints_subtasks_and_boxes_and_draws_them(tmp_path, capsys):
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(tmp_path / "in.png")
    answers = iter(['[{"action": "grasp", "target": "milk"}]', "[100, 100, 300, 500]"])
    with StubServer(lambda body: completion(next(answers))) as server:
        args = ["perception", "ask", "take the milk", str(tmp_path / "in.png")]
        code = main([*args, "--vlm", server.url, "--out", str(tmp_path / "out.png")])
    assert code == 0
    assert capsys.readouterr().out == "grasp milk: 20, 10, 60, 50\n"
    drawn = np.asarray(Image.open(tmp_path / "out.png"))
    assert drawn[10, 30].tolist() == [255, 0, 0]


def test_a_registry_decomposes_and_a_missing_target_is_a_no(tmp_path, capsys):
    Image.fromarray(np.zeros((100, 200, 3), np.uint8)).save(tmp_path / "in.png")
    (tmp_path / "tasks.yaml").write_text(REGISTRY)
    with StubServer(lambda body: completion("[]")) as server:
        args = ["perception", "ask", "take the milk", str(tmp_path / "in.png"), "--vlm", server.url]
        assert main([*args, "--registry", str(tmp_path / "tasks.yaml")]) == 1
    assert len(server.requests) == 1
    assert capsys.readouterr().out == "grasp the white carton: not to be seen\n"


def test_no_image_is_one_line(tmp_path, capsys):
    assert main(["perception", "ask", "x", str(tmp_path / "none.png")]) == 2
    assert "is not there or no image" in capsys.readouterr().err
