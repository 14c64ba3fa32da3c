from __future__ import annotations

import pickle

import numpy as np
import pytest

from rain.bench.policies import PolicyOptions, policy_source
from rain.bench.protocols import WorldPolicy
from rain.bench.sources import CheckpointPolicies
from rain.types import RainError


def test_a_text_without_a_kind_is_a_checkpoint():
    options = PolicyOptions(threads=2)
    expected = CheckpointPolicies("rain-nano", 2)
    assert policy_source("rain-nano", options) == policy_source("rain:rain-nano", options)
    assert policy_source("rain-nano", options) == expected


def test_a_folder_with_a_colon_in_its_name_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run:3").mkdir()
    assert policy_source("run:3") == CheckpointPolicies("run:3")
    with pytest.raises(RainError, match="none of"):
        policy_source("run:4")


class TestOnLibero:
    @pytest.fixture(autouse=True)
    def simulator(self):
        pytest.importorskip("libero", reason="the simulator is not installed")

    def test_the_expert_reads_the_world_and_is_picklable(self):
        source = pickle.loads(pickle.dumps(policy_source("expert")))
        assert isinstance(source(0), WorldPolicy)
        assert source.fingerprint() == policy_source("expert").fingerprint()

    def test_the_expert_does_a_part_and_then_stops(self, libero_world):
        from rain.bench.episode import RolloutConfig
        from rain.bench.rollouts import rollout

        libero_world.reset(init_state=0)
        result = rollout(
            libero_world,
            policy_source("expert")(1),
            libero_world.script,
            RolloutConfig(horizon=280, settle=5),
            whole=lambda: False,
        )
        assert (result.outcome, result.predictions) == ("success", 0)
        assert 0 < result.success_step <= result.steps < 280
        assert result.success_s == pytest.approx(result.success_step / 20)
        assert None not in result.done
        assert result.done[0] < result.done[1]
        assert [t.object for t in result.touches][:1] == ["alphabet_soup_1"]
        assert result.seconds["rendering"] == 0

    def test_a_replay_plays_the_recorded_actions(self, libero_world, tmp_path):
        from rain.demos.hdf5 import script_facts, write_arrays

        actions = np.linspace(-2, 2, 7 * 4).reshape(4, 7)
        facts = script_facts(libero_world.script)
        arrays = {"states": np.zeros((4, 3)), "actions": actions, "disturbed": np.zeros(4, bool),
                  "subtask": np.array([0, 0, 1, 1])}  # fmt: skip
        write_arrays(tmp_path / "a.hdf5", str(libero_world.task.bddl), facts, arrays)
        source = policy_source(f"replay:{tmp_path}")
        played = list(source(3).actions(libero_world, libero_world.script))
        assert [at for _, at in played] == [0, 0, 1, 1]
        np.testing.assert_allclose([action for action, _ in played], np.clip(actions, -1, 1))
        other = libero_world.script_for("milk_1")
        with pytest.raises(RainError, match="no demonstration of"):
            list(source(3).actions(libero_world, other))
        before = source.fingerprint()
        write_arrays(tmp_path / "b.hdf5", str(libero_world.task.bddl), facts, arrays)
        assert source.fingerprint() != before
