"""The paper's tables from campaigns: which episodes, the rates, and the page they are put in."""

from __future__ import annotations

import json
from pathlib import Path

import bench_fakes as fakes
import pytest
from rich.console import Console

from rain.bench.campaign import Campaign, run_campaign
from rain.bench.scoring import wilson
from rain.bench.tables import BEGIN, END, PARTS, Part, page, put_into, run_tables
from rain.cli.main import main
from rain.types import RainError

LIBERO = PARTS[0]


def summary(rates: dict[str, tuple[int, int]]) -> dict:
    """A summary with these successes and episodes by suite, one task each."""

    def score(successes: int, episodes: int) -> dict:
        low, high = wilson(successes, episodes)
        rate = successes / episodes
        return {
            "successes": successes,
            "episodes": episodes,
            "low": low,
            "high": high,
            "rate": rate,
        }

    return {
        "policy": "nano",
        "settings": {"weights": "abc"},
        "suites": {name: score(*found) for name, found in rates.items()},
        "tasks": {
            f"{name}/0": {"instruction": f"do {name}", **score(*found)}
            for name, found in rates.items()
        },
        "total": {"episodes": sum(n for _, n in rates.values())},
    }


class Written:
    """Stands for campaigns: writes the summary that it was given."""

    def __init__(self, found: dict, crashed: int = 0) -> None:
        self.found, self.crashed, self.run_in = found, crashed, []

    def campaign(self, part: Part, policy: str, folder: Path) -> tuple[str, Path]:
        self.run_in.append((part.name, policy, folder.parent.name))
        return policy, folder

    def run(self, campaign: tuple[str, Path]) -> int:
        folder = campaign[1]
        folder.mkdir(parents=True)
        (folder / "summary.json").write_text(json.dumps(self.found))
        return self.crashed


def test_the_average_is_of_suites_not_of_episodes(tmp_path):
    written = Written(summary({"libero_goal": (1, 10), "libero_10": (30, 30)}))
    found = run_tables({"open": "p"}, written.campaign, written.run, tmp_path, [LIBERO])
    table = found["open"]["libero"]
    assert table["average"] == 55.0
    assert table["suites"]["libero_goal"]["rate"] == 10.0
    assert table["suites"]["libero_goal"]["low"] == pytest.approx(100 * wilson(1, 10)[0], abs=0.06)
    assert table["tasks"]["libero_10/0"]["successes"] == 30


def test_tracks_side_by_side_and_the_papers_figures(tmp_path):
    one = Written(summary({"libero_goal": (5, 10), "libero_10": (9, 10)}))
    other = Written(summary({"libero_goal": (7, 10), "libero_10": (10, 10)}))
    results = run_tables({"protocol": "p"}, one.campaign, one.run, tmp_path, [LIBERO])
    results |= run_tables({"open": "o"}, other.campaign, other.run, tmp_path, [LIBERO])
    lines = page(results).splitlines()
    assert "| | protocol (nano) | open (nano) | the paper's RAIN-L |" in lines
    assert "| libero_goal | 50.0 (24–76) | 70.0 (40–89) | 96.0 |" in lines
    assert "| average | **70.0** | **85.0** | 91.0 |" in lines
    assert "| libero_10/0 | do libero_10 | 9/10 | 10/10 |" in lines


def test_a_crash_makes_no_table(tmp_path):
    written = Written(summary({"libero_goal": (5, 10)}), crashed=2)
    with pytest.raises(RainError, match="2 episodes crashed"):
        run_tables({"open": "p"}, written.campaign, written.run, tmp_path, [LIBERO])
    with pytest.raises(RainError, match="track 'other'"):
        run_tables({"other": "p"}, written.campaign, written.run, tmp_path, [LIBERO])


def test_real_campaigns_over_the_whole_scene(tmp_path):
    part = Part("region_following", "Region following", "kitchen", "scene", "suites", {})

    def campaign(part: Part, policy: fakes.NoisyPolicies, folder: Path) -> Campaign:
        return Campaign(
            policies=policy, worlds=fakes.FakeWorlds(), suite=part.suite, tasks="0", episodes=2,
            folder=folder, target=part.target,
        )  # fmt: skip

    def run(campaign: Campaign) -> int:
        return run_campaign(campaign, Console(quiet=True))

    found = run_tables({"open": fakes.NoisyPolicies()}, campaign, run, tmp_path, [part])
    assert found["open"]["region_following"]["episodes"] == 2
    assert set(found["open"]["region_following"]["suites"]) == {"kitchen"}


class TestPage:
    def test_only_what_is_between_the_marks_changes(self):
        text = f"before\n{BEGIN}\nold\n{END}\nafter\n"
        assert put_into(text, "new\n\n") == f"before\n{BEGIN}\nnew\n{END}\nafter\n"
        assert put_into(put_into(text, "a"), "b") == put_into(text, "b")

    @pytest.mark.parametrize("text", ["", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{END}{BEGIN}{END}"])
    def test_a_page_without_marks(self, text):
        with pytest.raises(RainError, match="once each"):
            put_into(text, "new")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--protocol CHECKPOINT"),
        (["--open", "rain-nano", "--parts", "liberty"], "'liberty' is unknown"),
        (["--open", "rain-nano", "--page", "page.md"], "needs the lines"),
        (["--open", "rain-nano", "--page", "nowhere.md"], "nowhere.md cannot be read"),
        (["--open", "rain-nano", "--json", "page.md"], "page.md cannot be read"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "page.md").write_text("no marks")
    assert main(["bench", "tables", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
