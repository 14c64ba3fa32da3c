"""Checkpoints as earlier versions wrote them must go on working, with the same predictions.

A stored one is its config.json, the names and shapes of its tensors, and what it predicted; the
weights are a formula. A new format adds a file here; the old ones stay as they are.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import rain.model.checkpoint as checkpoint
from rain.model import Checkpoint, load_checkpoint
from rain.types import RainError

STORED = sorted((Path(__file__).parent / "checkpoints").glob("*.json"))


def filled(record: dict, folder: Path) -> None:
    """Write the checkpoint of a record."""
    tensors = {}
    for number, (name, shape) in enumerate(record["shapes"].items()):
        count = math.prod(shape)
        wave = torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + number)
        tensors[name] = (0.3 * wave).float().reshape(shape)
    meta = record["config.json"]
    digest = checkpoint._digest(meta)
    folder.mkdir(exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt", "rain": digest})
    (folder / "config.json").write_text(json.dumps(meta))


def predictions(loaded: Checkpoint) -> dict[str, torch.Tensor]:
    """A few numbers of everything the network says of fixed inputs, physical units."""
    net, size = loaded.net, loaded.conventions.image_size
    ramp = torch.arange(2 * size * size * 3) % 251
    images = ramp.reshape(1, 2, size, size, 3).to(torch.uint8)
    regions = torch.zeros(1, 2, size, size)
    regions[..., 8:14, 10:20] = 1.0
    state, kind = torch.linspace(-1, 1, 7)[None], torch.tensor([2])
    noise = torch.linspace(-1, 1, 24).reshape(1, 8, 3), torch.linspace(1, -1, 112).reshape(1, 16, 7)
    with torch.inference_mode():
        phi = net.encode(net.features(images, regions), regions)
        plan, actions = net.sample(phi, state, kind, noise=noise)
        progress = net.progress(phi, state, kind).sigmoid()
    return {
        "plan": torch.as_tensor(loaded.normaliser.undo_plan(plan.numpy())).flatten()[-6:],
        "actions": torch.as_tensor(loaded.normaliser.undo_actions(actions.numpy())).flatten()[:14],
        "progress": progress.flatten(),
    }


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_it_loads_and_predicts_what_it_did(path, tmp_path):
    record = json.loads(path.read_text())
    filled(record, tmp_path)
    found = predictions(load_checkpoint(tmp_path))
    assert found.keys() == record["predictions"].keys()
    for name, wanted in record["predictions"].items():
        assert found[name].tolist() == pytest.approx(wanted, rel=1e-2, abs=2e-3), name


def test_there_is_one_for_every_format_that_is_read():
    oldest = min(checkpoint._UPGRADES, default=checkpoint.FORMAT_VERSION)
    wanted = [f"format-{n}" for n in range(oldest, checkpoint.FORMAT_VERSION + 1)]
    assert [path.stem for path in STORED] == wanted


@pytest.fixture
def record():
    return json.loads(STORED[-1].read_text())


def test_a_network_of_newer_code_says_which(record, tmp_path):
    record["config.json"]["code"] = "9.1.0"
    record["config.json"]["config"]["novelty"] = 1
    filled(record, tmp_path)
    with pytest.raises(RainError, match=r"unknown fields novelty \(.*made by rain 9\.1\.0, this"):
        load_checkpoint(tmp_path)


def test_renamed_weights_say_which_version_made_them(record, tmp_path):
    record["config.json"]["code"] = "0.0.1"
    record["shapes"]["encoder.old"] = record["shapes"].pop("encoder.tarln.0.spatial.weight")
    filled(record, tmp_path)
    message = r"lacks encoder\.tarln.*made by rain 0\.0\.1.*pip install \"rain-robotics==0\.0\.1\""
    with pytest.raises(RainError, match=message):
        load_checkpoint(tmp_path)


@pytest.mark.parametrize("version", [0, 99, None, "1"])
def test_a_format_that_is_not_read_says_what_to_do(record, tmp_path, version):
    record["config.json"] |= {"version": version, "code": "7.0.0"}
    filled(record, tmp_path)
    with pytest.raises(RainError, match=rf"format version {version}.*rain 7\.0\.0.*pip install"):
        load_checkpoint(tmp_path)


def test_an_earlier_format_is_lifted(record, tmp_path, monkeypatch):
    """What a future format will need: a step from this one, for names and for meaning."""

    def upgrade(meta, tensors):
        meta["config"]["flow_steps"] = meta["config"].pop("steps_of_flow")
        return {name.removeprefix("old."): tensor for name, tensor in tensors.items()}

    wanted = record["predictions"]["plan"]
    record["config.json"]["config"]["steps_of_flow"] = record["config.json"]["config"].pop(
        "flow_steps"
    )
    record["shapes"] = {f"old.{name}": shape for name, shape in record["shapes"].items()}
    filled(record, tmp_path)
    present = checkpoint.FORMAT_VERSION
    monkeypatch.setattr(checkpoint, "FORMAT_VERSION", present + 1)
    monkeypatch.setitem(checkpoint._UPGRADES, present, upgrade)
    found = predictions(load_checkpoint(tmp_path))["plan"].tolist()
    assert found == pytest.approx(wanted, rel=1e-2, abs=2e-3)


def test_a_full_disk_leaves_the_checkpoint_that_was_there(record, tmp_path, monkeypatch):
    filled(record, tmp_path / "run")
    before = load_checkpoint(tmp_path / "run")

    def full(tensors, path, metadata):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(RainError, match=r"cannot be written.*No space left.*stays"):
        checkpoint.save_checkpoint(
            tmp_path / "run", before.net, before.normaliser, before.conventions
        )
    assert sorted(p.name for p in (tmp_path / "run").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]
    load_checkpoint(tmp_path / "run")
