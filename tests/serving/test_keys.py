"""CURVE keys: made in files, asked for, and fatal to whoever lacks them."""

from __future__ import annotations

import stat

import numpy as np
import pytest
from bench_fakes import FakeWorld, NoisyPolicy

from rain.cli.main import main
from rain.client import PolicyClient, ServerError
from rain.types import RainError, Subtask

OBSERVATION = FakeWorld().observe(Subtask("grasp", "milk_1"))


@pytest.fixture
def folder(tmp_path):
    """Keys of a server that lets one client in."""
    assert main(["keys", str(tmp_path / "keys")]) == 0
    assert main(["keys", str(tmp_path / "keys"), "--client", "arm"]) == 0
    return tmp_path / "keys"


def test_a_client_with_keys_is_served(serve, folder):
    client = PolicyClient(serve(curve=folder).address, curve=folder / "arm", seed=3)
    found = client.predict(OBSERVATION).action_chunk.actions
    np.testing.assert_array_equal(found, NoisyPolicy(3).predict(OBSERVATION).action_chunk.actions)


def test_who_has_no_keys_or_unknown_ones_gets_no_answer(serve, folder, tmp_path):
    server = serve(curve=folder)
    with pytest.raises(ServerError, match="does it ask for keys"):
        PolicyClient(server.address, timeout=0.3)
    main(["keys", str(folder), "--client", "stranger"])
    (folder / "clients" / "stranger.key").unlink()
    with pytest.raises(ServerError, match="do the keys of both sides fit"):
        PolicyClient(server.address, timeout=0.3, curve=folder / "stranger")
    main(["keys", str(tmp_path / "other")])
    main(["keys", str(tmp_path / "other"), "--client", "arm"])
    with pytest.raises(ServerError, match="do the keys of both sides fit"):
        PolicyClient(server.address, timeout=0.3, curve=tmp_path / "other" / "arm")
    assert PolicyClient(server.address, curve=folder / "arm").health()["clients"] == 1


def test_a_client_can_be_added_while_the_server_runs(serve, folder):
    server = serve(curve=folder)
    main(["keys", str(folder), "--client", "late"])
    assert PolicyClient(server.address, curve=folder / "late").health()


def test_secrets_are_for_their_owner_alone(folder):
    for secret in (folder / "server.key_secret", folder / "arm" / "arm.key_secret"):
        assert stat.S_IMODE(secret.stat().st_mode) & 0o077 == 0


def test_bad_input(serve, folder, tmp_path, capsys):
    before = (folder / "server.key_secret").read_bytes()
    for arguments, message in (
        ([folder], "is there already"),
        ([folder, "--client", "arm"], "has keys of client 'arm' already"),
        ([folder, "--client", "../arm"], "expected a name"),
        ([tmp_path / "none", "--client", "arm"], "holds no keys of a server"),
    ):
        assert main(["keys", *map(str, arguments)]) == 2
        assert message in capsys.readouterr().err
    assert (folder / "server.key_secret").read_bytes() == before
    with pytest.raises(RainError, match="knows no client"):
        serve(curve=tmp_path)
    (tmp_path / "clients").mkdir()
    (tmp_path / "clients" / "x.key").write_text("nonsense")
    with pytest.raises(RainError, match="holds no key"):
        serve(curve=tmp_path)
    for wrong in (folder, tmp_path / "none"):
        with pytest.raises(RainError, match="expected a client's folder"):
            PolicyClient("tcp://127.0.0.1:9", curve=wrong)
