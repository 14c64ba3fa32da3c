from __future__ import annotations

import errno
import json
import shutil
from dataclasses import replace

import pytest
from training_helpers import assert_equal_runs, small

import rain.training.state as state
from rain.training.loop import train
from rain.types import RainError


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    """A finished run; tests must not change it."""
    config = small(data, tmp_path_factory.mktemp("runs") / "undisturbed")
    assert train(config).finished
    return config


@pytest.fixture
def copy(undisturbed, tmp_path):
    shutil.copytree(undisturbed.out, tmp_path / "run")
    return replace(undisturbed, out=tmp_path / "run")


def flip(path, at=-100):
    content = bytearray(path.read_bytes())
    content[at] ^= 0x10
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("damage", [flip, cut])
def test_a_damaged_state_is_passed_over_for_the_one_before(undisturbed, copy, capsys, damage):
    damage(copy.out / "state" / "2-00000004" / "state.safetensors")
    assert train(copy).finished
    told = " ".join(capsys.readouterr().err.split())
    assert "2-00000004 is damaged" in told
    assert "going on from the state before it" in told
    assert_equal_runs(undisturbed, copy)


def test_only_damaged_states_are_an_error(copy):
    for path in (copy.out / "state").glob("*/position.json"):
        path.write_text("{")
    with pytest.raises(RainError, match="every saved state is damaged"):
        train(copy)


def test_a_state_from_before_checksums_still_opens(undisturbed, copy):
    path = copy.out / "state" / "2-00000004" / "position.json"
    values = json.loads(path.read_text())
    del values["checksum"], values["usual"]
    path.write_text(json.dumps(values))
    assert train(copy).finished
    assert_equal_runs(undisturbed, copy)


def test_a_full_disk_is_told_and_the_state_before_is_used(undisturbed, tmp_path, monkeypatch):
    config = replace(undisturbed, out=tmp_path / "run")
    original, saves = state.save_file, []

    def full(tensors, path):
        saves.append(path)
        original(tensors, path)
        if len(saves) == 2:
            cut(path)
            raise OSError(errno.ENOSPC, "No space left on device", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(state, "save_file", full)
        with pytest.raises(RainError, match=r"No space left.*1-00000002 before it is kept"):
            train(config)
    assert [p.name for p in (config.out / "state").iterdir()] == ["1-00000002"]
    assert train(config).finished
    assert_equal_runs(undisturbed, config)


def test_what_a_killed_save_left_is_removed(copy):
    left = copy.out / "state" / ".1-00000002.12345"
    left.mkdir()
    shutil.rmtree(copy.out / "state" / "2-00000004")
    assert train(copy).finished
    assert not left.exists()
