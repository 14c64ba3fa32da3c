"""``rain retarget candidates``: its numbers are those that were counted."""

from __future__ import annotations

import demos_many_targets as many
import pytest
import tyro

from rain.cli.retarget_candidates import Candidates, run_candidates
from rain.demos.candidates import by_suite, count_candidates
from rain.demos.dataset import Dataset
from rain.demos.packed import PackedPixels
from rain.demos.samples import SampleOptions, dataset_samples
from rain.types import RainError


def test_tables_of_a_dataset(tmp_path, capsys):
    folder = many.write(tmp_path / "d", many.episode(0), many.episode(1))
    args = [str(folder), "--cache", str(tmp_path), "--tasks"]
    assert run_candidates(tyro.cli(Candidates, args=args)) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    cells = [[cell for cell in line if cell not in ("│", "┃")] for line in printed]
    dataset = Dataset.open(folder)
    counts = by_suite(
        count_candidates(
            dataset, dataset_samples(dataset, SampleOptions()), PackedPixels.open(dataset, tmp_path)
        )
    )["many"]
    line = [str(counts.frames), str(counts.with_candidate), f"{counts.share:.1%}"]
    assert ["many", "3", *line, str(counts.candidates)] in cells
    assert ["many", "all", *line, str(counts.candidates)] in cells
    for name, number in counts.rejected.items():
        assert [name, str(number)] in cells
    assert ["pairs", str(counts.pairs)] in cells


def test_a_dataset_must_be_named():
    with pytest.raises(RainError, match="name a dataset"):
        run_candidates(Candidates(()))
