from __future__ import annotations

import json

import pytest

from rain.cli.model import main
from rain.model import PRESETS, RainNet, describe, preset
from rain.types import RainError

BARS = {
    "rain-l": ((0.60e9, 0.64e9), (0.18e9, 0.20e9)),
    "rain-s": ((0.24e9, 0.26e9), (0.16e9, 0.18e9)),
    "rain-nano": ((1e6, 15e6), (1e6, 15e6)),
}


@pytest.mark.parametrize("name", BARS)
def test_sizes_are_the_papers(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["describe", name, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    for key, (low, high) in zip(("total", "trainable"), BARS[name], strict=True):
        assert low <= report[key] <= high
        assert sum(part[key] for part in report["parts"]) == report[key]


def test_description_counts_the_real_network(capsys: pytest.CaptureFixture[str]) -> None:
    net = RainNet(preset("rain-nano"))
    count = sum(p.numel() for p in net.parameters())
    assert sum(part.total for part in describe(preset("rain-nano"))) == count
    assert main(["describe", "rain-nano"]) == 0
    assert f"{count:,}" in capsys.readouterr().out.splitlines()[-1]


def test_paper_presets_follow_table_3() -> None:
    large, small = PRESETS["rain-l"], PRESETS["rain-s"]
    assert (large.backbone, large.text, large.encoder_width) == ("dinov2-l14", "clip-l14", 1024)
    assert (small.backbone, small.text, small.encoder_width) == ("dinov2-s14", "clip-b32", 768)
    for config in (large, small):
        assert (config.dit_layers, config.dit_heads, config.flow_steps) == (12, 12, 4)
        assert (config.image_size, config.progress_state) == (224, False)


def test_unknown_preset_names_the_known() -> None:
    with pytest.raises(RainError, match=r"rain-huge.*rain-l, rain-s, rain-nano"):
        main(["describe", "rain-huge"])
