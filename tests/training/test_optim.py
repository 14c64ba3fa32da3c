from __future__ import annotations

import pytest
import torch
from torch import nn

from rain.training.config import StageConfig
from rain.training.optim import Average, adamw, learning_rate


def test_learning_rate_warms_up_and_follows_a_cosine_to_zero():
    stage = StageConfig(steps=110, batch=1, lr=2.0, warmup=10)
    rates = [learning_rate(stage, step) for step in range(110)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[60] == pytest.approx(1.0)
    assert rates[35] == pytest.approx(2.0 * (1 + 2**-0.5) / 2)
    assert 0 < rates[-1] < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_no_warm_up_starts_at_the_base_rate():
    assert learning_rate(StageConfig(steps=5, batch=1, lr=3.0, warmup=0), 0) == 3.0


def test_only_matrices_decay():
    layer = nn.Linear(3, 3)
    optimiser = adamw(dict(layer.named_parameters()), weight_decay=0.1)
    decays = {id(p): g["weight_decay"] for g in optimiser.param_groups for p in g["params"]}
    assert decays == {id(layer.weight): 0.1, id(layer.bias): 0.0}


def test_average_forgets_its_start_and_then_decays():
    layer = nn.Linear(1, 1, bias=False)
    with torch.no_grad():
        layer.weight.fill_(100.0)
    average = Average({"w": layer.weight}, decay=0.5)
    expected = 100.0
    for step, value in enumerate([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0]):
        with torch.no_grad():
            layer.weight.fill_(value)
        average.update(step)
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    assert float(average.values["w"]) == pytest.approx(expected, rel=1e-5)
    with average.applied():
        assert float(layer.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert float(layer.weight.detach()) == 10.0
