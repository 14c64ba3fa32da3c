from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from model_helpers import CONVENTIONS, encode, inputs, tiny_net
from safetensors.torch import load_file, save_file

import rain.model.checkpoint as checkpoint
from rain.model import Normaliser, load_checkpoint, save_checkpoint
from rain.types import RainError


@pytest.fixture
def folder(tmp_path: Path, normaliser: Normaliser) -> Path:
    extra = {"track": "open", "steps": 12}
    return save_checkpoint(tmp_path / "run", tiny_net(), normaliser, CONVENTIONS, extra)


def test_round_trip_bit_for_bit(tmp_path: Path, normaliser: Normaliser) -> None:
    net, x = tiny_net(bidirectional=True, region_views=("wrist",)), inputs()
    save_checkpoint(tmp_path, net, normaliser, CONVENTIONS, {"track": "open"})
    loaded = load_checkpoint(tmp_path)
    assert loaded.normaliser == normaliser
    assert loaded.conventions == CONVENTIONS
    assert loaded.extra == {"track": "open"}
    assert loaded.net.config == net.config
    assert not loaded.net.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(loaded.net.state_dict()[name], tensor), name
    noise = torch.randn(3, 8, 3), torch.randn(3, 16, 7)
    for a, b in zip(
        net.sample(encode(net, x), x["state"], x["action_type"], noise=noise),
        loaded.net.sample(encode(loaded.net, x), x["state"], x["action_type"], noise=noise),
        strict=True,
    ):
        assert torch.equal(a, b)


def test_bfloat16_halves_the_file_and_rounds(tmp_path: Path, normaliser: Normaliser) -> None:
    net = tiny_net()
    save_checkpoint(tmp_path / "full", net, normaliser, CONVENTIONS)
    save_checkpoint(tmp_path / "half", net, normaliser, CONVENTIONS, dtype="bfloat16")
    sizes = [(tmp_path / f / "model.safetensors").stat().st_size for f in ("full", "half")]
    assert sizes[1] < 0.6 * sizes[0]
    for name, tensor in load_checkpoint(tmp_path / "half").net.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, net.state_dict()[name].bfloat16().float())


def test_saving_again_replaces_and_leaves_nothing_behind(
    folder: Path, normaliser: Normaliser
) -> None:
    net = tiny_net()
    save_checkpoint(folder, net, normaliser, CONVENTIONS)
    assert sorted(p.name for p in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert load_checkpoint(folder).extra == {}


def edit(folder: Path, change: Callable[[dict], object], together: bool = False) -> None:
    """Change config.json; ``together``: as if weights and JSON had been written so."""
    path, weights = folder / "config.json", folder / "model.safetensors"
    meta = json.loads(path.read_text())
    change(meta)
    path.write_text(json.dumps(meta))
    if together and {"config", "normalisation", "conventions"} <= set(meta):
        digest = checkpoint._digest(meta)
        save_file(load_file(weights), weights, metadata={"format": "pt", "rain": digest})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.pop("normalisation"), "normalisation is missing"),
        (lambda m: m["normalisation"].pop("plan"), "statistics are missing"),
        (lambda m: m.pop("conventions"), "conventions is missing"),
        (lambda m: m["conventions"].pop("rate_hz"), "rate_hz"),
        (lambda m: m.pop("format"), "not a RAIN checkpoint"),
        (lambda m: m.update(version=99), "format version 99"),
        (lambda m: m["config"].update(novelty=1), "unknown fields novelty"),
        (lambda m: m["config"].update(dit_layers=1), "not written together"),
        (lambda m: m["normalisation"]["plan"]["mean"].__setitem__(0, 9), "not written together"),
        (
            lambda m: m["conventions"].update(views=["wrist", "agentview"]),
            "are not the conventions",
        ),
    ],
)
def test_a_config_that_lacks_or_contradicts_is_an_error(
    folder: Path, change: Callable[[dict], object], message: str
) -> None:
    edit(folder, change, together=message != "not written together")
    with pytest.raises(RainError, match=message):
        load_checkpoint(folder)


def test_notes_may_be_edited(folder: Path) -> None:
    edit(folder, lambda m: m["extra"].update(note="the one we ship"))
    assert load_checkpoint(folder).extra["note"] == "the one we ship"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_missing_file_is_an_error(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(RainError, match="is not a checkpoint"):
        load_checkpoint(folder)


def test_foreign_and_torn_files_are_errors(folder: Path) -> None:
    weights = folder / "model.safetensors"
    whole = weights.read_bytes()
    for content in (whole[:-100], b"", b"\x80\x04K\x01." * 30):
        weights.write_bytes(content)
        with pytest.raises(RainError, match="cannot be read"):
            load_checkpoint(folder)
    save_file({"layer": torch.zeros(2)}, weights)
    with pytest.raises(RainError, match="not written together"):
        load_checkpoint(folder)
    (folder / "config.json").write_text("{nonsense")
    with pytest.raises(RainError, match="cannot be read as JSON"):
        load_checkpoint(folder)


def test_weights_of_another_network_are_an_error() -> None:
    from rain.model.checkpoint import _stored, load_weights

    for other, message in (
        (tiny_net(dit_layers=1), "lacks"),
        (tiny_net(dit_layers=3), "unknown"),
        (tiny_net(dit_width=64), "expected"),
    ):
        with pytest.raises(RainError, match=message):
            load_weights(tiny_net(), _stored(other), "weights")


def test_conventions_of_other_views_are_not_saved(tmp_path: Path, normaliser: Normaliser) -> None:
    with pytest.raises(RainError, match="are not the conventions"):
        save_checkpoint(tmp_path / "x", tiny_net(views=("top",)), normaliser, CONVENTIONS)
    assert not (tmp_path / "x").exists()
