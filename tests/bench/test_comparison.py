"""Differences and their noise, by other formulas than the source's."""

from __future__ import annotations

import json
import math
from statistics import mean, pstdev

import numpy as np
import pytest

from rain.bench.comparison import (
    MEASURES,
    Arm,
    Difference,
    compare,
    compare_episodes,
    compare_seeds,
    paired_interval,
    student,
)
from rain.bench.comparison_files import markdown, write_comparison
from rain.bench.scoring import wilson

FINAL = next(m for m in MEASURES if m.name == "final_mm")
SUCCESS = next(m for m in MEASURES if m.name == "own")


def student_mass(point: float, freedom: int) -> float:
    """P(|t| < point), by integrating the density."""
    x = np.linspace(-point, point, 200_001)
    scale = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    density = scale * (1 + x**2 / freedom) ** (-(freedom + 1) / 2)
    return float(np.trapezoid(density, x))


@pytest.mark.parametrize("count", range(2, 12))
def test_students_interval_holds_95_percent(count):
    values = [0.0] * (count - 1) + [1.0]
    low, high = student(values)
    assert (low + high) / 2 == pytest.approx(1 / count)
    # Of 0 … 0 1 the variance is 1/n, so the mean's standard error is 1/n.
    assert student_mass((high - low) / 2 * count, count - 1) == pytest.approx(0.95, abs=1e-4)


def test_students_interval_of_many_is_a_little_wide():
    low, high = student([0.0, 1.0] * 20)
    spread = math.sqrt(0.25 * 40 / 39)
    assert 2 * 2.0227 * spread / math.sqrt(40) < high - low < 2 * 2.3 * spread / math.sqrt(40)
    assert student([3.0]) == (None, None)


@pytest.mark.parametrize(("won", "lost", "pairs"), [(0, 0, 1), (3, 1, 10), (0, 7, 50), (9, 0, 9)])
def test_the_paired_interval_is_that_of_two_more_pairs(won, lost, pairs):
    """Bonett and Price: Wald's interval with one more pair for each side."""
    gains = [1] * (won + 1) + [-1] * (lost + 1) + [0] * (pairs - won - lost)
    half = 1.959964 * pstdev(gains) / math.sqrt(pairs + 2)
    expected = max(-1, mean(gains) - half), min(1, mean(gains) + half)
    assert paired_interval(won, lost, pairs) == pytest.approx(expected, abs=1e-6)
    mirrored = paired_interval(lost, won, pairs)
    assert mirrored == pytest.approx((-expected[1], -expected[0]), abs=1e-6)


def test_the_paired_interval_covers_as_often_as_it_says():
    rng = np.random.default_rng(0)
    for gain, loss, pairs in ((0.1, 0.1, 20), (0.3, 0.1, 20), (0.05, 0.0, 100)):
        drawn = rng.multinomial(pairs, [gain, loss, 1 - gain - loss], 4000)
        ends = np.array([paired_interval(int(w), int(lo), pairs) for w, lo, _ in drawn])
        covered = ((ends[:, 0] <= gain - loss) & (gain - loss <= ends[:, 1])).mean()
        assert covered > 0.93


def test_impossible_counts_are_refused():
    with pytest.raises(ValueError, match="won"):
        paired_interval(3, 2, 4)


def test_only_seeds_that_both_have_are_compared():
    found = compare_seeds({0: 5.0, 1: 7.0, 2: 9.0}, {1: 6.0, 2: 9.5, 3: 0.0})
    assert found.by_seed == {1: 1.0, 2: -0.5}
    assert found.mean == 0.25
    assert found.verdict(FINAL) == "inside the noise"
    assert compare_seeds({0: 1.0}, {1: 1.0}) is None


def test_one_seed_without_episodes_claims_nothing():
    found = compare_seeds({0: 500.0}, {0: 1.0})
    assert (found.mean, found.low, found.high) == (499.0, None, None)
    assert found.verdict(FINAL) == "one seed: inside the noise"


@pytest.mark.parametrize(
    ("measure", "difference", "verdict"),
    [
        (FINAL, Difference(-2.0, -3.0, -1.0, {0: -2, 1: -2}), "better"),
        (FINAL, Difference(2.0, 1.0, 3.0, {0: 2, 1: 2}), "worse"),
        (SUCCESS, Difference(0.2, 0.1, 0.3, {0: 0.2, 1: 0.2}), "better"),
        (SUCCESS, Difference(-0.2, -0.3, -0.1, {0: -0.2}, 50), "worse, of one seed"),
        (SUCCESS, Difference(-0.2, -0.3, 0.0, {0: -0.2}, 50), "inside the noise"),
        (SUCCESS, Difference(0.0, -0.1, 0.1, {0: 0.0}, 50), "inside the noise"),
        (FINAL, Difference(0.0, -1.0, 1.0, {0: -0.1, 1: 0.1}), "inside the noise"),
        (FINAL, Difference(0.0, 0.0, 0.0, {0: 0.0, 1: 0.0}), "equal"),
    ],
)
def test_verdicts(measure, difference, verdict):
    assert difference.verdict(measure) == verdict


def outcomes(successes: int, total: int = 20) -> dict[tuple[str, int, int], bool]:
    return {("kitchen", 0, i): i < successes for i in range(total)}


def test_episodes_are_paired():
    """Ten more successes of twenty on the same starts, none lost: clear with one seed."""
    found = compare_episodes({0: outcomes(15)}, {0: outcomes(5)})
    assert found.mean == pytest.approx(0.5)
    assert (found.low, found.high) == paired_interval(10, 0, 20)
    assert found.verdict(SUCCESS) == "better, of one seed"
    # A crashed episode is in neither.
    fewer = {trial: won for trial, won in outcomes(15).items() if trial[2] != 3}
    assert compare_episodes({0: fewer}, {0: outcomes(5)}).episodes == 19
    assert compare_episodes({0: {}}, {0: outcomes(5)}) is None


def test_seeds_that_disagree_widen_the_interval():
    full = {seed: outcomes(10) for seed in (0, 1)}
    apart = compare_episodes({0: outcomes(20), 1: outcomes(12)}, full)
    assert apart.mean == pytest.approx(0.3)
    assert (apart.low, apart.high) == pytest.approx(
        (0.3 - 12.706 * 0.2, 0.3 + 12.706 * 0.2), abs=1e-3
    )
    assert apart.verdict(SUCCESS) == "inside the noise"
    # Two seeds that agree by chance leave the episodes' noise.
    alike = compare_episodes({0: outcomes(11), 1: outcomes(11)}, full)
    assert (alike.low, alike.high) == paired_interval(2, 0, 40)


def arm(name: str, final: dict[int, float], **changes) -> Arm:
    values = {
        "title": f"w/o {name}",
        "panel": "a",
        "changes": (f"model.{name} True → False",),
        "paper": 82.1,
        "same_as": None,
        "seeds": (0, 1, 2),
        "finished": tuple(final),
        "values": {"final_mm": final, "unknown": {0: 1.0}},
    }
    return Arm(name, **{**values, **changes})


@pytest.fixture
def arms():
    return [
        arm("full", {0: 10.0, 1: 11.0, 2: 12.0}, title="Full model", panel="", changes=()),
        arm("eyes", {0: 20.0, 1: 21.1, 2: 21.9}),
        arm("ears", {0: 10.1, 1: 10.9, 2: 12.1}),
        arm("nose", {0: 10.5}, failed={1: "the loss is nan"}),
        arm("tail", {0: 10.0, 1: 11.0, 2: 12.0}, same_as="full"),
        arm("hair", {0: 10.0, 1: 11.0}),
    ]


def rows(text: str) -> dict[str, list[list[str]]]:
    found: dict[str, list[list[str]]] = {}
    for line in text.splitlines():
        if line.startswith("| "):
            name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
            found.setdefault(name, []).append(cells)
    return found


def test_the_table_says_values_differences_and_what_failed(arms):
    text = markdown(arms, {"set": "table-2a", "seeds": "0, 1, 2"})
    assert text.startswith("# Ablation table-2a\n\n- seeds: 0, 1, 2\n")
    found = rows(text)
    assert found["Full model"] == [["", "nothing", "0, 1, 2", "11.0 ± 1.0", "82.1"]]
    values, (difference,) = found["w/o eyes"]
    assert values == ["(a)", "model.eyes True → False", "0, 1, 2", "21.0 ± 1.0", "82.1"]
    # Differences 10, 10.1 and 9.9: standard error 0.1/√3, Student's point 4.303.
    assert difference == "+10.0 (+9.8 to +10.2), **worse**"
    assert found["w/o ears"][1] == ["+0.0 (-0.3 to +0.3), inside the noise"]
    assert found["w/o nose"][0][2] == "0; 1 failed; 1 not finished"
    assert found["w/o nose"][1] == ["+0.5, one seed: inside the noise"]
    assert found["w/o tail"][1] == ["the full model itself"]
    assert found["w/o hair"][1] == ["equal"]
    assert "- w/o nose, seed 1: the loss is nan" in text
    assert "unknown" not in text


def test_success_is_shown_with_wilsons_interval(arms):
    full = arm("full", {}, episodes={"own": {0: outcomes(5), 1: outcomes(6)}})
    better = arm("eyes", {}, episodes={"own": {0: outcomes(18), 1: outcomes(19)}})
    found = rows(markdown([full, better], {}))
    low, high = wilson(37, 40)
    assert found["w/o eyes"][0][3] == f"37/40 ({100 * low:.0f}–{100 * high:.0f})"
    expected = paired_interval(26, 0, 40)
    assert found["w/o eyes"][1] == [
        f"+65.0 ({100 * expected[0]:+.1f} to {100 * expected[1]:+.1f}), **better**"
    ]


def test_files(arms, tmp_path):
    written = write_comparison(tmp_path / "out", arms, {"set": "table-2a"})
    assert written.read_text() == markdown(arms, {"set": "table-2a"})
    assert sorted(path.name for path in written.parent.iterdir()) == [
        "ablation.json",
        "ablation.md",
        "ablation.png",
    ]
    content = json.loads((tmp_path / "out" / "ablation.json").read_text())
    eyes = content["variants"][1]
    assert eyes["values"]["unknown"] == {"0": 1.0}
    assert eyes["differences"]["final_mm"]["mean"] == pytest.approx(10.0)
    assert eyes["differences"]["final_mm"]["verdict"] == "worse"
    assert content["variants"][3]["failed"] == {"1": "the loss is nan"}


def test_nothing_to_compare_yet_is_a_table_without_a_picture(tmp_path):
    arms = [arm("full", {}), arm("eyes", {})]
    text = write_comparison(tmp_path, arms, {}).read_text()
    assert "none; 3 not finished" in text
    assert not (tmp_path / "ablation.png").exists()
    assert compare(arms[1], arms[0], SUCCESS) is None
