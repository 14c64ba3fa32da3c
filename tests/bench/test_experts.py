from __future__ import annotations

import pytest

from rain.types import RainError

pytest.importorskip("libero", reason="the simulator is not installed")

from rain.bench.experts import ExpertTrials, run_expert


def test_expert_solves_official_init_states_alike_every_time() -> None:
    trials = ExpertTrials(task="6", episodes=2, workers=1)
    (first,) = run_expert(trials)
    assert (first.task, first.episodes, first.successes) == (6, 2, 2), first.failures
    (again,) = run_expert(trials)
    assert again.steps == first.steps


@pytest.mark.parametrize(
    "trials", [ExpertTrials(suite="nowhere"), ExpertTrials(task="12"), ExpertTrials(episodes=0)]
)
def test_bad_trials_are_refused(trials: ExpertTrials) -> None:
    with pytest.raises(RainError):
        list(run_expert(trials))
