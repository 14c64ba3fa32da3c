from __future__ import annotations

import numpy as np
import pytest
import torch
from training_helpers import small

from rain.demos.dataset import Dataset
from rain.model.net import RainNet
from rain.training.data import TrainingData, load_data
from rain.training.measures import area_under_roc
from rain.training.validate import Held, choose, validate, whole_spans
from rain.types import PLAN_POINTS


@pytest.fixture(scope="module")
def loaded(data):
    config = small(data, data.parent / "unused", held_out=0.5)
    net = RainNet(config.model)
    found = load_data(
        config, Dataset.open(data), net, None, (0, 1), lambda: None, lambda name: lambda *done: None
    )
    return net, found


class Oracle(torch.nn.Module):
    """Answers the truth of the samples last collected, off by errors that are known.

    scores: sample number -> completion.
    """

    def __init__(self, monkeypatch, data, action_offset, plan_offset, scores):
        super().__init__()
        self.data, self.scores, self.generated = data, scores, 0
        self.offsets = torch.from_numpy(action_offset), torch.from_numpy(plan_offset)
        collect = TrainingData.held_batch

        def noted(data, index):
            self.now = index
            return collect(data, index)

        monkeypatch.setattr(TrainingData, "held_batch", noted)

    def features(self, images, regions):
        return torch.zeros(len(images), 1)

    def encode(self, features, regions):
        return features

    def sample(self, phi, state, kind, generator):
        self.generated += len(state)
        plan, actions = self.data.scaled.plan[self.now], self.data.scaled.actions[self.now]
        return torch.from_numpy(plan) + self.offsets[1], torch.from_numpy(actions) + self.offsets[0]

    def progress(self, phi, state, kind):
        return torch.tensor([[self.scores[i]] * 3 for i in self.now.tolist()]).logit()


def test_errors_are_those_that_were_made(loaded, monkeypatch):
    _, data = loaded
    index, rng = data.held, np.random.default_rng(0)
    offset = np.array([0.1, -0.2, 0.3, 0.0, 0.5, -0.6, 0.25], np.float32)
    off_plan = np.zeros((PLAN_POINTS, 3), np.float32)
    std = np.array(data.normaliser.plan_statistics.std, np.float32)
    off_plan[:, 0] = 0.004 * np.arange(PLAN_POINTS) / std[0]
    scores = rng.uniform(0.05, 0.95, len(index)).astype(np.float32)
    by_number = dict(zip(index.tolist(), scores.tolist(), strict=True))
    oracle = Oracle(monkeypatch, data, offset, off_plan, by_number)
    cpu = torch.device("cpu")
    spread = index[::3]
    found = validate(oracle, data, Held(spread, index), 2, cpu)
    assert found["samples"] == len(spread) == oracle.generated
    names = ("dx", "dy", "dz", "drx", "dry", "drz", "gripper")
    for name, error in zip(names, np.abs(offset), strict=True):
        assert found[f"action_error_{name}"] == pytest.approx(error, abs=1e-5)
    assert found["action_error"] == pytest.approx(np.abs(offset[:6]).mean(), abs=1e-5)
    assert found["plan_mm"] == pytest.approx(4 * (PLAN_POINTS - 1) / 2, rel=1e-3)
    assert found["final_mm"] == pytest.approx(4 * (PLAN_POINTS - 1), rel=1e-3)
    chosen = np.isin(index, spread)
    completed = data.samples.completed[index]
    area = area_under_roc(scores[chosen], completed[chosen])
    assert found["progress_auc"] == pytest.approx(area, abs=1e-6)
    delays = []
    for number in np.unique(data.samples.span[index]):
        mine = data.samples.span[index] == number
        steps, said = data.samples.step[index][mine], scores[mine] > 0.7
        delays += [s - steps[completed[mine]].min() for s in steps[said]][:1]
    assert len(delays) > 2
    assert found["transition_steps"] == np.median(delays)
    assert found["transition_early"] * found["transitions"] == sum(d < 0 for d in delays)
    # In stage 1 the head has not learned yet and is not asked.
    first = validate(oracle, data, Held(spread, index), 1, cpu)
    assert not {name for name in first if "transition" in name or "progress" in name}


def test_a_validation_changes_nothing_and_is_the_same_again(loaded):
    net, data = loaded
    held = choose(data, 40)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    runs = [validate(net, data, held, 2, torch.device("cpu")) for _ in range(2)]
    assert runs[0] == runs[1]
    assert net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


@pytest.mark.parametrize("count", [1, 40, 150, 10_000])
def test_whole_subtasks_are_chosen_evenly(loaded, count):
    _, data = loaded
    held = choose(data, count)
    assert len(held) == min(count, len(data.held))
    span = data.samples.span
    chosen = np.unique(span[held.spans])
    for number in chosen:
        np.testing.assert_array_equal(
            held.spans[span[held.spans] == number], np.flatnonzero(span == number)
        )
    assert np.isin(held.spans, data.held).all()
    assert len(held.spans) <= count or len(chosen) == 1
    if count >= len(data.held):
        np.testing.assert_array_equal(held.spans, data.held)


def test_chosen_subtasks_are_as_many_as_fit():
    span = np.repeat([4, 2, 9, 1, 7], 10)
    assert set(span[whole_spans(span, 30)]) == {4, 9, 7}
    assert set(span[whole_spans(span, 29)]) == {4, 7}
    assert set(span[whole_spans(span, 5)]) == {4}
    assert len(whole_spans(span[:0], 5)) == 0


def test_without_held_out_samples_nothing_is_found(loaded):
    net, data = loaded
    nothing = Held(*(np.zeros(0, np.int64),) * 2)
    assert validate(net, data, nothing, 2, torch.device("cpu")) == {}
